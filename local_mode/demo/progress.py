"""The progress of a step: a bar on a terminal, and a few plain lines in a log."""

import math
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
STEP = re.compile(r"(?:epoch|iteration)=(\d+)\b.*<loss>=(\S+)")
LINES_IN_A_LOG = 5


def on_terminal() -> bool:
    return sys.stderr.isatty()


def say(text: str) -> None:
    """Prints whole lines at once, so that those of two programs do not mix."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class TrainingProgress:
    """Takes a job's lines: all of them go to a file, and each new epoch or iteration moves the progress."""

    def __init__(self, name: str, steps: int, log: Path, place: int = 0) -> None:
        self._name = name
        self._steps = steps
        self._log = log.open("w")
        self._seen: set[str] = set()
        self._bar: Any = tqdm(total=steps, desc=name, unit="step", position=place) if on_terminal() else None

    def __call__(self, line: str) -> None:
        self._log.write(line + "\n")
        step = STEP.search(line)
        if step and step[1] not in self._seen:
            self._seen.add(step[1])
            self._move(step[2])

    def close(self) -> None:
        self._log.close()
        if self._bar is not None:
            self._bar.close()

    def _move(self, loss: str) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss}", refresh=False)
            self._bar.update()
        elif len(self._seen) % math.ceil(self._steps / LINES_IN_A_LOG) == 0:
            say(f"  {self._name}: step {len(self._seen)} of at most {self._steps}, loss {loss}")


def counted(items: list[Item], name: str) -> Iterator[Item]:
    bar: Iterable[Item] = tqdm(items, desc=name, unit="request", disable=not on_terminal(), leave=False)
    yield from bar
