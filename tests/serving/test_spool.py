"""Bytes that lie in memory or on the disk are the same bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyadic.serving import spool
from polyadic.serving.spool import Spool

STEPS = st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 50)), max_size=30)


@given(STEPS, st.integers(0, 60), st.binary(min_size=1, max_size=2), st.integers(0, 200), st.integers(0, 200))
def test_what_was_appended_is_found_and_taken_in_its_order(
    steps: list[bytes | int], most: int, what: bytes, begin: int, length: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "MOST_IN_MEMORY", most)
        held, came, taken = Spool(), b"", b""
        for step in steps:
            if isinstance(step, bytes):
                held.append(step)
                came += step
            else:
                taken += held.take(step)
            assert (held.size, held.left, taken) == (len(came), len(came) - len(taken), came[: len(taken)])
            assert held.in_memory <= most
            begin = max(begin, len(taken))
            assert held.peek(begin, begin + length) == came[begin : begin + length]
            expected = came[begin : begin + length].find(what)
            assert held.find(what, begin, length) == (expected if expected < 0 else begin + expected)
        assert taken + held.take(held.left) == came
        held.close()


def test_where_the_disk_is_full_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(**_: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", no_space)
    monkeypatch.setattr(spool, "MOST_IN_MEMORY", 10)
    held = Spool()
    held.append(b"12345")
    with pytest.raises(OSError, match="No space"):
        held.append(b"67890a")
