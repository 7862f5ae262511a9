"""Training jobs from recipes, two side by side."""

import re
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import yaml

from local_mode.demo.commands import Commands, command_line, relative
from local_mode.demo.progress import TrainingProgress, say
from local_mode.errors import LocalModeError
from local_mode.running import Running

RECIPES = Path(__file__).parent / "recipes"
CREATED = re.compile(r"job (\S+): created")


def train(recipes: Sequence[str], commands: Commands, output: Path) -> list[str]:
    """The names of the jobs that recipes start; the lines of each job are in OUTPUT/RECIPE.log."""
    logs = [output / f"{recipe}.log" for recipe in recipes]
    lines = [["scripts.train", relative(RECIPES / f"{recipe}.yaml"), "--poll", "1"] for recipe in recipes]
    for words, log in zip(lines, logs, strict=True):
        say(f"\n{command_line(words)}  > {relative(log)}")
    with ExitStack() as stack:
        shown = [
            stack.enter_context(closing(TrainingProgress(recipe, steps(recipe), log, place)))
            for place, (recipe, log) in enumerate(zip(recipes, logs, strict=True))
        ]
        programs = commands.side_by_side(list(zip(lines, shown, strict=True)))
    for recipe, program, log in zip(recipes, programs, logs, strict=True):
        _require_trained(recipe, program, log)
    return [_job(log) for log in logs]


def steps(recipe: str) -> int:
    """How many epochs or iterations the job may take."""
    given = yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text())["hyperparameters"]
    return int(given.get("epochs") or given["max_iterations"])


def _require_trained(recipe: str, program: Running, log: Path) -> None:
    if program.process.returncode:
        said = program.last_lines[-1].removeprefix("error: ") if program.last_lines else "it said nothing"
        raise LocalModeError(f"training {recipe} failed: {said} (all lines are in {log})")


def _job(log: Path) -> str:
    created = CREATED.search(log.read_text())
    if created is None:
        raise LocalModeError(f"{log} does not name the job")
    return created[1]
