"""A server on loopback: this checkout's container/serve, the image by Docker, or any other command."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
READY_SECONDS = 120.0


class Server:
    """A process that serves on a port; container: the name of the one that it runs in, empty for a process of ours."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path, container: str = "") -> None:
        self.process, self.port, self.log, self.container = process, port, log, container

    @property
    def master(self) -> int:
        """gunicorn's own process."""
        if not self.container:
            return self.process.pid
        command = ["docker", "inspect", "--format", "{{.State.Pid}}", self.container]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    @property
    def workers(self) -> list[int]:
        """The processes that answer."""
        try:
            text = Path(f"/proc/{self.master}/task/{self.master}/children").read_text()
        except OSError:
            return []
        return [int(number) for number in text.split()]

    def resident_bytes(self) -> int:
        """The memory of the workers together, shared pages counted once for each."""
        total = 0
        for worker in self.workers:
            with contextlib.suppress(OSError, IndexError):
                total += int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return total

    def get(self, path: str, timeout: float = 10) -> tuple[int, bytes]:
        """Status and body; status 0 where nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def until_ready(self) -> None:
        """Waits until /ping answers 200. Raises RuntimeError, with the log, for a server that ends before."""
        end = time.monotonic() + READY_SECONDS
        while self.get("/ping")[0] != 200:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server is not ready:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.05)

    def stop(self) -> float:
        """SIGTERM; the seconds until the end, after 60 of them by SIGKILL."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)  # `docker run` passes it on.
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - began


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: Sequence[str], port: int, container: str = "", **environ: str) -> Iterator[Server]:
    """A command that serves on a port, ready; it is ended afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="polyadic-load-"))
    log, path = folder / "log", f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    given = {**os.environ, "PATH": path, **environ}
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(command), env=given, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True
        )
    server = Server(process, port, log, container)
    try:
        server.until_ready()
        yield server
    finally:
        if process.poll() is None:
            server.stop()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # What it has left behind.
        if container:
            subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def python(arguments: Sequence[str], environ: Mapping[str, str], base: str = "", container: str = "") -> list[str]:
    """The command that runs Python: this checkout's, or in the image that POLYADIC_IMAGE names, which sees scripts/.

    base: a folder that it sees too.
    """
    image = os.environ.get("POLYADIC_IMAGE")
    if not image:
        return [sys.executable, *arguments]
    seen = [f"{ROOT / 'scripts'}:/bench/scripts:ro", *([f"{base}:{base}"] if base else [])]
    options = [*(f"--volume={each}" for each in seen), *(f"--env={key}={value}" for key, value in environ.items())]
    named = ["--name", container] if container else ["--rm"]
    starting = '. /opt/program/kernels.sh && exec python3 "$@"'
    fixed = ["docker", "run", "--network", "host", "--workdir", "/bench", *named]
    return [*fixed, *options, image, "sh", "-c", starting, "sh", *arguments]


@contextlib.contextmanager
def serving(base: Path, environ: Mapping[str, str], workers: int = 1, options: Sequence[str] = ()) -> Iterator[Server]:
    """The model in base/model, served by this checkout, or by the image that POLYADIC_IMAGE names.

    options: of `docker run`, for the image alone.
    """
    port, image = free_port(), os.environ.get("POLYADIC_IMAGE")
    settings = {"SAGEMAKER_BIND_TO_PORT": str(port), "MODEL_SERVER_WORKERS": str(workers), **environ}
    if image:
        name = f"polyadic-load-{port}"
        given = [part for key, value in settings.items() for part in ("--env", f"{key}={value}")]
        fixed = f"--name {name} --network host --volume {base}:/opt/ml".split()
        with running(["docker", "run", *fixed, *given, *options, image, "serve"], port, name) as server:
            yield server
    else:
        command = [str(ROOT / "container" / "serve")]
        with running(command, port, SAGEMAKER_BASE_DIR=str(base), **settings) as server:
            yield server
