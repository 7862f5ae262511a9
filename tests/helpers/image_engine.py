"""The Docker Engine as these tests use it: containers that carry the session's label, so that every one is removed."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def docker(*arguments: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run one docker command; stdout and stderr come back as text."""
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout, check=False)
    if check and result.returncode:
        raise AssertionError(
            f"docker {' '.join(arguments)} exited {result.returncode}:\n{result.stdout}{result.stderr}"
        )
    return result


def why_no_engine() -> str | None:
    """Say why no engine can be used, or None where one answers."""
    if shutil.which("docker") is None:
        return "no docker command on PATH"
    answer = docker("version", "--format", "{{.Server.Version}}", check=False, timeout=30)
    return f"no Docker Engine answers: {answer.stderr.strip()}" if answer.returncode else None


@dataclass(frozen=True)
class Container:
    """A started container."""

    id: str

    def logs(self) -> str:
        result = docker("logs", self.id)
        return result.stdout + result.stderr

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", self.id).stdout)
        return state

    def wait(self, timeout: float) -> int:
        """Wait for the end and return the exit code."""
        try:
            return int(docker("wait", self.id, timeout=timeout).stdout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the container still runs after {timeout} s:\n{self.logs()}") from None

    def wait_for_line(self, text: str, timeout: float) -> None:
        """Wait until the log holds a text; a container that ends before is a failure."""
        end = time.monotonic() + timeout
        while text not in (log := self.logs()):
            assert time.monotonic() < end, f"no {text!r} in the log after {timeout} s:\n{log}"
            assert self.state()["Running"], f"the container ended before {text!r} was in its log:\n{log}"
            time.sleep(0.1)

    def stop(self, grace_seconds: int) -> float:
        """Send SIGTERM, after the grace SIGKILL, as SageMaker does; return the seconds it took."""
        start = time.monotonic()
        docker("stop", "--time", str(grace_seconds), self.id, timeout=grace_seconds + 30)
        return time.monotonic() - start

    def kill(self) -> None:
        docker("kill", self.id)


@dataclass(frozen=True)
class Engine:
    """Starts containers and networks that carry one label, and removes them all."""

    label: str = field(default_factory=lambda: f"polyadic-test={uuid.uuid4().hex}")

    def start(self, image: str, *command: str, options: Sequence[str] = ()) -> Container:
        # One thread each: on a busy machine several spin, and a tiny job takes minutes.
        fixed = ["--detach", "--label", self.label, "--env", "OMP_NUM_THREADS=1"]
        return Container(docker("run", *fixed, *options, image, *command).stdout.strip())

    def run(self, image: str, *command: str, timeout: float = 45) -> tuple[int, str]:
        """Run a container to its end; returns the exit code and what it printed."""
        container = self.start(image, *command)
        return container.wait(timeout), container.logs().strip()

    @contextmanager
    def network(self) -> Iterator[str]:
        name = f"polyadic-{uuid.uuid4().hex[:8]}"
        docker("network", "create", "--label", self.label, name)
        try:
            yield name
        finally:
            self.remove_all()

    def remove_all(self) -> None:
        remove("container", f"label={self.label}")
        remove("network", f"label={self.label}")


def remove(kind: str, query: str) -> None:
    """Remove the containers or networks that a docker filter selects."""
    everything = ["--all"] if kind == "container" else []
    names = docker(kind, "ls", "--quiet", *everything, "--filter", query).stdout.split()
    if names:
        force = ["--force", "--volumes"] if kind == "container" else []
        docker(kind, "rm", *force, *names)


def mounting(root: Path) -> list[dict[str, Any]]:
    """Describe the containers, running or ended, that mount anything below a folder."""
    every = docker("container", "ls", "--all", "--quiet").stdout.split()
    # One that ends meanwhile may be gone already; docker then describes the others and exits 1.
    found = json.loads(docker("container", "inspect", *every, check=False).stdout) if every else []
    return [one for one in found if any(Path(mount.get("Source", "/")).is_relative_to(root) for mount in one["Mounts"])]


def remove_mounting(root: Path) -> None:
    """Remove the containers that mount anything below a folder, and their networks: an SDK leaves both behind."""
    containers = mounting(root)
    networks = {name for one in containers for name in one["NetworkSettings"]["Networks"]} - {
        "bridge",
        "host",
        "none",
    }
    for one in containers:
        docker("container", "rm", "--force", "--volumes", one["Id"], check=False)
    for name in networks:  # SDK v2 names its network always the same: another process may use it now
        docker("network", "rm", name, check=False)
