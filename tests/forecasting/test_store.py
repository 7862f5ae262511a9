"""Series on the disk: they come back as they were, some of them as well, and what is known of each is right."""

from __future__ import annotations

import gc
import io
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.errors import PlatformError
from polyadic.forecasting import store as store_module
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.series import Series
from polyadic.forecasting.store import SeriesStore, Spool
from tests.helpers.waves import HOURLY, floats, stored

FREQUENCIES = st.sampled_from(["15min", "H", "D", "2W", "M", "5M"]).map(Frequency.parse)
VALUES = st.floats(-1e6, 1e6, width=32)


@st.composite
def some_series(draw: st.DrawFn) -> tuple[Frequency, list[Series]]:
    """Of any lengths, all with as many categories and features, time stamps and features going on for a while."""
    frequency, groupings, features = draw(FREQUENCIES), draw(st.integers(0, 2)), draw(st.integers(0, 3))
    made = []
    for _ in range(draw(st.integers(0, 5))):
        length, ahead = draw(st.integers(0, 12)), draw(st.integers(0, 2))
        target = [draw(VALUES | st.just(np.nan)) for _ in range(length)]
        start = draw(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)))
        cat = tuple(draw(st.integers(0, 2**64 - 1)) for _ in range(groupings))
        dynamic = floats([[draw(VALUES) for _ in range(length + ahead)] for _ in range(features)])
        minutes = frequency.minutes(start, length + ahead)
        made.append(Series(floats(target), minutes, cat, dynamic if features else None))
    return frequency, made


def same(found: Series, expected: Series) -> None:
    """What is known of the steps after a series is not kept."""
    length = len(expected.target)
    np.testing.assert_array_equal(found.target, expected.target)
    np.testing.assert_array_equal(found.minutes, expected.minutes[:length])
    assert found.target.dtype == np.float32 and found.minutes.dtype == np.int64 and found.cat == expected.cat
    assert (found.dynamic is None) == (expected.dynamic is None)
    if found.dynamic is not None and expected.dynamic is not None:
        np.testing.assert_array_equal(found.dynamic, expected.dynamic[:, :length])


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(some_series(), st.data())
def test_series_come_back_as_they_were(case: tuple[Frequency, list[Series]], data: st.DataObject) -> None:
    frequency, series = case
    whole = stored(series, frequency)
    chosen = np.array([data.draw(st.booleans()) for _ in series], bool)
    part = data.draw(st.slices(len(series)).filter(lambda at: at.step is None or at.step > 0))
    some = [one for one, wanted in zip(series, chosen, strict=True) if wanted]
    for found, expected in ((whole, series), (whole.where(chosen), some), (whole[part], series[part])):
        assert isinstance(found, SeriesStore) and len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
        assert found.length_S.tolist() == [len(one.target) for one in expected]
        assert found.observed_S.tolist() == [np.isfinite(one.target).sum() for one in expected]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(some_series(), st.integers(1, 9), st.data())
def test_blocks_are_all_points_of_the_series_that_are_left(
    case: tuple[Frequency, list[Series]], most: int, data: st.DataObject
) -> None:
    frequency, series = case
    chosen = np.array([data.draw(st.booleans()) for _ in series], bool)
    some = stored(series, frequency).where(chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "BLOCK_POINTS", most)
        blocks = [some.target_X[place] for place in some.blocks()]
    expected = [one.target for one, wanted in zip(series, chosen, strict=True) if wanted]
    np.testing.assert_array_equal(np.concatenate([*blocks, floats([])]), np.concatenate([*expected, floats([])]))
    assert all(1 <= len(block) <= most for block in blocks)


def hours(*values: float) -> Series:
    return Series(floats(values), HOURLY.minutes(datetime(2021, 1, 1), len(values)))


def test_a_target_is_kept_as_it_is_seen() -> None:
    with Spool.open(HOURLY, np.log) as spool:
        spool.append(hours(1, np.nan, 4), "a.json, series 7")
        found = spool.mapped()
    np.testing.assert_array_equal(found[0].target, np.log(floats([1, np.nan, 4])))
    assert found.observed_S.tolist() == [2]
    assert found.place_S.tolist() == ["a.json, series 7"]


def test_what_is_mapped_cannot_be_written_and_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = stored([replace(hours(1, 2), dynamic=floats([[3, 4]]))])
    assert list(tmp_path.iterdir()) == []
    for values in (found.target_X, found.dynamic_XJ):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 5


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_a_file_is_mapped_as_long_as_one_of_its_series_is_in_use() -> None:
    def mapped() -> bool:
        gc.collect()
        return str(folder) in Path("/proc/self/maps").read_text()

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", folder)
        store: SeriesStore | None = stored([hours(1, 2), hours(3)])
        assert mapped() and store is not None
        one: Series | None = store.where(np.array([False, True]))[0]
        store = None
        assert mapped() and one is not None and one.target.tolist() == [3]
        one = None
        assert not mapped()


class Slow(io.FileIO):
    """Takes five bytes at a time."""

    def write(self, data: Any, /) -> int:
        """The number of bytes that it took."""
        return super().write(data[:5]) or 0


def test_a_disk_may_take_a_part_of_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter("ab")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Slow(tmp_path / next(names), "w+"))
    series = replace(hours(1, 2, 3), dynamic=floats([[4, 5, 6], [7, 8, 9]]))
    same(stored([series, series])[1], series)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the full disk of Linux")
def test_a_full_disk_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: io.FileIO("/dev/full", "w"))
    message = r"the disk of /\S+ is full: .* 0 bytes of them found room\. Give the job a larger volume \(VolumeSizeInGB"
    with pytest.raises(PlatformError, match=message):
        stored([hours(1)])


def test_another_fault_of_the_disk_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: io.FileIO("/dev/null", "r"))
    with pytest.raises(io.UnsupportedOperation):
        stored([hours(1)])
