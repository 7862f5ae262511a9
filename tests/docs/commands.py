"""Runs the shell blocks of the pages, and checks the commands of those that need more than a test has."""

from __future__ import annotations

import argparse
import io
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import pytest

from local_mode import __main__ as local_mode
from local_mode.jobfile import parse_channels, parse_hyperparameters
from polyadic import __main__ as polyadic
from polyadic.algorithms import choose
from tests.docs.pages import ROOT, Block

SECONDS = 120
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


def run(block: Block, folder: Path, *more: str) -> str:
    """What a shell block prints in a folder; every `python` gets `more` arguments."""
    asked = commands(block)
    if all(command[:3] == ["python", "-m", "polyadic"] for command in asked):
        return _run_in_this_process(command[3:] for command in asked)
    python = f'python() {{ "{sys.executable}" "$@" {shlex.join(more)}; }}\npolyadic() {{ python -m polyadic "$@"; }}\n'
    script = f"set -euo pipefail\n{python}{block.code}"
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{block.place}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _run_in_this_process(asked: Iterable[list[str]]) -> str:
    """What `python -m polyadic` prints, without a process that would import PyTorch for each command."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        for arguments in asked:
            assert polyadic.main(arguments) == 0, arguments
    return printed.getvalue()


@contextmanager
def endpoint(block: Block, folder: Path, port: int) -> Iterator[None]:
    """Inside, the endpoint of a shell block answers on the port."""
    ((_, *options),) = commands(block)
    arguments = [sys.executable, *options]
    arguments[arguments.index("--port") + 1] = str(port)
    log, environment = folder / "endpoint.log", os.environ | {"MODEL_SERVER_WORKERS": "1"}
    with log.open("w") as output:
        process = subprocess.Popen(arguments, cwd=folder, env=environment, stdout=output, stderr=output)
        try:
            _wait_for(port, process, log)
            yield
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the port takes connections; it answers them once the models are loaded."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


def commands(block: Block) -> list[list[str]]:
    """The words of each command of a shell block, without its comments and assignments."""
    lines = block.code.replace("\\\n", " ").splitlines()
    assigned = [re.sub(r"^\w+=\$\((.*?)\)", r"\1", line) for line in lines]
    words = [shlex.split(line, comments=True) for line in assigned]
    return [command for command in words if command and not re.fullmatch(r"\w+=.*", command[0])]


def check(command: list[str], patch: pytest.MonkeyPatch) -> None:
    """Fails for a target or a module that does not exist, and for arguments that local_mode would refuse."""
    if command[0] == "make":
        targets = TARGET.findall((ROOT / "Makefile").read_text())
        assert command[1] in targets, f"make has no target {command[1]}"
    elif command[:2] == ["python", "-m"]:
        assert exists(command[2]), f"there is no module {command[2]}"
        if command[2] == "local_mode":
            _check_local_mode(command[3:], patch)
    elif command[0] == "python":
        assert (ROOT / command[1]).is_file(), f"there is no {command[1]}"
    else:
        assert command[0] in ("docker", "tensorboard", "pip", "source", "polyadic", "curl", "echo", "printf"), command


def exists(module: str) -> bool:
    """Whether the repository has a module that `python -m` can run."""
    folders = [ROOT, ROOT / "src"]
    paths = [folder.joinpath(*module.split(".")) for folder in folders]
    return any(path.with_suffix(".py").exists() or (path / "__main__.py").exists() for path in paths)


def _check_local_mode(arguments: list[str], patch: pytest.MonkeyPatch) -> None:
    """Fails where the command's arguments, or the job's hyperparameters or channels, are not what they must be."""
    jobs: list[argparse.Namespace] = []

    def keep(given: argparse.Namespace, _stop: object) -> int:
        jobs.append(given)
        return 0

    for name in ("train", "endpoint", "up", "demo"):
        patch.setattr(local_mode, name, keep)
    patch.setattr(sys, "argv", ["local_mode", *arguments])
    patch.chdir(ROOT)
    assert local_mode.main() == 0
    if arguments[0] == "train":
        algorithm, _ = choose(parse_hyperparameters(jobs[0].hyperparameters))
        known = {spec.name for spec in algorithm.channels}
        needed = {spec.name for spec in algorithm.channels if spec.required}
        assert needed <= parse_channels(jobs[0].data).keys() <= known
