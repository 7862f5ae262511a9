"""The forecaster against GluonTS's DeepAR (an epoch, its errors, a forecast), and two ranks against one.

Equal: series, hidden units, layers, context, prediction length, dropout's rate, windows per step and per
epoch, epochs, threads, held-out windows, sample paths and the code that scores them. Not equal, as each program has
its own way: DeepAR unrolls one LSTM over context and horizon, with 40 lagged values of up to a month before and its
features of the time stamps as inputs, and learns the parameters of Student's t from context and horizon alike; ours
has an encoder and a decoder, sees nothing before the context, and learns from the horizon: quantiles where it is
trained (decoder=direct), Student's t where sample paths are timed. DeepAR drops out between its layers, ours after
each.
DeepAR's rate of learning falls on a plateau and its best epoch is kept; ours warms up and falls to nothing; each has
the one of 0.001, 0.003 and 0.01 that serves it best. DeepAR draws its windows series by series, ours from all alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from polyadic.algorithms import forecaster
from polyadic.forecasting.accuracy import Accuracy, seasonal_naive
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.series import Series
from scripts.bench import forecast_ranks, gluonts_deepar
from scripts.bench.forecast_data import DAY, FREQUENCY, etth1, made, until
from scripts.bench.forecast_job import train
from scripts.bench.measure import OURS, Case, in_turn, seconds

THEIRS = "GluonTS DeepAR"
CONTEXT, HORIZON, BATCH_WINDOWS, EPOCHS, ROUNDS = 96, DAY, 64, 15, 1
RATES = {OURS: 0.01, THEIRS: 0.003}
TRAIN_HOURS, TEST_HOURS, APART_HOURS = 16 * 30 * DAY, 4 * 30 * DAY, 3 * DAY
"""ETTh1's first 16 months, and a window every three days of the 4 that follow."""
PATHS, LEVELS = 100, [tenth / 10 for tenth in range(1, 10)]
SERIES, HOURS, FORECASTS = 500, 1_000, 3


def run() -> Iterator[Case]:
    """The rows of ETTh1, of forecasts, and of two ranks, one after the other."""
    yield from _epochs(etth1())
    yield _forecasts().reported()
    yield forecast_ranks.case().reported()


def _settings(cell: str = "lstm", program: str = OURS, seed: int = 0) -> forecaster.Hyperparameters:
    return forecaster.Hyperparameters(
        time_freq=Frequency.parse(FREQUENCY),
        context_length=CONTEXT,
        prediction_length=HORIZON,
        epochs=EPOCHS,
        cell=cell,
        mini_batch_size=BATCH_WINDOWS,
        learning_rate=RATES[program],
        seed=seed,
    )


def _epochs(series: list[Series]) -> Iterator[Case]:
    """Both are trained in turn, with another seed in each round."""
    history = until(series, TRAIN_HOURS)
    steps = math.ceil(sum(len(each.target) for each in history) / HORIZON / BATCH_WINDOWS)
    errors: dict[str, list[tuple[float, float]]] = {OURS: [], THEIRS: []}
    sizes: dict[str, int] = {}

    def ours() -> float:
        settings = _settings(seed=len(errors[OURS])).model_copy(update={"decoder": "direct"})
        trained = train(settings, history)
        assert trained.steps == steps
        errors[OURS].append(_errors(series, lambda known: trained.model.forecast(known, PATHS).samples_BSP))
        sizes[OURS] = sum(weight.numel() for weight in trained.model.network.parameters())
        return steps * BATCH_WINDOWS / trained.speed

    def theirs() -> float:
        settings = _settings(program=THEIRS, seed=len(errors[THEIRS]))
        predictor, epoch_seconds = gluonts_deepar.train(settings, history, steps)
        errors[THEIRS].append(_errors(series, lambda known: gluonts_deepar.forecast(predictor, known, PATHS)))
        sizes[THEIRS] = gluonts_deepar.parameters(predictor)
        return epoch_seconds

    figures = in_turn({OURS: ours, THEIRS: theirs}, ROUNDS)
    yield Case(
        key="epoch",
        title=f"an epoch of ETTh1: lstm, {steps} steps of {BATCH_WINDOWS} windows",
        figures=figures,
        targets={THEIRS: 2.0},
        unit="seconds per epoch",
        facts={"parameters": ", ".join(f"{name} {size:,}" for name, size in sizes.items())},
    ).reported()
    yield from _accuracy(series, errors)


def _accuracy(series: list[Series], errors: dict[str, list[tuple[float, float]]]) -> Iterator[Case]:
    """Means over the seeds; a target of 1 is an error no worse."""

    def naive_paths(known: list[Series]) -> NDArray[np.float32]:
        return np.stack([seasonal_naive(each.target, DAY, HORIZON)[None] for each in known])

    naive = _errors(series, naive_paths)
    for place, measure in enumerate(("mean_wQuantileLoss", "RMSE")):
        each = {name: [pair[place] for pair in pairs] for name, pairs in errors.items()}
        yield Case(
            key=measure.lower(),
            title=f"forecasts of ETTh1 after {EPOCHS} such epochs, {measure}",
            figures={**{name: float(np.mean(values)) for name, values in each.items()}, "seasonal naive": naive[place]},
            targets={THEIRS: 1.0},
            unit=measure,
            facts={"by seed": ", ".join(f"{name} {np.round(values, 4).tolist()}" for name, values in each.items())},
        ).reported()


def _errors(series: list[Series], forecast: Callable[[list[Series]], NDArray[np.float32]]) -> tuple[float, float]:
    """mean_wQuantileLoss and RMSE of the windows after the training data, all series together."""
    accuracy = Accuracy.nothing(len(LEVELS))
    for end in range(TRAIN_HOURS, TRAIN_HOURS + TEST_HOURS, APART_HOURS):
        actual = np.stack([each.target[end : end + HORIZON] for each in series])
        drawn = forecast(until(series, end))
        accuracy += Accuracy.of(actual, drawn.mean(1), np.quantile(drawn, LEVELS, axis=1), LEVELS)
    return float(accuracy.weighted_quantile_losses.mean()), accuracy.rmse


def _forecasts() -> Case:
    """By networks as good as untrained: what the weights are makes no difference to the time."""
    series = made(SERIES, HOURS)
    plain, tensorized = (train(_settings(cell), series[:8], dry_run=True).model for cell in ("lstm", "tt-lstm"))
    predictor = gluonts_deepar.untrained(_settings())
    figures = in_turn(
        {
            OURS: lambda: seconds(lambda: plain.forecast(series, PATHS)),
            THEIRS: lambda: seconds(lambda: gluonts_deepar.forecast(predictor, series, PATHS)),
            "polyadic, tt-lstm": lambda: seconds(lambda: tensorized.forecast(series, PATHS)),
        },
        FORECASTS,
    )
    title = f"a forecast of {SERIES} series, {PATHS} sample paths of {HORIZON} steps: lstm"
    return Case(key="forecast", title=title, figures=figures, targets={THEIRS: 3.0}, unit="seconds")
