"""python -m scripts.load.floor NAME INSTANCES KIND MERGED SECONDS: seconds of a request where there is no server.

A request is parsed as a server does, and so many are predicted together; one process, one thread. Prints the mean, the
median and the 99th percentile.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

from polyadic import algorithms
from polyadic.formats import FORMATS
from polyadic.serving.instances import parse_all, read_instances
from scripts.load import models


def main(name: str, instances: int, kind: str, merged: int, seconds: float) -> tuple[float, float, float]:
    """Mean, median and 99th percentile of the seconds of a request."""
    stored = models.artifact(name)
    model = algorithms.named(stored.algorithm).load(stored)
    asked = models.work(name, instances, kind)
    spoken = next(each for each in FORMATS.values() if kind in each.content_types)

    def batch() -> None:
        parsed: list[Any] = []
        for _ in range(merged):
            parsed += parse_all(model, *read_instances(model, spoken, asked.body, {}))
        model.predict(parsed)

    batch()
    took, began = list[float](), time.perf_counter()
    while time.perf_counter() - began < seconds:
        first = time.perf_counter()
        batch()
        took.append((time.perf_counter() - first) / merged)
    ordered = sorted(took)
    return statistics.fmean(took), statistics.median(took), ordered[int(0.99 * (len(ordered) - 1))]


if __name__ == "__main__":
    print(*main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5])))
