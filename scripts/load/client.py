"""Keep-alive clients of one process: they ask as fast as they are answered, or at a rate, whatever the answers are."""

from __future__ import annotations

import selectors
import socket
import statistics
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

RECEIVED_BYTES = 2**18
PATIENCE_SECONDS = 60.0


def request(path: str, body: bytes, kind: str = "application/json", **headers: str) -> bytes:
    """The bytes of a POST."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"


@dataclass
class Outcome:
    """How requests were answered: seconds by status, requests without an answer, and what 503 lacked."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    lost: int = 0
    without_retry: int = 0
    took: float = 0.0

    @property
    def statuses(self) -> Counter[int]:
        """Answers by status."""
        return Counter({status: len(each) for status, each in self.seconds.items()})

    @property
    def failed(self) -> int:
        """Requests that were not answered by 200."""
        return self.lost + sum(count for status, count in self.statuses.items() if status != 200)

    @property
    def rate(self) -> float:
        """Answers 200 a second."""
        return len(self.seconds.get(200, [])) / self.took

    def quantile(self, level: float, status: int = 200) -> float:
        """Seconds within which a share of the answers of a status came."""
        ordered = sorted(self.seconds.get(status, [])) or [float("nan")]
        return ordered[min(len(ordered) - 1, int(level * len(ordered)))]

    @property
    def median(self) -> float:
        """Seconds within which half of the answers 200 came."""
        return statistics.median(self.seconds.get(200) or [float("nan")])


class _Line:
    """A connection, and the answer that it waits for."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got, self.began, self._end, self.used = bytearray(), 0.0, -1, False

    def ask(self, data: bytes) -> None:
        """Sends a request."""
        self.got.clear()
        self._end, self.began = -1, time.perf_counter()
        self.sock.sendall(data)

    def read(self) -> int | None:
        """The status of an answer that is whole, None for one that is not. Raises OSError where it breaks off."""
        data = self.sock.recv(RECEIVED_BYTES)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        self.got += data
        if self._end == -1 and (head := self.got.find(b"\r\n\r\n")) >= 0:
            fields = bytes(self.got[:head]).lower()
            at = fields.find(b"content-length:")
            self._end = head + 4 + int(fields[at + 15 :].split(b"\r\n")[0]) if at >= 0 else -2
        whole = len(self.got) >= self._end >= 0 if self._end != -2 else self.got.endswith(b"0\r\n\r\n")
        return int(self.got[9:12]) if whole else None


def _line(port: int, ends: bool) -> _Line | None:
    """A new connection; None where the server may have ended, and has."""
    try:
        return _Line(port)
    except OSError:
        if not ends:
            raise
        return None


def _counted(line: _Line, status: int, outcome: Outcome, port: int, ends: bool) -> _Line | None:
    """Counts an answer, or that there was none (status 0); the connection on which to ask next, if there is one."""
    if status:
        line.used = True
        outcome.seconds.setdefault(status, []).append(time.perf_counter() - line.began)
        head = bytes(line.got[: line.got.find(b"\r\n\r\n")]).lower()
        outcome.without_retry += status == 503 and b"\r\nretry-after:" not in head
        if b"\r\nconnection: close" not in head:
            return line
    else:  # A reset before any byte on a connection that was idle before is HTTP's race, not a loss.
        outcome.lost += bool(line.got) or not (line.used or ends)
    line.sock.close()
    return _line(port, ends)


def keep_asking(
    port: int,
    requests: Sequence[bytes],
    clients: int,
    seconds: float,
    rate: float | None = None,
    ends: bool = False,
) -> Outcome:
    """Asks the requests in turn for some seconds.

    rate: requests a second, sent on idle connections whatever became of those before; None for as many as are answered.
    ends: whether the server may end meanwhile: whom it no longer takes on is not counted.
    """
    outcome, idle, numbers = Outcome(), deque(_Line(port) for _ in range(clients)), 0
    selector, began = selectors.DefaultSelector(), time.perf_counter()
    waiting = 0
    while True:
        now = time.perf_counter()
        going = now - began < seconds
        due = clients if rate is None else int((now - began) * rate) - numbers
        while going and idle and due > 0:
            line = idle.popleft()
            try:
                line.ask(requests[numbers % len(requests)])
            except OSError:  # It was closed while it was idle, as HTTP allows.
                line.sock.close()
                if (another := _line(port, ends)) is None:
                    continue
                line = another
                line.ask(requests[numbers % len(requests)])
            selector.register(line.sock, selectors.EVENT_READ, line)
            numbers, waiting, due = numbers + 1, waiting + 1, due - 1
        if not waiting and (not going or not idle):
            break
        pause = 0.5 if rate is None or not going else max(0.0, (numbers + 1) / rate - (now - began))
        for key, _ in selector.select(pause):
            line = key.data
            try:
                status = line.read()
            except OSError:
                status = 0
            if status is None:
                continue
            selector.unregister(line.sock)
            waiting -= 1
            if (another := _counted(line, status, outcome, port, ends)) is not None:
                idle.append(another)
    outcome.took = time.perf_counter() - began
    for line in idle:
        line.sock.close()
    return outcome
