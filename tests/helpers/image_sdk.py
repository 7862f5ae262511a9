"""The SageMaker SDKs, each in a virtual environment of its own, run as scripts that reach nothing but this machine."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers.image_jobs import made

HERE = Path(__file__).parents[1] / "contract" / "docker"
REPOSITORY = HERE.parents[2]
NO_TELEMETRY = """\
SchemaVersion: '1.0'
SageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}
"""
NOWHERE = "http://127.0.0.1:9"


def sdk_python(version: int) -> Path:
    """The python of SageMaker's SDK of a version."""
    return client_python(f"sdk{version}")


def client_python(name: str) -> Path:
    """The python of .venv-NAME, made from its lock file on first use and when that file changes."""
    lock = HERE.parent / f"{name}-requirements.lock"
    folder = REPOSITORY / f".venv-{name}"
    python, stamp = folder / "bin" / "python", folder / "installed-from"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        make_environment(folder, lock)
        stamp.write_text(digest)
    return python


def make_environment(folder: Path, lock: Path) -> None:
    """A virtual environment with what a lock file names; by uv, which takes seconds where pip takes minutes."""
    uv = [sys.executable, "-m", "uv", "--native-tls"]
    commands = [
        [*uv, "venv", "--clear", "--python", sys.executable, str(folder)],
        [*uv, "pip", "install", "--python", str(folder / "bin" / "python"), "--requirement", str(lock)],
    ]
    for command in commands:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{' '.join(command)} failed:\n{(result.stdout + result.stderr)[-4000:]}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Sdk:
    """Runs scripts of scripts/ under one SDK, with a test's own scratch folder."""

    python: Path
    scratch: Path

    def run(self, script: str, timeout: float = 240, **spec: Any) -> Any:
        """Run a script that must succeed; returns the value it wrote."""
        code, output = self._execute(script, spec, timeout)
        assert code == 0, f"{script} exited {code}:\n{output[-8000:]}"
        return json.loads(self._result.read_text())

    def run_failing(self, script: str, timeout: float = 240, **spec: Any) -> str:
        """Run a script that must fail; returns what it printed."""
        code, output = self._execute(script, spec, timeout)
        assert code != 0, f"{script} should have failed, and printed:\n{output[-8000:]}"
        return output

    @property
    def printed(self) -> str:
        """What the last script printed, its containers' logs among it."""
        return self._printed.read_text()

    @property
    def _printed(self) -> Path:
        return self.scratch / "printed.txt"

    @property
    def _result(self) -> Path:
        return self.scratch / "result.json"

    def _execute(self, script: str, spec: dict[str, Any], timeout: float) -> tuple[int, str]:
        command = [str(self.python), str(HERE / "scripts" / script), json.dumps(spec), str(self._result)]
        self._result.unlink(missing_ok=True)
        process = subprocess.Popen(
            command, env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=made(self.scratch / "cwd"), start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=timeout)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        self._printed.write_text(output)
        return process.returncode, output

    def _environment(self) -> dict[str, str]:
        """Fake keys, telemetry off, and every AWS endpoint and proxy a closed port: what would go out fails."""
        settings = self.scratch / "sagemaker.yaml"
        settings.write_text(NO_TELEMETRY)
        inherited = {k: os.environ[k] for k in ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG") if k in os.environ}
        return inherited | {
            "TMPDIR": str(made(self.scratch / "tmp")),
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": NOWHERE,
            "HTTPS_PROXY": NOWHERE, "NO_PROXY": "localhost,127.0.0.1",
            "SAGEMAKER_USER_CONFIG_OVERRIDE": str(settings), "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(settings),
            "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        }  # fmt: skip
