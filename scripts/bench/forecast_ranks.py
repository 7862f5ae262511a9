"""Two ranks against one, one thread each, on a training of tt-lstm with its defaults, but with 512 windows per step."""

from __future__ import annotations

import torch

from polyadic.algorithms import forecaster
from polyadic.distributed import World
from polyadic.forecasting.calendar import Frequency
from scripts.bench.forecast_data import FREQUENCY, made
from scripts.bench.forecast_job import train
from scripts.bench.measure import OURS, Case, of_ranks

SERIES, HOURS, EPOCHS, BATCH_WINDOWS, TIMED_WINDOWS = 16, 4_000, 2, 512, 1_000


def case() -> Case:
    """Starts the ranks as torch.distributed.run would; a step's windows are dealt out among them."""
    figures = {
        "one rank": of_ranks(1, "scripts.bench.forecast_ranks"),
        OURS: of_ranks(2, "scripts.bench.forecast_ranks"),
    }
    speeds = ", ".join(f"{name} {TIMED_WINDOWS / value:,.0f}" for name, value in figures.items())
    return Case(
        key="ranks",
        title=f"training of tt-lstm, {BATCH_WINDOWS} windows per step, two ranks of one thread each",
        figures=figures,
        targets={"one rank": 1.7},
        unit=f"seconds for {TIMED_WINDOWS:,} windows",
        facts={"windows per second": speeds},
    )


def _rank() -> None:
    torch.set_num_threads(1)
    world = World.join()
    settings = forecaster.Hyperparameters(
        time_freq=Frequency.parse(FREQUENCY),
        context_length=96,
        prediction_length=24,
        epochs=EPOCHS,
        mini_batch_size=BATCH_WINDOWS,
    )
    print(TIMED_WINDOWS / train(settings, made(SERIES, HOURS), world).speed, flush=True)
    world.leave()


if __name__ == "__main__":
    _rank()
