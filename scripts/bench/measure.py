"""How the benchmarks time: contenders in turn, medians, one table and one JSON line a case."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from polyadic.training.environment import free_port

RECORDS = Path("out/bench.jsonl")
OURS = "polyadic"
SETTLING = 0.5
LONG_ENOUGH, MOST = 0.25, 32
environment: dict[str, Any] = {}
"""Versions and machine, which go with every record; set by __main__."""


@dataclass
class Case:
    """One row of the promise: what was measured, in seconds (or another unit), and against what by which factor."""

    name: str
    figures: Mapping[str, float]
    targets: Mapping[str, float] = field(default_factory=dict)
    unit: str = "seconds a sweep"
    more: Mapping[str, Any] = field(default_factory=dict)

    def report(self) -> None:
        """Prints the table and appends the JSON line. A target is how often faster (or smaller) we are to be."""
        ours = self.figures[OURS]
        print(f"\n### {self.name}\n\n| program | {self.unit} | against polyadic | at least |\n|---|---|---|---|")
        ratios = {name: value / ours for name, value in self.figures.items()}
        for name, value in self.figures.items():
            target = self.targets.get(name)
            verdict = "" if target is None else f"{target:g} {'met' if ratios[name] >= target else 'MISSED'}"
            print(f"| {name} | {value:.4g} | {ratios[name]:.2f} | {verdict} |")
        for name, value in self.more.items():
            print(f"\n{name}: {value}")
        record = {"case": self.name, "unit": self.unit, "figures": dict(self.figures), "ratios": ratios}
        record |= {"targets": dict(self.targets), **self.more, "environment": environment}
        RECORDS.parent.mkdir(exist_ok=True)
        with RECORDS.open("a") as file:
            file.write(json.dumps(record) + "\n")


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes, a GPU's work included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def a_sweep(fit: Callable[[int], object], few: int = 2, more: int = 6) -> Callable[[], float]:
    """Seconds a sweep of a fit: what `more` sweeps take beyond `few`, so that the start is left out.

    Twice as many, and again, where those take less than LONG_ENOUGH: the starts of two fits differ by some
    milliseconds.
    """
    beyond = [more]

    def measured() -> float:
        while True:
            took = seconds(lambda: fit(few + beyond[0])) - seconds(lambda: fit(few))
            if took >= LONG_ENOUGH or beyond[0] >= MOST * more:
                return max(took, 1e-9) / beyond[0]
            beyond[0] *= 2

    return measured


def in_turn(contenders: Mapping[str, Callable[[], float]], rounds: int = 5) -> dict[str, float]:
    """The median of what each contender returns, all of them once a round; a first round is thrown away.

    Before each, the threads of the one before are given time to stop spinning.
    """
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, contender in contenders.items():
            time.sleep(SETTLING)
            value = contender()
            if number:
                found[name].append(value)
    return {name: statistics.median(values) for name, values in found.items()}


def of_ranks(size: int, module: str, *arguments: str) -> float:
    """The last number that rank 0 prints: `python -m module` on ranks of one thread each, as torchrun starts them."""
    port, running = str(free_port()), []
    for rank in range(size):
        place = {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size)}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        command = [sys.executable, "-m", module, *arguments]
        running.append(subprocess.Popen(command, env={**os.environ, **place}, stdout=subprocess.PIPE, text=True))
    outputs = [process.communicate(timeout=300)[0] for process in running]
    return float(outputs[0].split()[-1])


def copy_bandwidth() -> float:
    """Bytes a second that a copy of 256 MiB reads and writes."""
    source = torch.rand(2**26)
    target = torch.empty_like(source)
    return 2 * 4 * 2**26 / min(seconds(lambda: target.copy_(source)) for _ in range(7))
