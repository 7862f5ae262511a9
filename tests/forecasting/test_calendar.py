"""Frequencies, time stamps and calendar features."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.forecasting.calendar import Calendar, Frequency, parse_start

EPOCH = datetime(1970, 1, 1)
STEPS = {"min": timedelta(minutes=1), "H": timedelta(hours=1), "D": timedelta(1), "W": timedelta(7)}
units = st.sampled_from(["min", "H", "D", "W", "M"])
starts = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(lambda one: one.replace(microsecond=0))


@pytest.mark.parametrize(
    ("text", "count", "unit"),
    [
        ("M", 1, "M"),
        ("1M", 1, "M"),
        ("2H", 2, "H"),
        ("15min", 15, "min"),
        ("W", 1, "W"),
        (" 30D ", 30, "D"),
        ("h", 1, "H"),
        ("10 min", 10, "min"),
    ],
)
def test_deepars_frequencies_are_read(text: str, count: int, unit: str) -> None:
    assert Frequency.parse(text) == Frequency(count, unit)


@pytest.mark.parametrize(
    ("text", "count", "unit"),
    [
        ("MS", 1, "M"), ("ME", 1, "M"), ("2MS", 2, "M"), ("W-SUN", 1, "W"), ("T", 1, "min"), ("15T", 15, "min"),
        ("QS", 3, "M"), ("QE-DEC", 3, "M"), ("2Q", 6, "M"), ("YS", 12, "M"), ("A-DEC", 12, "M"), ("h", 1, "H"),
    ],
)  # fmt: skip
def test_the_aliases_of_pandas_are_taken(text: str, count: int, unit: str) -> None:
    assert Frequency.parse(text) == Frequency(count, unit)
    assert str(Frequency.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "0D", "00min", "000H", "-1D", "H2", "1.5H", "B", "WS", "MT", "W-", "W-SUNDAY", "minutes", "5 min 2", "m"],
)
def test_other_frequencies_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="time_freq is .*: it must be M, W, D, H or min"):
        Frequency.parse(text)


def test_a_frequency_beyond_any_calendar_is_the_users_fault() -> None:
    with pytest.raises(UserError, match="time_freq"):
        Frequency.parse("99999999999999999999min").minutes(EPOCH, 2)


@pytest.mark.parametrize(
    ("text", "season"),
    [
        ("M", 12),
        ("3M", 4),
        ("W", 52),
        ("D", 7),
        ("7D", 1),
        ("H", 24),
        ("2H", 12),
        ("min", 1440),
        ("5min", 288),
        ("48H", 1),
    ],
)
def test_the_season_is_a_day_a_week_or_a_year(text: str, season: int) -> None:
    assert Frequency.parse(text).season == season


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(STEPS)), st.integers(1, 40), starts, st.integers(0, 20))
def test_minutes_count_from_1970(unit: str, count: int, start: datetime, steps: int) -> None:
    whole = start.replace(second=0)
    expected = [(whole + k * count * STEPS[unit] - EPOCH) // timedelta(minutes=1) for k in range(steps)]
    assert Frequency(count, unit).minutes(start, steps).tolist() == expected


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), starts, st.integers(1, 20))
def test_months_are_stamped_by_their_first_day(count: int, start: datetime, steps: int) -> None:
    stamps = Frequency(count, "M").minutes(start, steps).astype("datetime64[m]").tolist()
    for k, stamp in enumerate(stamps):
        month = start.year * 12 + start.month - 1 + k * count
        assert stamp == datetime(month // 12, month % 12 + 1, 1)


@settings(max_examples=50, deadline=None)
@given(units, st.integers(1, 40), starts, st.integers(1, 20))
def test_features_lie_on_circles(unit: str, count: int, start: datetime, steps: int) -> None:
    frequency = Frequency(count, unit)
    features = Calendar(frequency.cycles).features(frequency.minutes(start, steps))
    assert features.shape == (steps, Calendar(frequency.cycles).num_features)
    assert features.dtype == np.float32
    sine, cosine = np.split(features, 2, 1)
    assert np.allclose(sine**2 + cosine**2, 1, atol=1e-6)


@pytest.mark.parametrize(("text", "period"), [("H", 7 * 24), ("5min", 7 * 288), ("2H", 84)])
def test_features_of_hours_and_minutes_come_back_every_week_and_no_sooner(text: str, period: int) -> None:
    frequency = Frequency.parse(text)
    features = Calendar(frequency.cycles).features(frequency.minutes(datetime(2024, 5, 6, 1), period + 1))
    assert np.allclose(features[0], features[period], atol=1e-5)
    assert np.abs(features[1:period] - features[0]).max(1).min() > 1e-4


def test_the_week_begins_on_monday_at_midnight() -> None:
    frequency = Frequency.parse("D")
    week = Calendar(frequency.cycles).features(frequency.minutes(datetime(2024, 1, 1), 7))  # A Monday.
    angle = np.arctan2(week[:, 0], week[:, 2]) % (2 * np.pi)
    assert np.allclose(angle, 2 * np.pi * np.arange(7) / 7, atol=1e-5)


def test_the_year_begins_on_1_january_also_before_1970() -> None:
    frequency = Frequency.parse("M")
    for year in (1901, 1969, 1970, 2024):
        features = Calendar(frequency.cycles).features(frequency.minutes(datetime(year, 1, 15), 7))
        assert np.allclose(features[0], [0, 1], atol=1e-6)
        assert np.allclose(features[6], [0, -1], atol=0.05)  # 1 July


@settings(max_examples=200, deadline=None)
@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda one: one.replace(second=0, microsecond=0)))
def test_a_place_is_that_of_the_clock_and_the_calendar(stamp: datetime) -> None:
    minute = stamp.hour * 60 + stamp.minute
    places = [minute / 1440, (stamp.weekday() + minute / 1440) / 7, (stamp.timetuple().tm_yday - 1) / 366]
    found = Calendar(("day", "week", "year")).features(Frequency(1, "min").minutes(stamp, 1))[0]
    angles = 2 * np.pi * np.array(places)
    np.testing.assert_allclose(found, [*np.sin(angles), *np.cos(angles)], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2014-01-31 06:00:00", datetime(2014, 1, 31, 6)),
        ("2014-01-31T06:00:30", datetime(2014, 1, 31, 6, 0, 30)),
        ("2014-01-31", datetime(2014, 1, 31)),
        ("2014-01-31 06:05", datetime(2014, 1, 31, 6, 5)),
        ("2014-01-31 06:00:00.123456", datetime(2014, 1, 31, 6, 0, 0, 123456)),
    ],
)
def test_a_start_is_read(text: str, expected: datetime) -> None:
    assert parse_start(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        "",
        "2014",
        "2014-13-01 00:00:00",
        "2014-02-30 00:00:00",
        "2014-01-31 06:00:00Z",
        "31.01.2014",
        "2014-01-31 06:00:00+01:00",
        "2014-01-31 25:00:00",
        ["2014-01-31"],
        "2014-01-31 06:00:00 ",
    ],
)
def test_another_start_is_refused(text: object) -> None:
    with pytest.raises(UserError, match="start is .*: it must be a time stamp such as '2014-01-31 06:00:00'"):
        parse_start(text)
