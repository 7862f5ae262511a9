"""Pair one: two models of one tensor of air temperatures, of rank 8 and of rank 20.

They truly differ: on entries that neither has seen the squared errors are about 6.4 and 2.5. The requests are withheld
entries in a random order. So each is a fact of its own, whatever the weather does from one place to the next, and
there are 5,300 of them: enough for a split, which needs several times what pairs need.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from local_mode.demo.experiment import BUCKET, Demo, Experiment, Look
from local_mode.demo.progress import say
from local_mode.demo.traffic import Answer, Request
from local_mode.demo.training import train

FILE = Path(__file__).parent.parent / "data" / "air_temperature" / "air_temperature.npy"
CHAMPION, CHALLENGER = "rank-8", "rank-20"
WITHHELD, SEED = 0.2, 0
BY_SHADOW, BY_SPLIT, AFTERWARDS = 400, 1000, 20

Temperatures = NDArray[np.float32]


def load() -> Temperatures:
    """20 times x 25 latitudes x 53 longitudes, in degrees Celsius."""
    temperatures: Temperatures = np.load(FILE)
    return temperatures


def withhold(temperatures: Temperatures) -> tuple[Temperatures, list[tuple[int, ...]]]:
    """The tensor with NaN for the entries that are withheld, and their indices in a random order."""
    random = np.random.default_rng(SEED)
    withheld = random.random(temperatures.shape) < WITHHELD
    places = random.permutation(np.argwhere(withheld))
    return np.where(withheld, np.float32(np.nan), temperatures), [tuple(map(int, place)) for place in places]


def tell(demo: Demo) -> list[Look]:
    """From two training jobs to the teardown; what the comparisons said."""
    temperatures = load()
    shown, places = withhold(temperatures)
    shape = " x ".join(map(str, temperatures.shape))
    say(f"\n== 1. Two models that differ: CP of {shape} air temperatures (time, latitude, longitude)")
    say(f"{len(places):,} entries are withheld; from all others one model of rank 8 learns, and one of rank 20.")
    np.save(demo.output / "air_temperature.npy", shown)
    demo.door.s3.upload_file(str(demo.output / "air_temperature.npy"), BUCKET, "air/train/air_temperature.npy")
    jobs = train((f"air-{CHAMPION}", f"air-{CHALLENGER}"), demo.commands, demo.output)
    for name, job in zip((CHAMPION, CHALLENGER), jobs, strict=True):
        _report_model(name, demo.door.sagemaker.describe_training_job(TrainingJobName=job), shown)
    requests = [
        Request(f"air-{number}", {"index": place}, float(temperatures[place])) for number, place in enumerate(places)
    ]
    return _experiment(demo, jobs, requests)


def _experiment(demo: Demo, jobs: Sequence[str], requests: Sequence[Request]) -> list[Look]:
    experiment = Experiment("air", demo)
    champion, challenger = (f"{name}=job:{job}" for name, job in zip((CHAMPION, CHALLENGER), jobs, strict=True))
    first, second = requests[:BY_SHADOW], requests[BY_SHADOW : BY_SHADOW + BY_SPLIT]
    say(f"\n{CHAMPION} answers. {CHALLENGER}, its shadow, gets copies of the requests, and nobody sees its answers.")
    experiment.deploy("--variant", f"{champion}:1", "--shadow", f"{challenger}:1")
    say("\nRequests for withheld entries. Later the truth is known, and given back by inference id:")
    _report_entry(experiment.ask(first, answers_each=2)[0])
    experiment.feed_back(first, "air-shadow.jsonl")
    say("\nBoth answered the same requests, so that the comparison is by pairs:")
    looks = [experiment.compare(f"{CHALLENGER} against {CHAMPION}", "pairs", "--loss", "squared-error")]
    say("\nThe same question with users in it: each variant answers half of the requests, drawn by weight.")
    experiment.deploy("--variant", f"{champion}:0.5", "--variant", f"{challenger}:0.5", "--yes")
    experiment.ask(second, answers_each=1)
    experiment.feed_back(second, "air-split.jsonl")
    looks.append(experiment.compare(f"{CHALLENGER} against {CHAMPION}", "split"))
    promote(experiment, [replace(each, identity=f"{each.identity}-again") for each in first])
    experiment.teardown()
    return looks


def promote(experiment: Experiment, requests: Sequence[Request]) -> None:
    """All traffic to the challenger, and back; the command refuses where the comparison does not speak for it."""
    say(f"\n{CHALLENGER} is to get all of the traffic. The command asks the comparison first.")
    if experiment.traffic("promote", CHALLENGER).code:
        return
    _report_entry(experiment.ask(requests[:AFTERWARDS], answers_each=1)[0])
    say("\nAnd back, as one does when something else turns up:")
    experiment.traffic("rollback")
    experiment.ask(requests[AFTERWARDS : 2 * AFTERWARDS], answers_each=1)


def _report_model(name: str, job: Mapping[str, Any], shown: Temperatures) -> None:
    """The relative error on the entries that the model has seen, where the job measured one."""
    metrics = {metric["MetricName"]: float(metric["Value"]) for metric in job.get("FinalMetricDataList", [])}
    error = metrics.get("train:final_relative_error")
    if error is not None:
        typical = error * float(np.sqrt(np.nanmean(np.square(shown, dtype=np.float64))))
        say(f"{name}: relative error {error:.4f}, that is {typical:.2f} °C root mean square")


def _report_entry(answer: Answer) -> None:
    """One entry, and what the reanalysis has there."""
    index = answer.request.instance["index"]
    predicted, actual = answer.prediction["value"], answer.request.actual
    say(f"{place(index)}: {answer.variant} says {predicted:.1f} °C, the reanalysis {actual:.1f} °C")


def place(index: Any) -> str:
    """Where and when an entry was: 6 hours a step from 24 February 2014 on, 2.5 degrees a step from 75 N and 200 E."""
    time, latitude, longitude = index
    moment = datetime(2014, 2, 24) + timedelta(hours=6 * time)
    return f"{moment:%d %B %Y %H:%M}, {75 - 2.5 * latitude:g} N {200 + 2.5 * longitude:g} E"
