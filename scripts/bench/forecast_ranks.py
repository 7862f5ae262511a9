"""Two ranks against one, one thread each, on a training of tt-lstm as it is by default, but with 512 windows a step."""

from __future__ import annotations

import torch

from polyadic.algorithms import forecaster
from polyadic.distributed import World
from scripts.bench.forecast_data import FREQUENCY, made
from scripts.bench.forecast_job import train
from scripts.bench.measure import OURS, Case, of_ranks

SERIES, HOURS, EPOCHS, BATCH, WINDOWS = 16, 4_000, 2, 512, 1_000


def run() -> None:
    """Starts the ranks as torch.distributed.run would; a step's windows are dealt out among them."""
    figures = {
        "one rank": of_ranks(1, "scripts.bench.forecast_ranks"),
        OURS: of_ranks(2, "scripts.bench.forecast_ranks"),
    }
    speeds = ", ".join(f"{name} {WINDOWS / value:,.0f}" for name, value in figures.items())
    unit = f"seconds for {WINDOWS:,} windows"
    name = f"training of tt-lstm, {BATCH} windows a step, two ranks of one thread each"
    Case(name, figures, {"one rank": 1.7}, unit, {"windows a second": speeds}).report()


def _rank() -> None:
    torch.set_num_threads(1)
    world = World.join()
    settings = forecaster.Hyperparameters(
        time_freq=FREQUENCY, context_length=96, prediction_length=24, epochs=EPOCHS, mini_batch_size=BATCH
    )
    print(WINDOWS / train(settings, made(SERIES, HOURS), world).speed, flush=True)
    world.leave()


if __name__ == "__main__":
    _rank()
