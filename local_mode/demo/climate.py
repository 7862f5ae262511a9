"""Pair two: the same forecaster of two monthly series, trained from two seeds; nobody should find a difference.

The last 25 years of both series are withheld. Each quarter is forecast once, from the months before it, the series
taking turns: 200 forecasts, none of which overlaps another of its series. Forecasts of a year from each month would be
more of them, but neighbours would share eleven months and be wrong together, and the interval would be too narrow.
Of the 28 pairs of eight seeds, 27 are undecided after these forecasts, and 27 equivalent within the margin.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from local_mode.demo.experiment import BUCKET, Demo, Experiment, Look
from local_mode.demo.progress import say
from local_mode.demo.scores import mase
from local_mode.demo.series import TITLES, Series, load_series, with_gaps
from local_mode.demo.traffic import Answer, Request
from local_mode.demo.training import train

CHAMPION, CHALLENGER = "seed-0", "seed-1"
WITHHELD_MONTHS, QUARTER = 300, 3
MARGIN = "15%"
QUESTION = ("--loss", "pinball", "--season", "12")
CONFIGURATION = {"num_samples": 100, "output_types": ["mean", "quantiles"], "quantiles": ["0.1", "0.5", "0.9"]}


@dataclass(frozen=True)
class Quarter:
    """Three months of a series, to be forecast from those before `origin`."""

    series: Series
    origin: int

    @property
    def request(self) -> Request:
        return Request(
            f"{self.series.title.split()[0]}-{self.series.months[self.origin]}",
            {"item_id": self.series.title, **self.series.instance(self.origin)},
            with_gaps(self.series.actuals(self.origin, QUARTER)),
            CONFIGURATION,
        )

    @property
    def naive_loss(self) -> float:
        """What the seasonal naive forecast loses, in the unit in which `scripts.compare` counts."""
        seen = replace(self.series, withheld_from=self.origin)
        return mase(seen, seen.seasonal_naive(self.origin, QUARTER), seen.actuals(self.origin, QUARTER))


def tell(demo: Demo) -> tuple[list[Look], list[tuple[Quarter, Answer]]]:
    """From two training jobs to a refused promotion; what the comparisons said, and the champion's forecasts."""
    both = [replace(series, withheld_from=len(series.values) - WITHHELD_MONTHS) for series in load_series()]
    say("\n== 2. Two models that hardly differ: forecasts of the sea's surface temperature and of CO₂")
    say(f"The last {WITHHELD_MONTHS} months are withheld; from the others one network learns twice, from two seeds.")
    for name, series in zip(TITLES, both, strict=True):
        body = json.dumps(series.instance(series.withheld_from)).encode()
        demo.door.s3.put_object(Bucket=BUCKET, Key=f"climate/train/{name}.json", Body=body)
    jobs = train((f"climate-{CHAMPION}", f"climate-{CHALLENGER}"), demo.commands, demo.output)
    asked = quarters(both)
    looks, answers = _experiment(demo, jobs, [quarter.request for quarter in asked])
    naive = float(np.nanmean([quarter.naive_loss for quarter in asked]))
    say(f"\nFor comparison: a seasonal naive forecast has a mean loss of {naive:.3f} on the same requests.")
    return looks, list(zip(asked, answers, strict=True))


def quarters(every_series: Sequence[Series]) -> list[Quarter]:
    """Every quarter of the withheld months, the series taking turns."""
    offsets = range(0, WITHHELD_MONTHS - QUARTER + 1, QUARTER)
    return [Quarter(series, series.withheld_from + offset) for offset in offsets for series in every_series]


def _experiment(demo: Demo, jobs: Sequence[str], requests: Sequence[Request]) -> tuple[list[Look], list[Answer]]:
    experiment = Experiment("climate", demo)
    champion, challenger = (f"{name}=job:{job}" for name, job in zip((CHAMPION, CHALLENGER), jobs, strict=True))
    say(f"\n{CHAMPION} answers, and {CHALLENGER} is its shadow.")
    experiment.deploy("--variant", f"{champion}:1", "--shadow", f"{challenger}:1")
    say(f"\nEach request is for the next {QUARTER} months of a series, from all months before them.")
    answers = experiment.ask(requests, answers_each=2)
    experiment.feed_back(requests, "climate.jsonl")
    title = f"{CHALLENGER} against {CHAMPION}"
    looks = [experiment.compare(title, "pairs", *QUESTION)]
    say(f"\n{CHALLENGER} becomes a variant, of weight 0 until it is promoted; the command asks the comparison first.")
    experiment.deploy("--variant", f"{champion}:1", "--variant", f"{challenger}:0", "--yes")
    experiment.traffic("promote", CHALLENGER)
    say(f"\nIs the difference less than {MARGIN} of the loss? In earnest, choose the margin before the first look.")
    looks.append(experiment.compare(f"{title}, margin {MARGIN}", "pairs", "--ask-anew", *QUESTION, "--margin", MARGIN))
    return looks, answers
