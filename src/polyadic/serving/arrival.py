"""How much of an HTTP request has arrived: whether a thread that takes it on will have to wait for the rest."""

from __future__ import annotations

import re

from polyadic.serving.spool import Spool

MOST_HEAD_BYTES, MOST_LINE_BYTES = 2**16, 2**10
"""Of a request's head, and of the line before a chunk: where more come, the parser has enough to refuse them."""
MOST_FRAMING_BYTES = 2**20
"""What the lines between chunks may take, beside as much as the largest body."""
MOST_DIGITS = 16
BLANK, DIGITS = b"\r\n\r\n", re.compile(rb"[0-9a-fA-F]{1,15}")


class Arrival:
    """The bytes of a request as they come; those that follow it stay behind them.

    limit: bytes of the largest body. `whole`: nothing of it is missing, or the rest would not change the answer, as
    where it is no valid request. `too_large`: the body is larger than the limit. `expects`: the client waits for a
    word (100 Continue) before it sends the body.
    """

    def __init__(self, limit: int, data: bytes = b"") -> None:
        self.limit, self.data = limit, Spool()
        self.whole = self.too_large = self.expects = False
        self._at, self._body, self._end, self._chunked = 0, 0, -1, False
        if data:
            self.feed(data)

    def feed(self, data: bytes) -> None:
        """More of it has come. Raises OSError where the disk is full."""
        self.data.append(data)
        if not self.whole and not self._body:
            self._read_head()
        if not self.whole and self._body:
            if self._chunked:
                self._read_chunks()
            else:
                self.whole = self._end <= self.data.size

    def _read_head(self) -> None:
        end = self.data.find(BLANK, max(0, self._at - len(BLANK)))
        self._at = self.data.size
        if end < 0:
            self.whole = self._at > MOST_HEAD_BYTES
            return
        self._at = self._body = end + len(BLANK)
        length = b"0"
        for line in self.data.peek(0, end).lower().split(b"\r\n")[1:]:
            name, _, value = (part.strip() for part in line.partition(b":"))
            if name == b"transfer-encoding":
                self._chunked = value.endswith(b"chunked")
            elif name == b"content-length":
                length = value
            elif name == b"expect":
                self.expects = value == b"100-continue"
        sound = length.isdigit() and len(length) < MOST_DIGITS
        self._end = self._body + (int(length) if sound and not self._chunked else 0)
        self.too_large = self._end > self._body + self.limit
        self.whole = self.too_large or not sound

    def _read_chunks(self) -> None:
        """Goes from one chunk to the next as far as they have come; after the last, to the end of the trailers."""
        while (end := self.data.find(b"\r\n", self._at, MOST_LINE_BYTES + 2)) >= 0:
            text = self.data.peek(self._at, end).partition(b";")[0].strip()
            size = int(text, 16) if DIGITS.fullmatch(text) else 0
            if not size:  # The last one, or none at all.
                trailers = self.data.find(BLANK, end, MOST_HEAD_BYTES) >= 0 or self.data.size - end > MOST_HEAD_BYTES
                self.whole = trailers or not DIGITS.fullmatch(text)
                return
            come = self._end - self._body + min(size, self.data.size - end - 2)
            framed = self.data.size - self._body > 2 * self.limit + MOST_FRAMING_BYTES
            self.whole = self.too_large = come > self.limit or framed
            if self.whole or end + size + 4 > self.data.size:
                return
            self._at, self._end = end + size + 4, self._end + size
        self.whole = self.data.size - self._at > MOST_LINE_BYTES
