"""A program that was started: its lines, its end, and the removal of all its processes."""

import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from local_mode.errors import LocalModeError
from local_mode.stopping import StopRequest

LineSink = Callable[[str], None]
POLL_SECONDS = 0.1


class Running:
    """One host or one server, started on construction; its output goes line by line to `on_line`."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], on_line: LineSink) -> None:
        self.name = name
        self.last_lines: deque[str] = deque(maxlen=20)
        self._on_line = on_line
        # A session of its own: a Ctrl-C in the terminal reaches us alone, and we decide what follows.
        self.process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        self._pump = threading.Thread(target=self._pump_lines, name=f"output of {name}", daemon=True)
        self._pump.start()

    def poll(self) -> int | None:
        return self.process.poll()

    def terminate(self) -> None:
        """SIGTERM to the main process alone, as `docker stop` does."""
        self.process.terminate()

    def kill(self) -> None:
        """Ends every process of this program at once."""
        self.process.kill()

    def close(self) -> None:
        """Returns when nothing of this program remains and its last line was delivered."""
        self.kill()
        self.process.wait()
        self._pump.join(timeout=5)
        if not self._pump.is_alive() and self.process.stdout is not None:
            self.process.stdout.close()

    def _pump_lines(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.last_lines.append(line.rstrip("\n"))
            try:
                self._on_line(line.rstrip("\n"))
            except Exception:  # Our reader went away, or failed: the program must still not block on a full pipe.
                self._on_line = _discard


def _discard(line: str) -> None:
    pass


def print_line(line: str) -> None:
    print(line, flush=True)


def prefixed(name: str, on_line: LineSink) -> LineSink:
    return lambda line: on_line(f"{name} | {line}")


def wait_for_exit(programs: Iterable[Running], seconds: float) -> bool:
    """True if all of them end within the time."""
    deadline = time.monotonic() + seconds
    waiting = list(programs)
    while waiting and time.monotonic() < deadline:
        waiting = [program for program in waiting if program.poll() is None]
        if waiting:
            time.sleep(POLL_SECONDS)
    return not waiting


def stop_all(programs: Iterable[Running], seconds: float, stop: StopRequest | None = None) -> None:
    """SIGTERM, up to `seconds` to end by themselves, then SIGKILL; one more Ctrl-C shortens the wait."""
    alive = [program for program in programs if program.poll() is None]
    already = stop.count if stop else 0
    for program in alive:
        program.terminate()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not (stop and stop.count > already):
        if wait_for_exit(alive, POLL_SECONDS):
            return
    for program in alive:
        program.kill()


def close_all(programs: Iterable[Running]) -> None:
    """Closes every program even if one of them resists, then reports the first that did."""
    failures = []
    for program in programs:
        try:
            program.close()
        except (OSError, LocalModeError) as error:
            failures.append(error)
    if failures:
        raise failures[0]
