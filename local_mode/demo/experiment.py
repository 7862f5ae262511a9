"""An endpoint whose variants are compared, and the commands about it."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_mode.demo.commands import Commands, Finished, relative
from local_mode.demo.door import Door
from local_mode.demo.traffic import Answer, Request, ask_all, await_capture, write_actuals

BUCKET = "polyadic-demo"
ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
VERDICTS = (0, 10, 11, 12, 13)
"""The exit codes with which `scripts.compare` says better, equivalent, undecided, worse and mismatch."""
REFUSED = 1
CLOCK_SECONDS = 1.0
"""Captured requests are dated to the second: one more than that after a change all are of the new weights."""


@dataclass(frozen=True)
class Demo:
    """What the parts of the story share: the front door, the commands, and the folder of all files."""

    output: Path
    door: Door
    commands: Commands


@dataclass(frozen=True)
class Look:
    """What a comparison said: the contest of its one challenger, as `scripts.compare --json` has it."""

    title: str
    contest: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        return str(self.contest["verdict"])

    @property
    def sequence(self) -> list[tuple[int, float, float, float]]:
        """After so many facts the difference, and the bounds of its interval."""
        return [(int(count), *map(float, rest)) for count, *rest in self.contest["sequence"]]  # type: ignore[misc]

    def number(self, name: str) -> float:
        """A member; NaN for what is not known."""
        value = self.contest[name]
        return math.nan if value is None else float(value)


class Experiment:
    """The life of one endpoint, from a shadow to its end."""

    def __init__(self, name: str, demo: Demo) -> None:
        self.name, self._demo = name, demo
        self._history = ("--history", relative(demo.output / "weights.jsonl"))
        self._answers_captured = 0

    def deploy(self, *words: str) -> None:
        capture = ("--capture", f"s3://{BUCKET}/capture")
        asked = ("--endpoint", self.name, "--role", ROLE, *words, *capture, "--poll", "1", *self._history)
        self._demo.commands("scripts.deploy", *asked)
        time.sleep(CLOCK_SECONDS)

    def ask(self, requests: Sequence[Request], answers_each: int) -> list[Answer]:
        """Sends requests, each of which so many variants answer: two where one of them is a shadow."""
        answers = ask_all(self._demo.door.runtime, self.name, requests, self._demo.commands.stop)
        self._answers_captured += answers_each * len(requests)
        return answers

    def feed_back(self, requests: Sequence[Request], file: str) -> None:
        """Tells what turned out to be true, and waits until the requests are captured."""
        path = self._demo.output / file
        write_actuals(requests, path)
        self._demo.commands("scripts.feedback", self.name, relative(path))
        prefix = f"capture/{self.name}/"
        await_capture(self._demo.door.s3, BUCKET, prefix, self._answers_captured, self._demo.commands.stop)

    def compare(self, title: str, design: str, *words: str) -> Look:
        """The table for the reader, and the same as numbers for the picture."""
        by = ("scripts.compare", self.name, "--design", design)
        self._demo.commands(*by, *words, *self._history, allowed=VERDICTS)
        told = self._demo.commands.quietly(*by, "--json", *self._history, allowed=VERDICTS)
        return Look(title, json.loads(told.lines[-1])["challengers"][0])

    def traffic(self, action: str, *words: str) -> Finished:
        asked = ("scripts.traffic", action, self.name, *words, "--poll", "1", *self._history)
        return self._demo.commands(*asked, allowed=(0, REFUSED))

    def teardown(self) -> None:
        self._demo.commands("scripts.teardown", self.name, "--poll", "1")
