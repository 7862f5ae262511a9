"""What the forecaster's accuracy is measured on: the data, their split in time order, and what there is to beat.

Shapes: N series, T time stamps, W windows of C and P steps.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.series import Series

DATA = Path(__file__).parents[3] / "shared" / "data"
Values = NDArray[np.float64]
Record = dict[str, Any]


@dataclass(frozen=True)
class Windows:
    """Contexts (W x C) and what came after them (W x P), NaN where missing, each with its start and its category."""

    context: Values
    actual: Values
    starts: list[datetime]
    cat: list[int] | None

    def series(self, frequency: Frequency, first: int, last: int) -> list[Series]:
        """The contexts from `first` to `last`, with the time stamps of what follows them."""
        steps = self.context.shape[1] + self.actual.shape[1]
        return [
            Series(
                self.context[w].astype(np.float32),
                frequency.minutes(self.starts[w], steps),
                () if self.cat is None else (self.cat[w],),
            )
            for w in range(first, last)
        ]


@dataclass(frozen=True)
class Task:
    """Series to train and to validate on, windows to test on, and forecasts of others for these (W x P).

    recipes: the name of a file of hyperparameters for each row; steps: the horizons that are shown; upto: errors over
    all steps up to these, not at them; square: mean squared errors, not their roots; published: figures of others;
    leading: whether a cell is said to lead here, which takes more seeds.
    """

    title: str
    train: list[Record]
    validation: list[Record]
    test: Windows
    recipes: Mapping[str, str]
    steps: tuple[int, ...]
    peers: Mapping[str, Values] = field(default_factory=dict)
    published: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    upto: bool = False
    square: bool = False
    unit: str = ""
    leading: bool = False

    def errors(self, forecast: Values) -> list[float]:
        """The error at each of the steps, or up to it."""
        squares = np.square(self.test.actual - forecast)
        picked = [squares[:, :step] if self.upto else squares[:, step - 1] for step in self.steps]
        means = [float(np.nanmean(errors)) for errors in picked]
        return means if self.square else [float(np.sqrt(mean)) for mean in means]


def los_speed() -> Task:
    """T-GCN's protocol: 12 steps in, 12 out, all windows that lie in the last fifth."""
    values, step = _los_speed(), timedelta(minutes=5)
    start, cut = datetime(2012, 3, 1), int(0.8 * values.shape[1])
    test = windows(values[:, cut:], start + cut * step, step, 12, 12)
    return Task(
        "los_speed, 12 in, 12 out",
        records(values[:, :cut], start),
        [],
        test,
        {"tt-lstm": "los_speed", "lstm": "los_speed_lstm"},
        (3, 6, 9, 12),
        {"persistence": np.repeat(test.context[:, -1:], 12, 1)},
        {
            "plain LSTM with sensor embedding and time of day": (4.94, 5.70, 6.20, 6.58),
            "T-GCN, published": (5.13, 6.06, 6.71, 7.27),
        },
        upto=True,
        unit="RMSE in mph",
    )


def los_speed_far() -> Task:
    """An hour in, up to 19 hours out; the last fifth tested, the fifth before it validated on."""
    values, step = _los_speed(), timedelta(minutes=5)
    start, length = datetime(2012, 3, 1), values.shape[1]
    held, cut = int(0.6 * length), int(0.8 * length)
    test = windows(values[:, cut - 12 :], start + (cut - 12) * step, step, 12, 228, stride=3)
    return Task(
        "los_speed, 1 hour in, 19 hours out",
        records(values[:, :held], start),
        records(values[:, held - 12 : cut], start + (held - 12) * step),
        test,
        {"tt-lstm": "los_speed_far", "lstm": "los_speed_far_lstm", "mlstm": "los_speed_far_mlstm"},
        (12, 48, 84, 156, 228),
        {"persistence": np.repeat(test.context[:, -1:], 228, 1)},
        unit="RMSE in mph",
        leading=True,
    )


