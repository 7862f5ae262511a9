"""The places of workers, and when all of them are ready."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyadic.serving import places


@given(st.sets(st.integers(0, 20)))
def test_the_lowest_place_that_nobody_has_is_taken(taken: set[int]) -> None:
    place = places.lowest_free(taken)
    assert place not in taken and set(range(place)) <= taken


def test_alone_a_worker_needs_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(places.FOLDER_VARIABLE, raising=False)
    places.tell_ready()
    assert places.all_ready(4)


def test_all_are_ready_once_each_has_told_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(places.FOLDER_VARIABLE, str(tmp_path))
    for place in range(3):
        assert not places.all_ready(3)
        monkeypatch.setenv(places.PLACE_VARIABLE, str(place))
        places.tell_ready()
    assert places.all_ready(3)
