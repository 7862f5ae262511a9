"""How the benchmarks time: contenders take turns, medians are kept, and every case prints one table."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from polyadic.training.environment import free_port
from scripts.bench.record import Role, Row, TargetKind, finite, slug

OURS = "polyadic"
SETTLING_SECONDS, ENOUGH_SECONDS = 0.5, 0.25
MOST_DOUBLED = 32
COPY_ENTRIES = 2**26
RANKS_TIMEOUT_SECONDS = 300


class UnavailableError(Exception):
    """A benchmark cannot run on this machine: a GPU, a peer or data are missing."""


@dataclass(frozen=True)
class Bound:
    """A number that must not pass a limit: `about` names it within its case."""

    about: str
    value: float
    limit: float
    kind: TargetKind = "value at most"
    unit: str = ""

    def row(self, case: str, title: str) -> Row:
        """The row of a case that holds it."""
        met = self.value <= self.limit if self.kind == "value at most" else self.value >= self.limit
        return Row(
            key=f"{case}.{slug(self.about)}",
            work=f"{title}: {self.about}",
            program=OURS,
            role="polyadic",
            value=finite(self.value),
            unit=self.unit,
            target=float(self.limit),
            target_kind=self.kind,
            met=met,
        )

    def __str__(self) -> str:
        verdict = self.row("", "").met
        value = f"{self.value:.4g} {self.unit}".strip()
        return f"{value}, to be {self.kind[6:]} {self.limit:.4g}: {'met' if verdict else 'MISSED'}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One piece of work, and what each program needed for it.

    key: its name in the benchmark's file. figures: {program: value in `unit`}, the smaller the better.
    targets: {program: how often its value is to be ours, at least}. roles: of those programs that are not peers.
    spreads: standard deviations over seeds. bounds: numbers with limits of their own. facts: {name: text}, printed, and
    kept as remarks. ours: the program that the others are compared with.
    """

    key: str
    title: str
    figures: Mapping[str, float]
    targets: Mapping[str, float] = field(default_factory=dict)
    unit: str = "seconds per sweep"
    roles: Mapping[str, Role] = field(default_factory=dict)
    spreads: Mapping[str, float] = field(default_factory=dict)
    bounds: Sequence[Bound] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    ours: str = OURS

    def rows(self) -> list[Row]:
        """The rows of the benchmark's file: one for each program, one for each bound."""
        programs = [self._row(program, value) for program, value in self.figures.items()]
        return programs + [bound.row(self.key, self.title) for bound in self.bounds]

    def remarks(self) -> list[str]:
        """The facts, as sentences of the benchmark's file."""
        return [f"{self.title}: {name}: {text}." for name, text in self.facts.items()]

    def reported(self) -> Case:
        """Prints the table, and returns the case."""
        print(f"\n### {self.title}\n\n| program | {self.unit} | against {self.ours} | at least |\n|---|---|---|---|")
        for row in (self._row(program, value) for program, value in self.figures.items()):
            value = "not reached" if row.value is None else f"{row.value:.4g}"
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            verdict = "" if row.target is None else f"{row.target:.3g} {'met' if row.met else 'MISSED'}"
            print(f"| {row.program} | {value} | {ratio} | {verdict} |")
        for name, text in [*((bound.about, str(bound)) for bound in self.bounds), *self.facts.items()]:
            print(f"\n{name}: {text}")
        sys.stdout.flush()
        return self

    def _row(self, program: str, value: float) -> Row:
        ratio, target = finite(value / self.figures[self.ours]), self.targets.get(program)
        reached = finite(self.figures[self.ours]) is not None
        return Row(
            key=f"{self.key}.{slug(program)}",
            work=self.title,
            program=program,
            role="polyadic" if program == self.ours else self.roles.get(program, "peer"),
            value=finite(value),
            unit=self.unit,
            spread=self.spreads.get(program),
            ratio=ratio if reached else None,
            target=target,
            target_kind="" if target is None else "ratio at least",
            met=None if target is None else reached and (ratio is None or ratio >= target),
        )


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes, a GPU's work included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def seconds_per_sweep(fit: Callable[[int], object], few: int = 2, more: int = 6) -> Callable[[], float]:
    """A function that measures the seconds of one sweep of fit(sweeps): what `more` sweeps take beyond `few`.

    So the start of the fit is left out. The number of sweeps is doubled where they take less than ENOUGH_SECONDS,
    because the starts of two fits differ by some milliseconds.
    """
    beyond = [more]

    def measured() -> float:
        while True:
            took = seconds(lambda: fit(few + beyond[0])) - seconds(lambda: fit(few))
            if took >= ENOUGH_SECONDS or beyond[0] >= MOST_DOUBLED * more:
                return max(took, 1e-9) / beyond[0]
            beyond[0] *= 2

    return measured


def in_turn(contenders: Mapping[str, Callable[[], float]], rounds: int = 5) -> dict[str, float]:
    """The median of what each contender returns: every contender is called once per round, the first round is left out.

    Before each call, the threads of the contender before are given time to stop spinning.
    """
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, contender in contenders.items():
            time.sleep(SETTLING_SECONDS)
            value = contender()
            if number:
                taken[name].append(value)
    return {name: statistics.median(values) for name, values in taken.items()}


def of_ranks(size: int, module: str, *arguments: str) -> float:
    """The last number that rank 0 prints: `python -m module` on ranks of one thread each, as torchrun starts them."""
    port, running = str(free_port()), []
    for rank in range(size):
        place = {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size)}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        command = [sys.executable, "-m", module, *arguments]
        running.append(subprocess.Popen(command, env={**os.environ, **place}, stdout=subprocess.PIPE, text=True))
    outputs = [process.communicate(timeout=RANKS_TIMEOUT_SECONDS)[0] for process in running]
    return float(outputs[0].split()[-1])


def copy_bandwidth() -> float:
    """Bytes that a copy of 256 MiB reads and writes in one second."""
    source = torch.rand(COPY_ENTRIES)
    target = torch.empty_like(source)
    return 2 * 4 * COPY_ENTRIES / min(seconds(lambda: target.copy_(source)) for _ in range(7))