def trentino() -> Task:
    """15 stations, 60 days in, 300 out; the day-of-year means are those of the training data."""
    rows = list(csv.reader((DATA / "trentino_tmax.csv").open()))
    start, step = datetime.fromisoformat(rows[1][0]), timedelta(days=1)
    values = np.array([[float(cell) if cell not in ("", "NA") else np.nan for cell in row[1:16]] for row in rows[1:]]).T
    length = values.shape[1]
    held, cut = int(0.8 * length), int(0.9 * length)
    days = np.array([datetime.fromisoformat(row[0]).timetuple().tm_yday for row in rows[1:]])
    means = np.stack([np.nanmean(values[:, :held][:, days[:held] == day], 1) for day in range(1, 367)], 1)
    test = windows(values[:, cut - 60 :], start + (cut - 60) * step, step, 60, 300, stride=5)
    usual = windows(means[:, days[cut - 60 :] - 1], start, step, 60, 300, stride=5).actual
    return Task(
        "trentino_tmax, 60 days in, 300 out",
        records(values[:, :held], start),
        records(values[:, held - 60 : cut], start + (held - 60) * step),
        test,
        {"tt-lstm": "trentino", "lstm": "trentino_lstm"},
        (1, 30, 100, 200, 300),
        {"day-of-year mean": usual},
        upto=True,
        unit="RMSE in degrees Celsius",
    )


def etth1(prediction: int) -> Task:
    """The long-term forecasting benchmarks' split, 12, 4 and 4 months, all seven series, standardised by the first."""
    rows = list(csv.reader((DATA / "ETTh1.csv").open()))
    values = np.array([row[1:] for row in rows[1:]], np.float64).T
    values = (values - values[:, :8640].mean(1, keepdims=True)) / values[:, :8640].std(1, keepdims=True)
    published = {96: {"DLinear": (0.375,), "PatchTST": (0.370,)}, 336: {"DLinear": (0.439,), "PatchTST": (0.422,)}}
    return _standardised(
        f"ETTh1, {prediction} out",
        values,
        datetime(2016, 7, 1),
        timedelta(hours=1),
        (8640, 11520, 14400),
        512,
        prediction,
        f"etth1_{prediction}",
        published[prediction],
    )


def exchange_rate() -> Task:
    """Eight daily exchange rates, 7/10 to train, 1/10 to validate, 2/10 to test; standardised by the first."""
    with gzip.open(DATA / "exchange_rate.txt.gz", "rt") as file:
        values = np.array(list(csv.reader(file)), np.float64).T
    length = values.shape[1]
    held, cut = int(0.7 * length), length - int(0.2 * length)
    values = (values - values[:, :held].mean(1, keepdims=True)) / values[:, :held].std(1, keepdims=True)
    return _standardised(
        "exchange_rate, 96 out",
        values,
        datetime(1990, 1, 1),
        timedelta(days=1),
        (held, cut, length),
        96,
        96,
        "exchange_rate",
        {"last value, published": (0.081,), "DLinear": (0.081,)},
    )


def _standardised(
    title: str,
    values: Values,
    start: datetime,
    step: timedelta,
    cuts: tuple[int, int, int],
    context: int,
    prediction: int,
    recipe: str,
    published: Mapping[str, tuple[float, ...]],
) -> Task:
    held, cut, end = cuts
    test = windows(values[:, cut - context : end], start + (cut - context) * step, step, context, prediction, cat=False)
    return Task(
        title,
        records(values[:, :held], start, cat=False),
        records(values[:, held - context : cut], start + (held - context) * step, cat=False),
        test,
        {"tt-lstm": recipe, "lstm": f"{recipe}_lstm"},
        (prediction,),
        {"last value": np.repeat(test.context[:, -1:], prediction, 1)},
        published,
        upto=True,
        square=True,
        unit="MSE, standardised",
    )


def _los_speed() -> Values:
    table: Values = np.genfromtxt(DATA / "los_speed.csv", delimiter=",", skip_header=1).T
    return table


def records(values: Values, start: datetime, cat: bool = True) -> list[Record]:
    """One series for each row of N x T."""
    return [_record(row, start, number if cat else None) for number, row in enumerate(values)]


def _record(row: Values, start: datetime, cat: int | None) -> Record:
    target = [None if np.isnan(value) else round(float(value), 6) for value in row]
    return {"start": f"{start:%Y-%m-%d %H:%M:%S}", "target": target, **({} if cat is None else {"cat": [cat]})}


def windows(
    values: Values, start: datetime, step: timedelta, context: int, prediction: int, stride: int = 1, cat: bool = True
) -> Windows:
    """Every `stride`-th window of N x T, series after series."""
    firsts = range(0, values.shape[1] - context - prediction + 1, stride)
    cut = np.stack([values[:, first : first + context + prediction] for first in firsts], 1)
    flat = cut.reshape(-1, context + prediction)
    starts = [start + first * step for first in firsts] * len(values)
    cats = np.repeat(np.arange(len(values)), len(firsts)).tolist() if cat else None
    return Windows(flat[:, :context], flat[:, context:], starts, cats)
