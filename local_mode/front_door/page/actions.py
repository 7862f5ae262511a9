"""What the page's buttons do: they run `python -m scripts.traffic`, as a user would in a shell."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local_mode.front_door import surroundings

ROOT = Path(__file__).parents[3]
SECONDS = 300.0
POLL_SECONDS = "0.2"


@dataclass(frozen=True)
class Change:
    """A change of an endpoint's traffic: split, promote or rollback, and what the command takes beside the name."""

    action: str
    endpoint: str
    arguments: Sequence[str] = ()


@dataclass(frozen=True)
class Outcome:
    """What a command has said; change: the one that it was."""

    change: Change
    done: bool
    text: str


def split(endpoint: str, weights: Mapping[str, str]) -> Change:
    """Sets weights."""
    return Change("split", endpoint, [f"{variant}={weight}" for variant, weight in weights.items()])


def promote(endpoint: str, variant: str, reason: str) -> Change:
    """Gives a variant all traffic; with a reason also where the comparison does not say so."""
    return Change("promote", endpoint, [variant, *(["--force", f"--reason={reason}"] if reason else [])])


def rollback(endpoint: str) -> Change:
    """Undoes the last change."""
    return Change("rollback", endpoint)


class Actions:
    """Runs changes, one of an endpoint at a time; state: the front door's folder, where the history lies."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._busy: set[str] = set()

    async def run(self, change: Change, url: str) -> Outcome:
        """Runs a change against the front door at a URL."""
        if change.endpoint in self._busy:
            return Outcome(change, False, f"another change of {change.endpoint} is under way: wait for it")
        self._busy.add(change.endpoint)
        try:
            return await self._run(change, url)
        finally:
            self._busy.discard(change.endpoint)

    async def _run(self, change: Change, url: str) -> Outcome:
        command = [sys.executable, "-m", "scripts.traffic", change.action, change.endpoint, *change.arguments]
        options = ["--history", str(self._state / "weights.jsonl"), "--poll", POLL_SECONDS]
        process = await asyncio.create_subprocess_exec(
            *command,
            *options,
            cwd=ROOT,
            env=surroundings.environment(self._state / surroundings.SETTINGS_FILE, url),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        except TimeoutError:
            return Outcome(change, False, f"the command did not end within {SECONDS:g} seconds")
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return Outcome(change, process.returncode == 0, output.decode("utf-8", "replace").strip())
