"""The places of workers, and when all of them are ready."""

from __future__ import annotations

import errno
import os
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


def test_space_is_taken_for_what_a_worker_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(places.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.delenv(places.FIGURES_VARIABLE, raising=False)
    places.make_folder("unused")
    assert os.environ[places.FIGURES_VARIABLE] == str(tmp_path / "figures")
    places.reserve_figures(17)
    files = sorted((tmp_path / "figures").iterdir())
    assert [file.name for file in files] == sorted(f"{kind}_17.db" for kind in places.FIGURES_FILES)
    assert all(file.stat().st_blocks * 512 >= places.FIGURES_BYTES for file in files)


def test_where_the_disk_is_full_a_worker_counts_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*given: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv(places.FIGURES_VARIABLE, str(tmp_path))
    monkeypatch.setattr(os, "posix_fallocate", full)
    places.reserve_figures(17)
    assert places.FIGURES_VARIABLE not in os.environ and not list(tmp_path.iterdir())
    places.reserve_figures(18)
    monkeypatch.delenv(places.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr("tempfile.mkdtemp", full)
    places.make_folder("unused")
    assert places.all_ready(4) and places.FOLDER_VARIABLE not in os.environ


def test_what_a_dead_worker_was_is_forgotten_and_what_it_counted_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(places.FIGURES_VARIABLE, str(tmp_path))
    for process in (17, 117):
        places.reserve_figures(process)
    places.forget_figures(17)
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"counter_17.db", "histogram_17.db", *(f"{kind}_117.db" for kind in places.FIGURES_FILES)}
    monkeypatch.delenv(places.FIGURES_VARIABLE)
    places.forget_figures(117)
    assert len(list(tmp_path.iterdir())) == 6
