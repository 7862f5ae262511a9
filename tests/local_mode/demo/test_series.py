import json

import numpy as np

from local_mode.demo import air
from local_mode.demo.climate import QUARTER, WITHHELD_MONTHS, quarters
from local_mode.demo.scores import mase
from local_mode.demo.series import FOLDER, Series, load_series

NAN = float("nan")


def made_series(values: list[float], withheld_from: int) -> Series:
    return Series("made", "m", "2000-03-01 00:00:00", np.array(values), withheld_from)


def test_the_data_is_small_whole_and_split_where_it_says() -> None:
    assert sum(file.stat().st_size for file in FOLDER.parent.rglob("*") if file.is_file()) < 1_000_000
    for file in (FOLDER / "train").iterdir():
        seen, full = (json.loads((FOLDER / split / file.name).read_text()) for split in ("train", "test"))
        assert seen["start"] == full["start"]
        assert seen["target"] == full["target"][:-72]
    assert air.load().shape == (20, 25, 53)
    assert np.isfinite(air.load()).all()
    assert [(len(series.values), int(np.isnan(series.values).sum())) for series in load_series()] == [
        (732, 0),
        (526, 5),
    ]


def test_a_request_holds_nothing_from_its_origin_on() -> None:
    series = made_series([1.0, NAN, 3.0, 4.0], 2)
    assert series.instance(3) == {"start": "2000-03-01 00:00:00", "target": [1.0, None, 3.0]}
    assert str(series.months[-1]) == "2000-06"


def test_seasonal_naive_repeats_the_last_known_year() -> None:
    values = [float(month) for month in range(36)]
    values[14] = NAN
    naive = made_series(values, 24).seasonal_naive(24, 14)
    expected = [12.0, 13.0, 2.0, *range(15, 24), 12.0, 13.0]
    assert naive.tolist() == expected


def test_mase_is_one_for_a_seasonal_step_as_large_as_before() -> None:
    series = made_series([*np.zeros(12), *np.full(12, 2.0), *np.full(12, 4.0)], 24)
    assert series.naive_error == 2.0
    assert mase(series, series.seasonal_naive(24, 12), series.actuals(24, 12)) == 1.0
    assert mase(series, np.full(3, 5.0), np.array([4.0, NAN, 4.0])) == 0.5
    assert np.isnan(mase(series, np.ones(1), np.array([NAN])))


def test_each_withheld_quarter_is_asked_for_once() -> None:
    asked = quarters([made_series(list(np.arange(400.0)), 100), made_series(list(np.arange(350.0)), 50)])
    assert len(asked) == 200
    assert asked[0].series is not asked[1].series
    months = [
        quarter.origin + step for quarter in asked if quarter.series is asked[0].series for step in range(QUARTER)
    ]
    assert months == list(range(100, 100 + WITHHELD_MONTHS))


def test_a_quarters_request_has_its_name_its_past_and_its_truth() -> None:
    quarter = quarters([made_series([*np.arange(301.0), NAN, *np.arange(98.0)], 100)])[67]
    request = quarter.request
    assert request.identity == "made-2025-04"
    assert request.instance["item_id"] == "made"
    assert len(request.instance["target"]) == quarter.origin == 301  # type: ignore[arg-type]
    assert request.actual == [None, 0.0, 1.0]
    assert quarter.naive_loss > 0
