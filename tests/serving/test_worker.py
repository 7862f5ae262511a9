"""Clients that send or read slowly, or not at all, hold nobody up; gunicorn's own worker of threads is held by them."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from polyadic.serving.worker import Line

OURS, THEIRS = "polyadic.serving.worker.Worker", "gthread"
THREADS = 2
APP = """
import threading, time
going = threading.Semaphore(0)
def app(environ, start):
    path, body = environ["PATH_INFO"], environ["wsgi.input"].read()
    if path == "/slow":
        time.sleep(float(environ["QUERY_STRING"]))
    answer = b"x" * (20 * 2**20) if path == "/large" else b"%d" % len(body)
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
"""


class Server:
    """gunicorn with one worker of two threads."""

    def __init__(self, kind: str, folder: Path, **environ: str) -> None:
        (folder / "echo.py").write_text(APP)
        options = {"worker-class": kind, "threads": str(THREADS), "workers": "1", "bind": "127.0.0.1:0"}
        options |= {"keep-alive": "30", "graceful-timeout": "10"}
        command = [sys.executable, "-m", "gunicorn", "--no-control-socket"]
        command += [f"--{name}={value}" for name, value in options.items()]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "echo:app"], cwd=folder, stderr=log, env={**os.environ, **environ}
            )
        while not (found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", (folder / "log").read_text())):
            assert self.process.poll() is None
            time.sleep(0.05)
        self.port = int(found[1])
        self.ask("/")

    def ask(self, path: str, body: bytes = b"", timeout: float = 10) -> tuple[int, bytes, float]:
        """The status, the answer, and the seconds that it took."""
        began = time.monotonic()
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            client.request("POST", path, body)
            answer = client.getresponse()
            return answer.status, answer.read(), time.monotonic() - began
        finally:
            client.close()

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A connection on which something has been sent."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        client.sendall(sent)
        return client


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AbstractContextManager[Server]]:
    @contextlib.contextmanager
    def start(kind: str = OURS, **environ: str) -> Iterator[Server]:
        server = Server(kind, tmp_path_factory.mktemp("server"), **environ)
        try:
            yield server
        finally:
            server.process.kill()
            server.process.wait()

    return start


@pytest.fixture(scope="module")
def server(started: Callable[..., AbstractContextManager[Server]]) -> Iterator[Server]:
    with started() as running:
        yield running


def silent(server: Server) -> socket.socket:
    """A client that says nothing."""
    return server.connect()


def trickling(server: Server) -> socket.socket:
    """A client that has sent a part of its body."""
    return server.connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n12345")


def headless(server: Server) -> socket.socket:
    """A client that has sent a part of its head."""
    return server.connect(b"POST / HTTP/1.1\r\nHo")


def unreading(server: Server) -> socket.socket:
    """A client that does not read a large answer."""
    return server.connect(b"POST /large HTTP/1.1\r\nHost: x\r\n\r\n")


CLIENTS = [silent, trickling, headless, unreading]


def held(server: Server, client: Callable[[Server], socket.socket]) -> float:
    """The longest of some requests, in seconds, while four times as many such clients as threads are there."""
    others = [client(server) for _ in range(4 * THREADS)]
    try:
        time.sleep(0.3)
        longest = 0.0
        for _ in range(5):
            try:
                longest = max(longest, server.ask("/", timeout=3)[2])
            except TimeoutError:
                return 3.0
        return longest
    finally:
        for other in others:
            other.close()


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
def test_no_client_holds_a_thread(server: Server, client: Callable[[Server], socket.socket]) -> None:
    assert held(server, client) < 1


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
def test_gunicorns_own_threads_are_held(
    started: Callable[..., AbstractContextManager[Server]], client: Callable[[Server], socket.socket]
) -> None:
    """What the test above finds is not there in every server."""
    with started(THEIRS) as theirs:
        assert held(theirs, client) >= 2


def bodies(client: socket.socket, count: int) -> list[bytes]:
    """The bodies of so many answers with status 200."""
    received, found = b"", list[bytes]()
    while len(found) < count:
        data = client.recv(2**20)
        assert data, received[:1000]
        received += data
        while head := re.match(rb"HTTP/1.1 200 OK\r\n.*?Content-Length: (\d+)\r\n\r\n", received, re.DOTALL):
            whole = head.end() + int(head[1])
            if len(received) < whole:
                break
            found.append(received[head.end() : whole])
            received = received[whole:]
    return found


@pytest.mark.slow
def test_slow_clients_are_answered_in_the_end(server: Server) -> None:
    with trickling(server) as client:
        for _ in range(19):
            time.sleep(0.02)
            client.sendall(b"12345")
        assert bodies(client, 1) == [b"100"]
    with unreading(server) as reading:
        time.sleep(0.5)
        assert bodies(reading, 1) == [b"x" * 20 * 2**20]
        reading.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        assert bodies(reading, 1) == [b"3"]


@pytest.mark.slow
def test_requests_that_come_together_are_answered_in_their_order(server: Server) -> None:
    one = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
    with server.connect(b"".join(one % (n, b"a" * n) for n in (1, 22, 3)) + one[:20]) as client:
        assert bodies(client, 3) == [b"1", b"22", b"3"]
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
    with server.connect(chunked[:-3]) as other:
        time.sleep(0.1)
        other.sendall(chunked[-3:] + chunked)
        assert bodies(other, 2) == [b"4", b"4"]


@pytest.mark.slow
def test_a_client_that_waits_for_a_word_gets_it_once(server: Server) -> None:
    with server.connect(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n") as client:
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hello")
        assert bodies(client, 1) == [b"5"]


@pytest.mark.slow
def test_a_body_over_the_limit_is_not_read(started: Callable[..., AbstractContextManager[Server]]) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
    with started(MAX_CONTENT_LENGTH="1000") as small, small.connect(head + b"a" * 2000) as client:
        assert bodies(client, 1) == [b"2000"]  # What came: it is for the application to refuse it.
        with contextlib.suppress(OSError):
            client.sendall(b"a" * 10_000_000)
        assert small.ask("/", b"abc")[:2] == (200, b"3")


@pytest.mark.slow
def test_a_client_whose_body_is_too_large_is_not_told_to_send_it(
    started: Callable[..., AbstractContextManager[Server]],
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100000000\r\n\r\n"
    with started(MAX_CONTENT_LENGTH="1000") as small, small.connect(head) as client:
        answer = client.recv(1000)
        assert answer.startswith(b"HTTP/1.1 200 ") and b"Connection: close" in answer


@pytest.mark.slow
def test_clients_that_vanish_leave_nothing_behind(server: Server) -> None:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    open_files = Path(f"/proc/{children[0]}/fd")
    for client in CLIENTS * 20:
        client(server).close()
    deadline = time.monotonic() + 10
    while len(list(open_files.iterdir())) > 30 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(list(open_files.iterdir())) <= 30 and server.ask("/")[0] == 200


@pytest.mark.slow
def test_what_was_accepted_is_answered_when_it_is_ended(started: Callable[..., AbstractContextManager[Server]]) -> None:
    with started() as ending, silent(ending) as idle, trickling(ending) as part:
        answers: list[tuple[int, bytes, float]] = []
        asking = threading.Thread(target=lambda: answers.append(ending.ask("/slow?2", b"abc")))
        asking.start()
        time.sleep(0.5)
        ending.process.send_signal(signal.SIGTERM)
        part.sendall(b"a" * 95)
        assert bodies(part, 1) == [b"100"]
        asking.join()
        assert answers[0][:2] == (200, b"3")
        assert ending.process.wait(10) == 0
        assert idle.recv(10) == b""


@pytest.mark.slow
def test_a_request_that_comes_too_slowly_is_ended(started: Callable[..., AbstractContextManager[Server]]) -> None:
    with started() as patient:
        began = time.monotonic()
        with trickling(patient) as client:
            answer = client.recv(1000)
        assert answer.startswith(b"HTTP/1.1 408 ") and b"too slowly" in answer
        assert 9 < time.monotonic() - began < 13


@pytest.mark.slow
def test_bodies_that_would_fill_the_memory_are_refused(started: Callable[..., AbstractContextManager[Server]]) -> None:
    """Two threads, so that no more than two of the largest bodies are held."""
    part = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 900_000
    with started(MAX_CONTENT_LENGTH="1000000") as small, contextlib.ExitStack() as stack:
        first, second, third = (stack.enter_context(small.connect()) for _ in range(3))
        first.sendall(part)
        second.sendall(part)
        time.sleep(0.5)
        with contextlib.suppress(OSError):
            third.sendall(part)
        answer = third.recv(1000)
        assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 1" in answer
        for client in (first, second):
            client.sendall(b"a" * 100_000)
            assert bodies(client, 1) == [b"1000000"]
        assert small.ask("/", b"a" * 1_000_000)[:2] == (200, b"1000000")


@pytest.mark.parametrize("leaves", ["nothing", "closes", "resets", "sends more"])
def test_a_line_knows_whether_its_client_is_still_there(leaves: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        sock, _ = listener.accept()
    sock.setblocking(False)
    line = Line(sock, 100, lambda: None)
    try:
        if leaves == "sends more":
            client.sendall(b"next")
        elif leaves != "nothing":
            if leaves == "resets":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            client.close()
        time.sleep(0.05)
        assert line.there() == (leaves in ("nothing", "sends more"))
        line.lose()
        assert line.there() == (leaves == "sends more")
    finally:
        client.close()
        sock.close()
