"""The commands of scripts/ as a user types them: each is printed before what it says."""

import re
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_mode.demo.progress import say
from local_mode.errors import LocalModeError
from local_mode.running import LineSink, Running, close_all, stop_all
from local_mode.stopping import StopRequest

WIDTH = 110
POLL_SECONDS = 0.05
END_SECONDS = 5.0


@dataclass(frozen=True)
class Finished:
    """A command that has ended: its exit code, and its lines of both streams."""

    code: int
    lines: list[str]


@dataclass(frozen=True)
class Commands:
    """Runs `python -m scripts.X ...` with the variables by which a client finds the front door."""

    python: str
    environment: Mapping[str, str]
    stop: StopRequest

    def __call__(self, *words: str, allowed: Sequence[int] = (0,)) -> Finished:
        """Prints the command and its lines; LocalModeError where it ends with a code that is not allowed."""
        say(f"\n{command_line(words)}")
        return self._run(words, say, allowed)

    def quietly(self, *words: str, allowed: Sequence[int] = (0,)) -> Finished:
        """Prints nothing."""
        return self._run(words, lambda line: None, allowed)

    def side_by_side(self, programs: Sequence[tuple[Sequence[str], LineSink]]) -> list[Running]:
        """Returns when all of them have ended; none outlives this call, a Ctrl-C or an error of ours."""
        running: list[Running] = []
        try:
            for words, on_line in programs:
                running.append(Running(words[0], [self.python, "-m", *words], self.environment, on_line))
            while any(program.poll() is None for program in running):
                self.stop.raise_if_requested()
                time.sleep(POLL_SECONDS)
        finally:
            stop_all(running, END_SECONDS, self.stop)
            close_all(running)
        return running

    def _run(self, words: Sequence[str], on_line: LineSink, allowed: Sequence[int]) -> Finished:
        lines: list[str] = []

        def keep(line: str) -> None:
            lines.append(line)
            on_line(line)

        code = self.side_by_side([(words, keep)])[0].process.returncode
        if code not in allowed:
            raise LocalModeError(f"`{words[0]}` ended with {code}: {lines[-1] if lines else 'it said nothing'}")
        return Finished(code, lines)


def command_line(words: Sequence[str]) -> str:
    """What a user types for `python -m WORDS`: on several lines where it is long, an option with its value on one."""
    lines, line = [], "$ python -m"
    for part in re.split(r" (?=--)", shlex.join(words)):
        if len(line) + len(part) > WIDTH:
            lines.append(f"{line} \\")
            line = "     "
        line += f" {part}"
    return "\n".join([*lines, line])


def relative(path: Path) -> str:
    """A path as a user would type it: from the folder that one is in, where it is below it."""
    here = Path.cwd()
    absolute = path.resolve()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)
