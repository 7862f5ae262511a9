"""The demonstration from top to bottom."""

import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from local_mode.backend import Backend
from local_mode.demo.figure import draw
from local_mode.demo.progress import TrainingProgress, counted, say
from local_mode.demo.scores import comparison, paired_errors
from local_mode.demo.series import FOLDER, Series, load_series
from local_mode.demo.traffic import Forecast, ask, invoke, runtime_client
from local_mode.endpoint import Endpoint, EndpointSettings, running_endpoint
from local_mode.errors import LocalModeError
from local_mode.jobfile import parse_hyperparameters
from local_mode.layout import TrainingJob
from local_mode.stopping import StopRequest
from local_mode.training import run_training
from local_mode.variants import Variant

DEMO_FOLDER = Path(__file__).parent
AIR_TEMPERATURE = DEMO_FOLDER.parent / "data" / "air_temperature"
VARIANTS = ("tt-lstm", "lstm")
SPLIT_SEED = 1
RELATIVE_ERROR = re.compile(r"train (?:final_)?relative_error <loss>=(\S+)")


@dataclass(frozen=True)
class Demo:
    """The output folder, the backend that runs jobs and servers, and the request to stop."""

    output: Path
    backend: Backend
    stop: StopRequest

    def train(self, name: str, hyperparameters: dict[str, str], channels: dict[str, Path]) -> Path:
        """The model archive of one job; its lines are in OUTPUT/NAME/training.log."""
        # Kernels this small gain little from a second thread, and on a busy machine they wait for it.
        job = TrainingJob(channels, hyperparameters, self.output / name, environment={"OMP_NUM_THREADS": "1"})
        job.output.mkdir(parents=True, exist_ok=True)
        steps = int(hyperparameters.get("epochs", hyperparameters.get("max_iterations", "1")))
        say(f"training {name}")
        with TrainingProgress(name, steps, job.output / "training.log") as progress:
            result = run_training(job, self.backend, self.stop, progress)
        self.stop.raise_if_requested()
        if result.model is None:
            reasons = "; ".join(result.failures.values())
            raise LocalModeError(f"training {name} failed: {reasons} (all lines are in {job.output}/training.log)")
        return result.model

    def endpoint(self, stack: ExitStack, name: str, variants: Sequence[Variant]) -> Endpoint:
        log = stack.enter_context((self.output / f"{name}.log").open("w"))
        settings = EndpointSettings(name, variants, seed=SPLIT_SEED, environment={"MODEL_SERVER_WORKERS": "1"})
        return stack.enter_context(
            running_endpoint(settings, self.backend, self.stop, lambda line: print(line, file=log))
        )


def run_demo(output: Path, backend: Backend, stop: StopRequest) -> int:
    """Trains a CP model and two forecasters, serves them, and prints how the forecasters compare."""
    started = time.monotonic()
    demo = Demo(output, backend, stop)
    output.mkdir(parents=True, exist_ok=True)
    cp = demo.train("cp", parse_hyperparameters([str(DEMO_FOLDER / "cp.json")]), {"train": AIR_TEMPERATURE})
    channels = {"train": FOLDER / "train", "test": FOLDER / "test"}
    models = {cell: demo.train(cell, forecaster_hyperparameters(cell), channels) for cell in VARIANTS}
    with ExitStack() as stack:
        say("starting the endpoints")
        air = demo.endpoint(stack, "air-temperature", [Variant("cp", cp)])
        forecasts = demo.endpoint(stack, "forecasts", [Variant(cell, models[cell], 0.5) for cell in VARIANTS])
        report_cp(air, output / "cp" / "training.log")
        compare(forecasts, output / "forecasts.png", stop)
    say(f"Done in {time.monotonic() - started:.0f} s; models and logs are in {output}")
    return 0


def forecaster_hyperparameters(cell: str) -> dict[str, str]:
    return parse_hyperparameters([str(DEMO_FOLDER / "forecaster.json"), f"cell={cell}"])


def report_cp(endpoint: Endpoint, log: Path) -> None:
    """The final relative error, and one entry of the tensor as the model gives it back."""
    errors = RELATIVE_ERROR.findall(log.read_text())
    temperatures = np.load(AIR_TEMPERATURE / "air_temperature.npy")
    index = [10, 14, 22]
    with runtime_client(endpoint.url) as client:
        _, prediction = invoke(client, endpoint.name, {"instances": [{"index": index}]})
    shape = " x ".join(str(size) for size in temperatures.shape)
    relative = float(errors[-1])
    typical = relative * float(np.sqrt(np.mean(np.square(temperatures, dtype=np.float64))))
    say(f"\nCP of {shape} air temperatures (time, latitude, longitude)")
    say(f"  relative error {relative:.4f}, that is {typical:.2f} °C root mean square")
    say(
        f"  26 February 2014 12:00, 40 N 255 E: model {prediction['value']:.2f} °C, "
        f"reanalysis {temperatures[tuple(index)]:.2f} °C"
    )


def compare(endpoint: Endpoint, picture: Path, stop: StopRequest) -> None:
    """Prints the table and draws the picture.

    A split gives each variant other requests, and so some luck in its errors; by TargetVariant both
    answer the same ones.
    """
    both_series = load_series()
    length = int(forecaster_hyperparameters(VARIANTS[0])["prediction_length"])
    origins = rolling_origins(both_series, length)
    asked: list[tuple[Series, int, str | None]] = [(series, origin, None) for series, origin in origins]
    asked += [(series, origin, variant) for variant in VARIANTS for series, origin in origins]
    answers: list[Forecast] = []
    with runtime_client(endpoint.url) as client:
        for series, origin, variant in counted(asked, "requests"):
            stop.raise_if_requested()
            answers.append(ask(client, endpoint.name, series, origin, variant))
    split, paired = answers[: len(origins)], answers[len(origins) :]
    say(f"\n{len(split)} requests, split 0.5 to 0.5; each asks for {length} months that no model has seen")
    say(comparison(split, VARIANTS, both_series))
    errors = paired_errors(paired, VARIANTS)
    say(f"\nBoth variants on the same {len(origins)} requests, by TargetVariant: {errors}")
    pictured = [answer for answer in paired if (answer.origin - answer.series.withheld_from) % length == 0]
    draw(pictured, VARIANTS, both_series, picture)
    say(f"Forecasts against actuals: {picture}")


def rolling_origins(every_series: Sequence[Series], length: int) -> list[tuple[Series, int]]:
    """Every month from which the whole horizon lies in the withheld part, the series taking turns."""
    origins = [
        (origin - series.withheld_from, number)
        for number, series in enumerate(every_series)
        for origin in range(series.withheld_from, len(series.values) - length + 1)
    ]
    return [(every_series[number], every_series[number].withheld_from + offset) for offset, number in sorted(origins)]
