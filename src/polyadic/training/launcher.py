"""PID 1 of a training container: signals, one worker process a device, one verdict for all hosts."""

from __future__ import annotations

import signal
import sys
from types import FrameType

_stop = False


def _on_signal(signum: int, frame: FrameType | None) -> None:
    global _stop
    _stop = True


if __name__ == "__main__":
    # First of all: the kernel drops a signal to a PID 1 that has no handler for it.
    signal.signal(signal.SIGTERM, _on_signal)
    signal.signal(signal.SIGINT, _on_signal)

import contextlib  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import socket  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402

from polyadic.errors import (  # noqa: E402
    AlgorithmError,
    PlatformError,
    PolyadicError,
    UserError,
    classify,
    failure_text,
)
from polyadic.training import messages, script_mode  # noqa: E402
from polyadic.training.environment import Environment, read_environment  # noqa: E402

POLL_SECONDS = 0.2
RESOLVE_SECONDS = 900.0


def main(arguments: Sequence[str] = ()) -> int:
    """Trains as the environment says; 0 for success, or the exit code of the failure's kind."""
    host, failure_file = (
        "algo-1",
        Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "output" / "failure",
    )
    try:
        environment = read_environment()
        host = environment.current_host
        environment.failure.unlink(missing_ok=True)  # An earlier job's reason in a folder that is used again.
        if script_mode.asked_for(environment):
            return script_mode.run(environment, lambda: _stop)
        _await_peers(environment)
        failure = _train(environment, arguments)
    except Exception as error:  # The outermost frame: whatever it is, the failure file says it.
        failure = classify(error)
    if failure is None:
        return 0
    text = failure_text(failure, host)
    print(f"error: {text}", file=sys.stderr, flush=True)
    if "--dry-run" not in arguments:
        _write_failure(failure_file, text)
    return failure.exit_code


def _train(environment: Environment, arguments: Sequence[str]) -> PolyadicError | None:
    """Runs this host's workers beside the other hosts'; the verdict of all."""
    folder = Path(tempfile.mkdtemp(prefix="polyadic-"))
    workers = subprocess.Popen(
        _command(environment, arguments),
        env=_variables(environment, folder),
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )
    try:
        if len(environment.hosts) == 1:
            return _own_end(_watch(workers, folder), folder)
        from polyadic.training.verdict import Verdict

        verdict = Verdict(environment)
        peer = None
        while workers.poll() is None and peer is None:
            _pass_on_stop(folder)
            peer = verdict.failed_peer()
            time.sleep(POLL_SECONDS)
        if peer is not None and workers.poll() is None:
            workers.kill()
            workers.wait()
            return verdict.reach(messages.first_failure(folder) or peer)
        return verdict.reach(_own_end(workers.wait(), folder))
    except RuntimeError as error:
        raise PlatformError(f"host {environment.hosts[0]} stopped answering ({str(error).splitlines()[0]})") from None
    finally:
        workers.kill()
        workers.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _watch(workers: subprocess.Popen[bytes], folder: Path) -> int:
    while True:
        _pass_on_stop(folder)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return workers.wait(POLL_SECONDS)


def _pass_on_stop(folder: Path) -> None:
    if _stop and not messages.stop_requested(folder):
        print("stopping: the model is saved at the next step boundary", file=sys.stderr, flush=True)
        messages.request_stop(folder)


def _own_end(code: int, folder: Path) -> PolyadicError | None:
    """How this host's workers ended."""
    if code == 0:
        return None
    if failure := messages.first_failure(folder):
        return failure
    if code in (9, -9, 137):
        return UserError(
            "a worker was killed (signal 9), most likely because the instance ran out of memory: "
            "choose one with more, lower mini_batch_size or rank, or use more hosts"
        )
    return AlgorithmError(f"a worker ended with code {abs(code)} and gave no reason")


def _command(environment: Environment, arguments: Sequence[str]) -> list[str]:
    """The only worker of this host; where it has several GPUs, the agent that starts one for each."""
    if environment.num_gpus < 2:
        return [sys.executable, "-u", "-m", "polyadic.training.job", *arguments]
    return [
        *(sys.executable, "-u", "-m", "polyadic.training.agent"),
        *("--nnodes", str(len(environment.hosts)), "--node-rank", str(environment.host_rank)),
        *("--nproc-per-node", str(environment.num_gpus), "--max-restarts", "0"),
        *("--master-addr", environment.master_address, "--master-port", str(environment.master_port)),
        *("-m", "polyadic.training.job", *arguments),
    ]


def _variables(environment: Environment, folder: Path) -> dict[str, str]:
    """The workers' environment; what the user has set holds."""
    threads = max(1, (os.cpu_count() or 1) // max(1, environment.num_gpus))
    ours = {
        "OMP_NUM_THREADS": str(threads),
        # Threads that spin at a barrier stand in the way of whatever else the host does.
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
        "NCCL_DEBUG": "WARN",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
    }
    if environment.network_interface:
        ours |= {
            "NCCL_SOCKET_IFNAME": environment.network_interface,
            "GLOO_SOCKET_IFNAME": environment.network_interface,
        }
    place = {
        "RANK": str(environment.host_rank),
        "WORLD_SIZE": str(len(environment.hosts)),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": environment.master_address,
        "MASTER_PORT": str(environment.master_port),
        messages.FOLDER_VARIABLE: str(folder),
    }
    return {**environment.variables(), **ours, **os.environ, **place}


def _await_peers(environment: Environment) -> None:
    """Waits, with back-off, until every host has an address: in the first seconds of a job some have none."""
    deadline, pause = time.monotonic() + RESOLVE_SECONDS, 0.1
    waiting = (
        []
        if os.environ.get("MASTER_ADDR")
        else [host for host in environment.hosts if host != environment.current_host]
    )
    while waiting := [host for host in waiting if not _resolves(host)]:
        if time.monotonic() > deadline or _stop:
            raise PlatformError(f"no address for {', '.join(waiting)}: the hosts cannot see one another")
        time.sleep(pause)
        pause = min(2 * pause, 30)


def _resolves(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None))
    except (OSError, UnicodeError):  # UnicodeError of a name that is too long, or empty between two dots.
        return False


def _write_failure(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        print(f"error: {path} cannot be written ({error})", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
