"""A small forecaster and small series, for the tests of network and training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from polyadic.forecasting.autoregressive import Autoregressive
from polyadic.forecasting.calendar import Calendar, Frequency
from polyadic.forecasting.cells import LSTM, Cell, TensorTrainLSTM, TrainShape
from polyadic.forecasting.direct import Direct
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.network import Network, Shape
from polyadic.forecasting.store import SeriesStore, Spool
from polyadic.forecasting.windows import Batch, Pool, Series

HOURLY = Frequency.parse("H")
CALENDAR = Calendar(("day", "week"))
DECODERS = {"autoregressive": Autoregressive, "direct": Direct}
CONTEXT, PREDICTION = 6, 3
FEATURES, CARDINALITIES = 2, (3, 2)


def floats(values: object) -> NDArray[np.float32]:
    """An array of float32."""
    return np.array(values, np.float32)


def network(
    cell: str = "tt-lstm",
    likelihood: str = "student-T",
    dropout: float = 0.0,
    layers: int = 2,
    decoder: str = "autoregressive",
    bf16: bool = False,
) -> Any:
    """Of five hidden units; its weights are the same at every call."""
    torch.manual_seed(0)

    def build(inputs: int) -> Cell:
        return LSTM(inputs, 5) if cell == "lstm" else TensorTrainLSTM(inputs, 5, TrainShape(2, 2, 3))

    shape = Shape(
        *(CONTEXT, PREDICTION, build, layers, dropout),
        *(CALENDAR.num_features, FEATURES, CARDINALITIES),
        embedding=3,
        bf16=bf16,
    )
    made: Network = DECODERS[decoder](shape, LIKELIHOODS[likelihood])
    made.feature_mean_J += torch.tensor([20.0, 0.0])
    made.feature_deviation_J *= torch.tensor([9.0, 0.5])
    return made


def sample(net: Network, batch: Batch, paths: int, seed: int) -> torch.Tensor:
    """The sample paths of its forecasts: B x S x P."""
    return torch.from_numpy(net.forecast(batch, paths, seed).samples_BSP)


def waves(count: int, length: int = 30, missing: float = 0.05, likelihood: str = "student-T") -> list[Series]:
    """Noisy daily waves, each of its own phase and level, with a few values missing; as the likelihood takes them.

    Each has two dynamic features and a category in each of two groupings.
    """
    random, made = np.random.default_rng(count), []
    for number in range(count):
        time = np.arange(length)
        target = 10 + number + 3 * np.sin(2 * np.pi * time / 24 + number) + 0.3 * random.normal(size=length)
        target = {"beta": target / 40, "negative-binomial": np.floor(target)}.get(likelihood, target)
        target[random.random(length) < missing] = np.nan
        minutes, cat = HOURLY.minutes(datetime(2021, 3, 1 + number), length), (number % 3, number % 2)
        dynamic = np.stack([10 + time + number, np.cos(time / 5 + number)]).astype(np.float32)
        made.append(Series(target.astype(np.float32), minutes, cat, dynamic))
    return made


def stored(series: Sequence[Series], frequency: Frequency = HOURLY) -> SeriesStore:
    """The same, on the disk; their time stamps go on in steps of the frequency."""
    with Spool.open(frequency) as spool:
        for number, one in enumerate(series, 1):
            spool.append(one, f"a.json, series {number}")
        return spool.mapped()


def pool(series: list[Series]) -> Pool:
    """Their windows."""
    return Pool(stored(series), CALENDAR, CONTEXT, PREDICTION, len(CARDINALITIES), FEATURES)


def windows(count: int, likelihood: str = "student-T") -> Batch:
    """A batch of different windows as a likelihood sees them, a few of their values missing."""
    made, see = waves(4, likelihood=likelihood), LIKELIHOODS[likelihood].see
    whole = pool([replace(one, target=see(one.target)) for one in made])
    return whole.take(np.linspace(0, len(whole) - 1, count).astype(np.int64))


def one_of(batch: Batch, row: int) -> Batch:
    """A batch of one window."""
    return Batch(**{name: value[row : row + 1] for name, value in vars(batch).items()})
