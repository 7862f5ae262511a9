"""A job on files at hand: files in; a model, a report and its pictures out. The job itself is SageMaker's."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from polyadic.errors import UserError

_METRIC = re.compile(r"#quality_metric: host=[^,]+, (?:(?P<where>\w+=\d+), )?(?P<name>\S+ \S+) <\w+>=(?P<value>\S+)")
LISTING = ".polyadic"
"""The file beside a model that says which files a run has left."""
CLEAR_LINE = "\r\033[K"


def split_options(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The files among arguments, and the hyperparameters: `--rank 5`, `--rank=5`, or `--hyperparameters rank=5 seed=1`.

    Raises UserError for a hyperparameter without a value.
    """
    files, hyperparameters = list[str](), dict[str, str]()
    left = list(arguments)
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            files.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        if name == "hyperparameters" and not equals:  # As local_mode has it.
            if not left or "=" not in left[0]:
                raise UserError("--hyperparameters has no value: write --hyperparameters NAME=VALUE, one or more")
            while left and "=" in left[0] and not left[0].startswith("--"):
                name, _, value = left.pop(0).partition("=")
                hyperparameters[name.replace("-", "_")] = value
            continue
        if not equals:
            if not left or left[0].startswith("--"):
                raise UserError(f"--{name} has no value: write --{name} VALUE")
            value = left.pop(0)
        hyperparameters[name.replace("-", "_")] = value
    return files, hyperparameters


def train(
    channels: Mapping[str, Sequence[Path]],
    hyperparameters: Mapping[str, str],
    output: Path,
    *,
    show: bool = False,
    dry_run: bool = False,
) -> int:
    """Trains on the files of channels, and leaves model.tar.gz and the report in `output`; the job's exit code.

    show: whether to open the report. dry_run: whether to check everything, run one batch, and leave nothing. Raises
    UserError for a file that is not there, and for an `output` that is a file.
    """
    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output} is a file: name a folder, which is made where there is none")
    for path in (path for paths in channels.values() for path in paths):
        if not path.exists():
            raise UserError(f"{path} does not exist: give a file, or a folder of files")
    with tempfile.TemporaryDirectory(prefix="polyadic-") as folder:
        base = Path(folder)
        _lay_out(base, channels, hyperparameters)
        code = _run(base, ["--dry-run"] if dry_run else [])
        if dry_run:
            return code
        if code == 0:
            _collect(base, output)
            print(f"model: {output / 'model.tar.gz'}")
    report = output / "report.html"
    if code == 0 and report.exists():
        print(f"report: {report}")
        if show:
            webbrowser.open(report.resolve().as_uri())
    return code


def _lay_out(base: Path, channels: Mapping[str, Sequence[Path]], hyperparameters: Mapping[str, str]) -> None:
    """The folder of a job, as SageMaker lays it out; data are linked, not copied."""
    (base / "input" / "config").mkdir(parents=True)
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    for name, paths in channels.items():
        folder = base / "input" / "data" / name
        folder.mkdir(parents=True)
        for path in paths:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    link = folder / file.relative_to(path if path.is_dir() else path.parent)
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(file.resolve())


def _run(base: Path, arguments: Sequence[str]) -> int:
    """Runs the job; its metrics are one line that changes on a terminal, and plain lines elsewhere."""
    environ = {**os.environ, "SAGEMAKER_BASE_DIR": str(base)}
    command = [sys.executable, "-m", "polyadic.training.launcher", *arguments]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        # Ctrl-C is for the job, which has it too and saves the model at its next step.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            _show(job.stdout)
            return job.wait()
        finally:
            signal.signal(signal.SIGINT, before)


def _show(lines: IO[str]) -> None:
    terminal, written = sys.stdout.isatty(), False
    for line in lines:
        metric = _METRIC.match(line) if terminal else None
        if metric is None or metric["where"] is None:
            print((CLEAR_LINE if written else "") + line, end="", flush=True)
            written = False
        else:
            text = f"{metric['where'].replace('=', ' ')}: {metric['name']} {float(metric['value']):.6g}"
            print(CLEAR_LINE + text, end="", flush=True)
            written = True


def _collect(base: Path, output: Path) -> None:
    """Puts the model and the report into `output`, in place of those of an earlier run; other files stay."""
    output.mkdir(parents=True, exist_ok=True)
    made = base / "output" / "data"
    names = ["model.tar.gz", *(str(path.relative_to(made)) for path in sorted(made.rglob("*")) if path.is_file())]
    listing = output / LISTING
    earlier = listing.read_text("utf-8").splitlines() if listing.exists() else []
    for name in set(earlier) - set(names):
        (output / name).unlink(missing_ok=True)
    if earlier:
        print(f"the model that was in {output} is replaced")
    listing.write_text("".join(f"{name}\n" for name in names), "utf-8")
    with tarfile.open(output / "model.tar.gz", "w:gz") as archive:
        for path in sorted((base / "model").iterdir()):
            archive.add(path, path.name)
    if made.is_dir():
        shutil.copytree(made, output, dirs_exist_ok=True)
