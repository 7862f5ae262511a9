"""A server beyond what it can do: overload, SIGTERM, killed workers, clients that misbehave, no descriptors left."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.load import models
from scripts.load.client import PING, Outcome, keep_asking, request
from scripts.load.server import Server, serving

CAPACITY_SECONDS, WARM_SECONDS = 5.0, 2.0
CLIENTS = 64
QUIET = {"MODEL_SERVER_ACCESS_LOG": "false"}
METRICS = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
TRICKLING = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n1"


@dataclass(frozen=True)
class Overload:
    """What became of requests that came at twice the rate at which they can be answered."""

    outcome: Outcome
    capacity: float
    growth: float

    @property
    def other_statuses(self) -> int:
        """Answers that were neither 200 nor 503, and requests that had none."""
        return self.outcome.lost + sum(n for status, n in self.outcome.statuses.items() if status not in (200, 503))

    @property
    def spread(self) -> float:
        """The 99th percentile of the accepted against their median."""
        return self.outcome.quantile(0.99) / self.outcome.median


@contextlib.contextmanager
def served(name: str, workers: int = 1, options: Sequence[str] = (), **environ: str) -> Iterator[Server]:
    """A server of a model of a usual size, whose log keeps no line of a request."""
    with (
        tempfile.TemporaryDirectory() as base,
        serving(models.written(name, Path(base)), QUIET | environ, workers, options) as server,
    ):
        yield server


def asked(name: str, instances: int) -> list[bytes]:
    """The bytes of a request."""
    return [request("/invocations", models.work(name, instances).body)]


def overload(server: Server, data: Sequence[bytes], seconds: float) -> Overload:
    """Twice as many requests as can be answered, for some seconds; the memory is compared from a tenth of them on."""
    keep_asking(server.port, data, 8, WARM_SECONDS)
    capacity = keep_asking(server.port, data, 8, CAPACITY_SECONDS).rate
    sizes, stopped = list[int](), threading.Event()

    def watch() -> None:
        while not stopped.wait(max(0.1, seconds / 100)):
            sizes.append(server.resident_bytes())

    watching = threading.Thread(target=watch)
    watching.start()
    outcome = keep_asking(server.port, data, CLIENTS, seconds, rate=2 * capacity)
    stopped.set()
    watching.join()
    tenth = max(1, len(sizes) // 10)
    growth = statistics.fmean(sizes[-tenth:]) / statistics.fmean(sizes[tenth : 2 * tenth]) - 1
    return Overload(outcome, capacity, growth)


def stopped_under_load(server: Server, data: Sequence[bytes]) -> tuple[Outcome, float]:
    """SIGTERM while clients ask: how they were answered, and the seconds until the server had ended.

    A request that could not be sent any more was not accepted; each that was is answered.
    """
    outcomes = list[Outcome]()
    asking = threading.Thread(target=lambda: outcomes.append(keep_asking(server.port, data, 8, 4.0, ends=True)))
    asking.start()
    time.sleep(1.5)
    took = server.stop()
    asking.join()
    return outcomes[0], took


def killed_under_load(server: Server, data: Sequence[bytes]) -> tuple[Outcome, Outcome]:
    """SIGKILL of a worker while clients ask: how they were answered meanwhile, and after another took its part."""
    outcomes = list[Outcome]()
    asking = threading.Thread(target=lambda: outcomes.append(keep_asking(server.port, data, 8, 6.0)))
    asking.start()
    time.sleep(1.5)
    os.kill(server.workers[0], signal.SIGKILL)
    asking.join()
    server.until_ready()
    return outcomes[0], keep_asking(server.port, data, 8, 2.0)


def fill_disks(server: Server) -> None:
    """Fills what a container can write to; its /tmp and /dev/shm are to be small."""
    for folder in ("/tmp", "/dev/shm"):
        filling = f"dd if=/dev/zero of={folder}/fill bs=64k; echo more >> {folder}/more"
        done = subprocess.run(
            ["docker", "exec", server.container, "sh", "-c", filling], capture_output=True, text=True, check=False
        )
        if "No space left" not in done.stderr:
            raise RuntimeError(f"{folder} is not full: {done.stderr}")


def replaced_under_load(name: str, instances: int) -> Outcome:
    """The files of a model written anew, overwritten in place and emptied, while clients ask."""
    data, outcomes = asked(name, instances), list[Outcome]()
    with tempfile.TemporaryDirectory() as base, serving(models.written(name, Path(base)), QUIET) as server:
        asking = threading.Thread(target=lambda: outcomes.append(keep_asking(server.port, data, 8, 6.0)))
        asking.start()
        time.sleep(1.5)
        models.written(name, Path(base))
        time.sleep(1.5)
        for file in (Path(base) / "model").iterdir():
            file.write_bytes(file.read_bytes())
            file.write_bytes(b"")
        asking.join()
    return outcomes[0]


def beside(server: Server, data: Sequence[bytes], misbehaving: Callable[[int], socket.socket], count: int) -> Outcome:
    """One client of some others: how it is answered beside so many that misbehave."""
    with contextlib.ExitStack() as opened:
        for _ in range(count):
            opened.enter_context(misbehaving(server.port))
        return keep_asking(server.port, [*data, PING], 2, 3.0)


def sent(data: bytes) -> Callable[[int], socket.socket]:
    """A client that sends something, and then neither sends nor reads."""

    def connect(port: int) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", port), timeout=20)
        with contextlib.suppress(OSError):
            client.sendall(data)
        return client

    return connect


def vanishing(port: int) -> socket.socket:
    """A client that leaves in mid-body, with a reset."""
    client = sent(TRICKLING)(port)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.close()
    return client


MISBEHAVING = {
    "say nothing": sent(b""),
    "stop in mid-head": sent(b"POST /invocations HTTP/1.1\r\nHo"),
    "stop in mid-body": sent(TRICKLING),
    "vanish in mid-body": vanishing,
    "read nothing": sent(METRICS * 20),
    "send what is no HTTP": sent(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 500),
    "pipeline": sent(PING * 50),
}
"""Clients by what they do."""


def without_descriptors(server: Server, data: Sequence[bytes]) -> Outcome:
    """Two clients beside as many idle connections as this process may open, up to 2,000."""
    most = min(2000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100)
    with contextlib.ExitStack() as opened:
        for _ in range(most):
            opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
        return keep_asking(server.port, [*data, PING], 2, 3.0)
