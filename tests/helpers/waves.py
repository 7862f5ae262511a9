"""A small network and small series, for the tests of networks and of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from polyadic.forecasting.calendar import Calendar, Frequency
from polyadic.forecasting.cells import CELLS, Cell
from polyadic.forecasting.decoders import DECODERS
from polyadic.forecasting.likelihoods import LIKELIHOODS, Likelihood
from polyadic.forecasting.network import Network, Shape
from polyadic.forecasting.pool import Pool
from polyadic.forecasting.series import Series
from polyadic.forecasting.store import SeriesStore, Spool
from polyadic.forecasting.windows import Batch

HOURLY = Frequency.parse("H")
CALENDAR = Calendar(("day", "week"))
CONTEXT, PREDICTION = 6, 3
FEATURES, CARDINALITIES = 2, (3, 2)


def floats(values: object) -> NDArray[np.float32]:
    """An array of float32."""
    return np.array(values, np.float32)


def cell(name: str, inputs: int, hidden: int, **options: Any) -> Cell:
    """An untrained cell of D = inputs and H = hidden, with these of the options that it has."""
    kind = CELLS[name]
    known = {option: value for option, value in options.items() if option in kind.options.model_fields}
    return kind.make(inputs, hidden, kind.options.model_validate(known))


def observations(likelihood: Likelihood, values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Numbers of any size about ten, as observations that a likelihood takes; NaN stays NaN."""
    seen = torch.from_numpy(np.asarray(values, np.float64)) / 4
    return np.where(np.isnan(values), np.nan, likelihood.restore(seen).numpy())


def network(
    cell_name: str = "tt-lstm",
    likelihood: str = "student-T",
    dropout: float = 0.0,
    layers: int = 2,
    decoder: str = "autoregressive",
    bf16: bool = False,
) -> Any:
    """An untrained network of five hidden units per cell; its weights are the same at every call."""
    torch.manual_seed(0)

    shape = Shape(
        context=CONTEXT,
        prediction=PREDICTION,
        cell=lambda inputs: cell(cell_name, inputs, 5, tt_lags=2, tt_order=2, tt_rank=3),
        layers=layers,
        dropout=dropout,
        calendar=CALENDAR.num_features,
        dynamic=FEATURES,
        cardinalities=CARDINALITIES,
        embedding=3,
        bf16=bf16,
    )
    made: Network = DECODERS[decoder](shape, LIKELIHOODS[likelihood])
    made.feature_mean_J += torch.tensor([20.0, 0.0])
    made.feature_deviation_J *= torch.tensor([9.0, 0.5])
    return made


def sample(net: Network, batch: Batch, paths: int, seed: int) -> torch.Tensor:
    """The sample paths of the forecasts of a network: B x S x P."""
    return torch.from_numpy(net.forecast(batch, paths, seed).samples_BSP)


def waves(count: int, length: int = 30, missing: float = 0.05, likelihood: Likelihood | None = None) -> list[Series]:
    """Noisy daily waves, each with a phase and a level of its own, a few values missing; as the likelihood takes them.

    Each has two dynamic features and a category in each of two groupings.
    """
    random, made = np.random.default_rng(count), []
    for number in range(count):
        time = np.arange(length)
        target = 10 + number + 3 * np.sin(2 * np.pi * time / 24 + number) + 0.3 * random.normal(size=length)
        target = target if likelihood is None else observations(likelihood, target)
        target[random.random(length) < missing] = np.nan
        minutes, cat = HOURLY.minutes(datetime(2021, 3, 1 + number), length), (number % 3, number % 2)
        dynamic = np.stack([10 + time + number, np.cos(time / 5 + number)]).astype(np.float32)
        made.append(Series(target.astype(np.float32), minutes, cat, dynamic))
    return made


def stored(series: Sequence[Series], frequency: Frequency = HOURLY) -> SeriesStore:
    """The same series on the disk; their time stamps follow one another in steps of the frequency."""
    with Spool.open(frequency) as spool:
        for number, member in enumerate(series, 1):
            spool.append(member, f"a.json, series {number}")
        return spool.mapped()


def pool(series: list[Series]) -> Pool:
    """The windows of series."""
    return Pool(stored(series), CALENDAR, CONTEXT, PREDICTION, len(CARDINALITIES), FEATURES)


def windows(count: int, likelihood: str = "student-T") -> Batch:
    """A batch of different windows as a likelihood sees them, a few of their values missing."""
    kind = LIKELIHOODS[likelihood]
    whole = pool([replace(member, target=kind.see(member.target)) for member in waves(4, likelihood=kind)])
    return whole.take(np.linspace(0, len(whole) - 1, count).astype(np.int64))


def one_window(batch: Batch, row: int) -> Batch:
    """The batch of one window of a batch."""
    return Batch(**{name: value[row : row + 1] for name, value in vars(batch).items()})
