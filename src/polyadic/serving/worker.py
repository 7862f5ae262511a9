"""A gunicorn worker of threads that no client can hold: they read what has come and leave what cannot be sent yet.

The main thread reads every request whole, without waiting for any client, before a thread takes it on, and sends what
a client does not read as fast as it is answered. A connection that is idle, silent or slow costs no thread.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from polyadic.serving import settings
from polyadic.serving.arrival import Arrival
from polyadic.serving.spool import MOST_IN_MEMORY

RECEIVED_BYTES = 2**18
"""Bytes that are received at a time."""
GRACE_SECONDS, BYTES_PER_SECOND = 10.0, 1024
"""A request must arrive, and an answer be read, within the first and a second for each of the second."""
LINGER_SECONDS, MOST_DISCARDED_BYTES = 2.0, 2**27
"""A connection that is being closed takes what the client is still sending, which would otherwise hide the answer."""
MOST_UNSENT_BYTES = 2**24
"""Bytes of a streamed answer that wait for the client before its thread does too."""
SWEEP_SECONDS = 0.5
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def _refusal(status: bytes, text: bytes) -> bytes:
    """The answer to a request that no thread gets."""
    body, close = b'{"error": "%s"}' % text, b"Connection: close\r\nContent-Type: application/json\r\n"
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, close, len(body), body)


LATE = _refusal(b"408 Request Timeout", b"the request came too slowly: send it within 10 s and a second for each KiB")
FULL = _refusal(
    b"503 Service Unavailable\r\nRetry-After: 1", b"the requests under way fill the memory for them: try again"
)
NO_SPACE = _refusal(b"507 Insufficient Storage", b"the disk has no room for the body: send fewer instances a request")
IDLE, COMING, BUSY, LEAVING, CLOSING = range(5)
"""Nothing has come; a part of a request has; a thread has it; the answer is on its way; the client may still send."""


class Line:
    """A connection as gunicorn's parser and responses see a socket: reading and writing never wait for the client.

    Only a streamed answer of which much is unsent waits. unsent: told once bytes could not be sent.
    """

    def __init__(self, sock: socket.socket, limit: int, unsent: Callable[[], None]) -> None:
        self.sock, self.limit, self._tell = sock, limit, unsent
        self.arrival, self.phase, self.ended, self.keep = Arrival(limit), IDLE, False, False
        self.began, self.moved, self.deadline = time.monotonic(), 0, float("inf")
        self.held, self.watched, self.lost, self._continued = 0, False, False, False
        self._unsent, self._room = bytearray(), threading.Condition()

    def recv(self, size: int) -> bytes:
        """What has come, up to so many bytes; none where all has been read."""
        return self.arrival.data.take(size)

    def sendall(self, data: bytes) -> None:
        """Sends what the client takes at once; the main thread sends the rest."""
        with self._room:
            self._room.wait_for(lambda: self.lost or len(self._unsent) <= MOST_UNSENT_BYTES)
            if self.lost:
                raise BrokenPipeError(errno.EPIPE, "the client has gone, or reads nothing")
            left = memoryview(data)
            if not self._unsent:
                left = left[self._sent(left) :]
            waits = len(left) > 0
            self._unsent += left
        if waits:
            self._tell()

    def send(self, data: bytes) -> int:
        """As `sendall`; the word that a client may go on is not said twice, nor where its body is too large."""
        if data != CONTINUE or not (self._continued or self.arrival.too_large):
            self._continued = data == CONTINUE
            self.sendall(data)
        return len(data)

    def there(self) -> bool:
        """Whether the client still is: it has not closed the connection since its request came."""
        with contextlib.suppress(OSError):
            try:
                return self.sock.recv(1, socket.MSG_PEEK) != b""
            except BlockingIOError:
                return not self.lost
        return False

    def flush(self) -> bool:
        """Sends more; whether all is sent. Raises OSError where the client has gone."""
        with self._room:
            with memoryview(self._unsent) as view:
                sent = self._sent(view)
            del self._unsent[:sent]
            self.moved += sent
            self._room.notify_all()
            return not self._unsent

    def lose(self) -> None:
        """Nothing can be sent any more."""
        with self._room:
            self.lost = True
            self._unsent.clear()
            self._room.notify_all()

    def begin(self, phase: int, deadline: float = float("inf")) -> None:
        """A phase begins, which has until `deadline`, or as long as its bytes may take."""
        self.phase, self.began, self.moved, self.deadline = phase, time.monotonic(), 0, deadline

    def late(self, now: float) -> bool:
        """Whether the client takes too long."""
        moving = self.phase in (COMING, LEAVING) or (self.phase == BUSY and self.watched)
        return now > (self.began + GRACE_SECONDS + self.moved / BYTES_PER_SECOND if moving else self.deadline)

    @property
    def waits(self) -> bool:
        """Whether bytes are unsent."""
        return bool(self._unsent)

    def _sent(self, data: memoryview) -> int:
        done = 0
        with contextlib.suppress(BlockingIOError):
            while done < len(data):
                done += self.sock.send(data[done:])
        return done

    def fileno(self) -> int:
        """The number of the socket."""
        return self.sock.fileno()

    def close(self) -> None:
        """The main thread closes."""

    def gettimeout(self) -> float:
        """Nothing waits here."""
        return 0.0

    def shutdown(self, _: int) -> None:
        """The main thread does so."""

    def settimeout(self, _: float | None) -> None:
        """Nothing waits here."""

    def setblocking(self, _: bool) -> None:
        """Nothing waits here."""


class Worker(ThreadWorker):
    """gunicorn's worker of threads, with `Line` for its connections and the main thread for all that waits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limit, self._conns, self._swept = settings.read().largest_body, set[Any](), 0.0
        self._held, self._most_held = 0, self.cfg.threads * min(self._limit, MOST_IN_MEMORY)

    def accept(self, listener: Any) -> None:
        """Takes a connection on, without a thread; where there are too many, in the place of the oldest idle one."""
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE) and not self._evict():
                time.sleep(0.01)
            return
        sock.setblocking(False)
        if self.nr_conns >= self.worker_connections - 1:
            self._evict()
        conn: Any = TConn(self.cfg, Line(sock, self._limit, lambda: self._later(conn)), address, listener.getsockname())
        conn.data_ready = True
        self.nr_conns += 1
        self._conns.add(conn)
        self._await(conn)
        self._read(conn, sock)

    def _await(self, conn: Any) -> None:
        """Waits for a request."""
        line = conn.sock
        line.begin(IDLE, time.monotonic() + (self.cfg.keepalive if self.alive else LINGER_SECONDS))
        self.poller.register(line.sock, selectors.EVENT_READ, partial(self._read, conn))
        self._take(conn)

    def _read(self, conn: Any, sock: Any) -> None:
        """Reads what a client sent."""
        line = conn.sock
        try:
            data = sock.recv(RECEIVED_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
            line.lose()
        if line.phase == CLOSING:
            line.moved += len(data)
            if not data or line.moved > MOST_DISCARDED_BYTES:
                self._drop(conn)
            return
        if line.lost or not (data or line.arrival.data.left):
            self._drop(conn)
            return
        line.ended = not data
        if line.phase == IDLE:
            line.begin(COMING)
        line.moved += len(data)
        try:
            line.arrival.feed(data)
        except OSError:
            self._refuse(conn, NO_SPACE)
            return
        self._hold(line, line.arrival.data.in_memory)
        if self._held > self._most_held and not line.arrival.whole:
            self._refuse(conn, FULL)
        else:
            self._take(conn)

    def _hold(self, line: Line, size: int) -> None:
        """Counts the bytes of requests that are held in memory; a thread that reads them frees them at its end."""
        self._held, line.held = self._held + size - line.held, size

    def _take(self, conn: Any) -> None:
        """Gives a request that is whole, or cut off by its client, to a thread."""
        line = conn.sock
        if line.arrival.whole or line.ended:
            self.poller.unregister(line.sock)
            line.begin(BUSY)
            self.enqueue_req(conn)
        elif line.arrival.data.left and line.phase == IDLE:
            line.begin(COMING)
        if line.arrival.expects and not line.arrival.whole:
            line.arrival.expects = False
            line.send(CONTINUE)

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answers a request; the last one of a client that has ended, or whose body nobody will read to its end."""
        if conn.sock.ended or conn.sock.arrival.too_large or conn.sock.arrival.data.size > MOST_IN_MEMORY:
            req.force_close()
        return bool(super().handle_request(req, conn))

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """What follows a request: the rest of its answer, then the next one, or the end."""
        line = conn.sock
        self._hold(line, 0)
        kept = not fs.cancelled() and fs.exception() is None and bool(fs.result())
        line.keep = kept and not line.ended and not line.arrival.too_large and not line.lost
        line.phase = LEAVING
        if line.waits:
            self._watch(conn)
        else:
            self._answered(conn)

    def _later(self, conn: Any) -> None:
        """Tells the main thread that a thread has left bytes for it to send."""
        self.method_queue.defer(self._watch, conn)

    def _watch(self, conn: Any) -> None:
        line = conn.sock
        if line.waits and not line.watched and line.phase in (BUSY, LEAVING):
            line.watched, line.began, line.moved = True, time.monotonic(), 0
            self.poller.register(line.sock, selectors.EVENT_WRITE, partial(self._write, conn))

    def _write(self, conn: Any, sock: Any) -> None:
        """Sends more of an answer."""
        line = conn.sock
        try:
            if not line.flush():
                return
        except OSError:
            line.lose()
        self.poller.unregister(sock)
        line.watched = False
        if line.phase == LEAVING:
            self._answered(conn)

    def _answered(self, conn: Any) -> None:
        line = conn.sock
        if line.keep:
            left = conn.parser.unreader.take_buffered() + line.arrival.data.take(line.arrival.data.left)
            line.arrival = Arrival(self._limit, left)
            self._hold(line, len(left))
            self._await(conn)
        else:
            self._close(conn)

    def _close(self, conn: Any) -> None:
        """Ends a connection: no more is sent, and what the client is still sending is thrown away for a while."""
        line = conn.sock
        try:
            line.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(conn)
            return
        line.begin(CLOSING, time.monotonic() + LINGER_SECONDS)
        self.poller.register(line.sock, selectors.EVENT_READ, partial(self._read, conn))

    def _refuse(self, conn: Any, answer: bytes) -> None:
        """Answers a request that is still coming, as far as the client takes it at once, and ends its connection."""
        line = conn.sock
        self.poller.unregister(line.sock)
        self._hold(line, 0)
        with contextlib.suppress(OSError):
            line.sock.send(answer)
        self._close(conn)

    def _drop(self, conn: Any) -> None:
        """Closes a connection that no thread has."""
        self._hold(conn.sock, 0)
        self._conns.discard(conn)
        self.nr_conns -= 1
        with contextlib.suppress(KeyError, ValueError):
            self.poller.unregister(conn.sock.sock)
        conn.sock.arrival.data.close()
        conn.sock.sock.close()

    def _evict(self) -> bool:
        """Closes the connection that has been idle for longest; whether there was one."""
        idle = [conn for conn in self._conns if conn.sock.phase == IDLE]
        if idle:
            self._drop(min(idle, key=lambda conn: conn.sock.began))
        return bool(idle)

    def murder_pending(self) -> None:
        """Ends connections whose clients take too long."""
        now = time.monotonic()
        if now - self._swept < SWEEP_SECONDS:
            return
        self._swept = now
        for conn in list(self._conns):
            line = conn.sock
            if not line.late(now):
                continue
            if line.phase == COMING:
                self._refuse(conn, LATE)
                continue
            line.lose()
            if line.phase != BUSY:
                self._drop(conn)
            elif line.watched:
                self.poller.unregister(line.sock)
                line.watched = False

    def murder_keepalived(self, force: bool = False) -> None:
        """Closes every connection that no thread has, where `force` says so."""
        for conn in [conn for conn in self._conns if conn.sock.phase != BUSY] if force else []:
            self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        for conn in self._conns:
            if conn.sock.phase == IDLE:
                conn.sock.deadline = min(conn.sock.deadline, deadline)
