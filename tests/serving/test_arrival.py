"""How much of a request has arrived, in pieces of any size; what gunicorn's own parser makes of it is the oracle."""

from __future__ import annotations

import itertools

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from polyadic.serving.arrival import MOST_HEAD_BYTES, MOST_LINE_BYTES, Arrival

LIMIT = 1000
HEADS = st.sampled_from(
    [b"POST /invocations HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nContent-Type: a/b\r\nHost: x\r\n"]
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A request of a stated length or in chunks, and its body."""
    head, body = draw(HEADS), draw(st.binary(max_size=200))
    if draw(st.booleans()):
        return head + b"content-LENGTH:  %d\r\n\r\n" % len(body) + body, body
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=4)))
    pieces = [body[begin:end] for begin, end in itertools.pairwise([0, *cuts, len(body)])]
    extension, trailer = draw(st.sampled_from([b"", b";a=b"])), draw(st.sampled_from([b"", b"x: y\r\n"]))
    chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces if piece)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailer + b"\r\n", body


@given(requests(), st.data())
def test_a_request_is_whole_with_its_last_byte_and_not_before(drawn: tuple[bytes, bytes], data: st.DataObject) -> None:
    sent, body = drawn
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent) - 1), max_size=6)))
    arrival = Arrival(LIMIT)
    for begin, end in itertools.pairwise([0, *cuts]):
        arrival.feed(sent[begin:end])
        assert not arrival.whole
    arrival.feed(sent[cuts[-1] if cuts else 0 :])
    assert arrival.whole and not arrival.too_large and arrival.data.peek(0, arrival.data.size) == sent
    message = next(RequestParser(Config(), iter([sent]), ("127.0.0.1", 1)))
    assert message.body.read() == body


@given(requests(), requests())
def test_what_follows_stays_behind_and_is_the_next_one(first: tuple[bytes, bytes], second: tuple[bytes, bytes]) -> None:
    arrival = Arrival(LIMIT, first[0] + second[0][:20])
    assert arrival.whole and arrival.data.peek(0, arrival.data.size) == first[0] + second[0][:20]
    following = Arrival(LIMIT, second[0][:20])
    assert not following.whole
    following.feed(second[0][20:])
    assert following.whole


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nContent-Length: ten\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * (MOST_LINE_BYTES + 1),
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a" * (MOST_HEAD_BYTES + 1),
        b"a" * (MOST_HEAD_BYTES + 1),
    ],
)
def test_what_is_no_request_is_the_parsers_to_refuse(sent: bytes) -> None:
    assert Arrival(LIMIT, sent).whole


def test_a_body_over_the_limit_is_not_waited_for() -> None:
    """Of a body in chunks as much is, as shows that it is too large."""
    stated = Arrival(LIMIT, b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n")
    assert stated.whole and stated.too_large
    for chunk in (b"3e9\r\n" + b"a" * 1001, b"190\r\n" + b"a" * 400 + b"\r\n1000\r\n" + b"a" * 601):
        chunked = Arrival(LIMIT, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk[:-1])
        assert not chunked.whole
        chunked.feed(b"a")
        assert chunked.whole and chunked.too_large


def test_a_client_that_waits_for_a_word_is_known() -> None:
    arrival = Arrival(LIMIT, b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n")
    assert arrival.expects and not arrival.whole
