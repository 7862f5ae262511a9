"""Endurance on loopback: overload, ends and deaths under load, clients that misbehave, and altered bodies.

POLYADIC_SOAK_SECONDS (600) is how long the overload lasts, POLYADIC_SOAK_BODIES (100,000) how many altered bodies of
each content type are sent; POLYADIC_IMAGE names an image that serves, instead of this checkout.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from scripts.bench.measure import OURS, Bound, Case
from scripts.load import models
from scripts.load.client import Outcome
from scripts.load.server import serving
from scripts.soak import endurance
from scripts.soak.fuzz import INSTANCES, MOST_GROWTH, Fuzzer, bodies

STOP_SECONDS, MOST_SPREAD = 25.0, 10.0
MISBEHAVING_CLIENTS = 40
QUIET = {"MODEL_SERVER_ACCESS_LOG": "false", "MAX_CONTENT_LENGTH": str(2**20)}


def run() -> Iterator[Case]:
    """First the clients, then the bodies."""
    seconds = float(os.environ.get("POLYADIC_SOAK_SECONDS", "600"))
    count = int(os.environ.get("POLYADIC_SOAK_BODIES", "100000"))
    yield from _clients(seconds)
    yield from _deaths()
    yield from _replaced()
    yield from _full_disk()
    for name in INSTANCES:
        yield from _bodies(name, count)


def _clients(seconds: float) -> Iterator[Case]:
    data = endurance.asked("forecaster", 1)
    with endurance.served("forecaster") as server:
        over = endurance.overload(server, data, seconds)
        yield Case(
            key="overload",
            title=f"{seconds:.0f} s at twice the capacity, forecaster, one worker",
            figures={OURS: over.outcome.median},
            unit="seconds per accepted request",
            bounds=[
                Bound("answers that are neither 200 nor 503, and requests without one", over.other_statuses, 0),
                Bound("503 without Retry-After", over.outcome.without_retry, 0),
                Bound("growth of the memory", over.growth, MOST_GROWTH),
                Bound("p99 of the accepted against their median", over.spread, MOST_SPREAD),
            ],
            facts={"answers": _told(over.outcome), "capacity": f"{over.capacity:.0f} requests a second"},
        ).reported()
        for doing, client in endurance.MISBEHAVING.items():
            yield _beside(doing, endurance.beside(server, data, client, MISBEHAVING_CLIENTS))
        yield _beside("are idle, as many as may be open", endurance.without_descriptors(server, data))
        outcome, took = endurance.stopped_under_load(server, data)
        yield Case(
            key="stop",
            title="SIGTERM under load",
            figures={OURS: took},
            unit="seconds to the end",
            bounds=[
                Bound("seconds", took, STOP_SECONDS),
                Bound("accepted requests without an answer", outcome.lost, 0),
            ],
            facts={"answers": _told(outcome)},
        ).reported()


def _deaths() -> Iterator[Case]:
    with endurance.served("forecaster", 2) as server:
        meanwhile, afterwards = endurance.killed_under_load(server, endurance.asked("forecaster", 1))
    yield _after("kill", "One of two workers killed under load", meanwhile, afterwards)


def _replaced() -> Iterator[Case]:
    for name, instances in (("cp", 1000), ("forecaster", 1)):
        title = f"The files of a model written anew, overwritten and emptied under load, {name}"
        yield _all_answered(f"replaced_{name}", title, endurance.replaced_under_load(name, instances))


def _full_disk() -> Iterator[Case]:
    """In a container alone, whose /tmp and /dev/shm are small."""
    if not os.environ.get("POLYADIC_IMAGE"):
        return
    data = endurance.asked("forecaster", 1)
    with endurance.served("forecaster", 2, ("--tmpfs", "/tmp:size=4m", "--shm-size", "4m", "--read-only")) as server:
        endurance.fill_disks(server)
        meanwhile, afterwards = endurance.killed_under_load(server, data)
    title = "/tmp and /dev/shm full, and one of two workers killed under load"
    yield _after("full_disk", title, meanwhile, afterwards)


def _after(key: str, title: str, meanwhile: Outcome, afterwards: Outcome) -> Case:
    """Clients while something happened, and after it."""
    return Case(
        key=key,
        title=title,
        figures={OURS: meanwhile.median},
        unit="seconds per request",
        bounds=[Bound("requests afterwards that are not answered with 200", afterwards.failed, 0)],
        facts={"answers meanwhile": _told(meanwhile), "answers afterwards": _told(afterwards)},
    ).reported()


def _beside(doing: str, outcome: Outcome) -> Case:
    """Two clients beside others."""
    key = f"beside_{doing.replace(' ', '_').replace(',', '')}"
    p99 = {"p99": f"{1000 * outcome.quantile(0.99):.0f} ms"}
    return _all_answered(key, f"Beside clients that {doing}", outcome, p99)


def _all_answered(key: str, title: str, outcome: Outcome, facts: Mapping[str, str] | None = None) -> Case:
    """Clients each of whose requests is answered."""
    return Case(
        key=key,
        title=title,
        figures={OURS: outcome.median},
        unit="seconds per request",
        bounds=[Bound("requests that are not answered with 200", outcome.failed, 0)],
        facts={**(facts or {}), "answers": _told(outcome)},
    ).reported()


def _bodies(name: str, count: int) -> Iterator[Case]:
    """Altered bodies of each content type that a model takes."""
    with contextlib.ExitStack() as opened:
        base = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        server = opened.enter_context(serving(models.written(name, base, small=True), QUIET))
        fuzzer = opened.enter_context(Fuzzer(server))
        for kind, valid in bodies(name).items():
            fuzzer.fuzz(kind, valid, min(count, 2000), seed=1)
            before = server.resident_bytes()
            result = fuzzer.fuzz(kind, valid, count, seed=2)
            growth = server.resident_bytes() / before - 1
            yield Case(
                key=f"bodies_{name}_{kind.rpartition('/')[2]}",
                title=f"{count:,} altered bodies, {name}, {kind}",
                figures={OURS: result.slowest},
                unit="seconds of the slowest answer",
                bounds=[
                    Bound("answers that none may be", len(result.found), 0),
                    Bound("growth of the memory", growth, MOST_GROWTH),
                ],
                facts={
                    "answers": ", ".join(f"{n:,} x {status}" for status, n in sorted(result.statuses.items())),
                    **({"the first wrong one": f"{result.found[0]}"} if result.found else {}),
                },
            ).reported()


def _told(outcome: Outcome) -> str:
    each = ", ".join(f"{count:,} x {status}" for status, count in sorted(outcome.statuses.items()))
    return f"{each}; {outcome.lost} without" if outcome.lost else each
