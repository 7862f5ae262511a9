"""Serving on loopback, by one worker: what a request costs beyond the model, and who else can hold it up.

Server, clients and floors take turns in one run. A floor is the model's own parsing and prediction in one process and
thread, of as many requests at once as the server predicted together.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from scripts.bench.measure import OURS, Bound, Case
from scripts.load import models
from scripts.load.client import PING, Outcome, keep_asking, request
from scripts.load.server import ROOT, Server, free_port, python, running, serving

SECONDS, ROUNDS = 3.0, 3
WARM_SECONDS = 1.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
FLOOR, UNBATCHED = "parse and predict in one process", "without batching"
CONSTANT, MODELLESS = "Flask with a constant answer", "ours with a constant model"
JSON, NPY, RECORDIO = "application/json", "application/x-npy", "application/x-recordio-protobuf"
PEERS = {
    "gluonts.shell": ("gluonts_shell", 2.0),
    "mlflow models serve": ("mlflow_models", 2.0),
    "LitServe": ("litserve_api", 1.2),
    "plain Flask and gunicorn": ("", 1.5),
}
"""Each with its module of scripts.load.peers, and how many times as fast as it we are to be."""
TITLES = {"cp": "cp, {} indices", "lda": "lda, {} documents", "forecaster": "forecaster, {} series of 100 paths"}


def run(kind: str) -> Iterator[Case]:
    """The cases of one kind of measurement."""
    yield from {
        "throughput": throughput,
        "light": light,
        "latency": latency,
        "batching": batching,
        "large": large,
        "ping": ping,
        "peers": peers,
    }[kind]()


def throughput() -> Iterator[Case]:
    """Eight clients that never pause, against the model alone at the same batch."""
    for name, count in (("forecaster", 1), ("forecaster", 8), ("cp", 1000), ("lda", 100)):
        yield _against_floor(name, count, JSON, 0.9)


def large() -> Iterator[Case]:
    """Bodies of numbers instead of text."""
    yield _against_floor("cp", 10_000, NPY, 0.7)
    yield _against_floor("lda", 1000, RECORDIO, 0.7)


def light() -> Iterator[Case]:
    """Requests that are next to no work for the model, against the same server with a constant answer."""
    for name in ("cp", "lda"):
        asked = models.work(name, 1)
        data, taken = [request("/invocations", asked.body)], defaultdict[str, list[float]](list)
        with _served(name) as ours, _app("constant", name) as theirs, _app("modelless", name) as without:
            for _ in range(ROUNDS):
                for program, server in ((OURS, ours), (CONSTANT, theirs), (MODELLESS, without)):
                    taken[program].append(1 / _asked(server, data, 8).rate)
        seconds = {program: statistics.median(each) for program, each in taken.items()}
        share = seconds[CONSTANT] / seconds[OURS]
        yield Case(
            key=f"light_{name}",
            title=f"Eight clients, {TITLES[name].format(1)}",
            figures=seconds,
            roles={CONSTANT: "floor", MODELLESS: "floor"},
            unit="seconds per request",
            bounds=[Bound("share of the requests that a constant answer has", share, 0.85, "value at least")],
            facts={"requests a second": f"{1 / seconds[OURS]:.0f}"},
        ).reported()


def latency() -> Iterator[Case]:
    """One client, against the model's own time."""
    for name, count in (("cp", 1), ("lda", 1), ("forecaster", 1), ("forecaster", 8)):
        asked = models.work(name, count)
        data, median, late = [request("/invocations", asked.body)], list[float](), list[float]()
        floors = list[list[float]]()
        with _served(name) as server:
            for _ in range(ROUNDS):
                outcome = _asked(server, data, 1)
                median.append(outcome.median)
                late.append(outcome.quantile(0.99))
                floors.append(_floor(name, count, JSON, 1))
        ours, floor = statistics.median(median), statistics.median(each[1] for each in floors)
        late_floor = statistics.median(each[2] for each in floors)
        yield Case(
            key=f"latency_{name}_{count}",
            title=f"One client, {TITLES[name].format(count)}",
            figures={OURS: ours, FLOOR: floor},
            roles={FLOOR: "floor"},
            unit="seconds per request",
            bounds=[
                Bound("added at the median", 1000 * (ours - floor), 1.5, unit="ms"),
                Bound("added at p99", 1000 * (statistics.median(late) - late_floor), 3.0, unit="ms"),
            ],
        ).reported()


def batching() -> Iterator[Case]:
    """Sixteen clients with a series each, with and without prediction of what waits together."""
    data, taken = (
        [request("/invocations", models.work("forecaster", 1).body)],
        {OURS: list[float](), UNBATCHED: list[float]()},
    )
    threads = "24"
    with (
        _served("forecaster", MODEL_SERVER_THREADS=threads) as ours,
        _app("unbatched", "forecaster", MODEL_SERVER_THREADS=threads) as theirs,
    ):
        for _ in range(ROUNDS):
            for program, server in ((OURS, ours), (UNBATCHED, theirs)):
                taken[program].append(1 / _asked(server, data, 16).rate)
    seconds = {program: statistics.median(each) for program, each in taken.items()}
    yield Case(
        key="batching",
        title=f"Sixteen clients, {TITLES['forecaster'].format(1)}",
        figures=seconds,
        targets={UNBATCHED: 1.5},
        unit="seconds per request",
    ).reported()


def peers() -> Iterator[Case]:
    """The same artifact behind other servers, eight clients; each has the processes that it has by default.

    Ours and the plain one have a worker a core, LitServe one beside that for HTTP, the others one. The model has one
    thread in each: with torch's own number all of them are slower.
    """
    workers = min(8, os.cpu_count() or 1)
    for name, count in (("forecaster", 1), ("forecaster", 8), ("cp", 1000), ("lda", 100)):
        data = models.work(name, count).body
        taken, targets = {OURS: list[float]()}, dict[str, float]()
        with contextlib.ExitStack() as opened:
            servers = {OURS: (opened.enter_context(_served(name, workers)), data)}
            for title, (module, least) in PEERS.items():
                if module == "gluonts_shell" and name != "forecaster":
                    continue
                theirs = _peer(module, name) if module else _app("plain", name, MODEL_SERVER_WORKERS=str(workers))
                servers[title] = opened.enter_context(theirs), _in_words_of(title, data)
                taken[title], targets[title] = [], least
            for _ in range(ROUNDS):
                for program, (server, body) in servers.items():
                    taken[program].append(1 / _asked(server, [request("/invocations", body)], 8).rate)
        yield Case(
            key=f"{name}_{count}",
            title=f"Eight clients, {TITLES[name].format(f'{count:,}')}",
            figures={program: statistics.median(each) for program, each in taken.items()},
            targets=targets,
            unit="seconds per request",
        ).reported()


def ping() -> Iterator[Case]:
    """/ping while every slot computes, beside silent, trickling and unreading clients, four times the threads."""
    threads = 16
    busy = [request("/invocations", models.work("forecaster", 8).body)]
    with _served("forecaster", MODEL_SERVER_THREADS=str(threads)) as server, contextlib.ExitStack() as opened:
        body = models.work("forecaster", 64).body
        begins = (
            b"",
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n1",
            request("/invocations", body),
        )
        for number in range(4 * threads):
            held = opened.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            held.sendall(begins[number % len(begins)])
        asking = threading.Thread(target=keep_asking, args=(server.port, busy, threads, SECONDS + 2))
        asking.start()
        outcome = keep_asking(server.port, [PING], 1, SECONDS, rate=100)
        asking.join()
    yield Case(
        key="ping",
        title=f"/ping while all slots compute, beside {4 * threads} clients that send or read nothing",
        figures={OURS: outcome.median},
        unit="seconds per request",
        bounds=[Bound("p99", 1000 * outcome.quantile(0.99), 50, unit="ms")],
        facts={"answers": ", ".join(f"{count} x {status}" for status, count in outcome.statuses.items())},
    ).reported()


def _against_floor(name: str, count: int, kind: str, least: float) -> Case:
    """Eight clients against the model alone."""
    asked = models.work(name, count, kind)
    data, taken, floors, merged = [request("/invocations", asked.body, kind)], list[float](), list[float](), 1.0
    with _served(name) as server:
        for _ in range(ROUNDS):
            taken.append(1 / _asked(server, data, 8).rate)
            merged = max(1.0, _instances_a_batch(server) / (1 if kind == NPY else count))
            floors.append(_floor(name, count, kind, round(merged))[0])
        phases = _phases(server)
    ours, floor = statistics.median(taken), statistics.median(floors)
    return Case(
        key=f"{name}_{count}",
        title=f"Eight clients, {TITLES[name].format(f'{count:,}')}, {kind}",
        figures={OURS: ours, FLOOR: floor},
        roles={FLOOR: "floor"},
        unit="seconds per request",
        bounds=[Bound("share of the model's own throughput", floor / ours, least, "value at least")],
        facts={"requests predicted together": f"{merged:.1f}", "milliseconds of a request by phase": phases},
    ).reported()


def _asked(server: Server, data: list[bytes], clients: int) -> Outcome:
    keep_asking(server.port, data, clients, WARM_SECONDS)
    outcome = keep_asking(server.port, data, clients, SECONDS)
    wrong = {status: count for status, count in outcome.statuses.items() if status != 200}
    if wrong or outcome.lost:
        raise RuntimeError(f"answers of status {wrong}, {outcome.lost} lost:\n{server.log.read_text()[-2000:]}")
    return outcome


@contextlib.contextmanager
def _served(name: str, workers: int = 1, **environ: str) -> Iterator[Server]:
    """Our server of a model."""
    with tempfile.TemporaryDirectory() as base, serving(models.written(name, Path(base)), environ, workers) as server:
        yield server


@contextlib.contextmanager
def _app(application: str, name: str, **environ: str) -> Iterator[Server]:
    """Another application in the same gunicorn, by the same worker."""
    port = free_port()
    with tempfile.TemporaryDirectory() as base:
        models.written(name, Path(base))
        given = {"SAGEMAKER_BASE_DIR": base, "SAGEMAKER_BIND_TO_PORT": str(port), "MODEL_SERVER_WORKERS": "1"} | environ
        image = os.environ.get("POLYADIC_IMAGE")
        config = "/opt/program/gunicorn.conf.py" if image else str(ROOT / "container" / "gunicorn.conf.py")
        container = f"polyadic-load-{port}" if image else ""
        arguments = ["-m", "gunicorn", "--config", config, f"scripts.load.apps:{application}()"]
        with running(python(arguments, given, base, container), port, container, **given) as server:
            yield server


@contextlib.contextmanager
def _peer(module: str, name: str) -> Iterator[Server]:
    """Another server, by one worker."""
    port = free_port()
    with tempfile.TemporaryDirectory() as base:
        models.written(name, Path(base))
        command = [sys.executable, "-m", f"scripts.load.peers.{module}", base, str(port)]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
        with running(command, port, **ONE_THREAD, **quiet) as server:
            yield server


def _in_words_of(peer: str, body: bytes) -> bytes:
    """A request of ours as a peer takes it."""
    asked = json.loads(body)
    if peer == "mlflow models serve":
        asked = {"dataframe_records": asked["instances"]}
    elif peer == "gluonts.shell":
        asked["configuration"]["freq"] = "h"
    return json.dumps(asked).encode()


def _floor(name: str, count: int, kind: str, merged: int) -> list[float]:
    """Mean, median and 99th percentile of the seconds of a request in a process of its own."""
    arguments = ["-m", "scripts.load.floor", name, str(count), kind, str(merged), str(SECONDS)]
    command = python(arguments, ONE_THREAD)
    output = subprocess.run(
        command, env={**os.environ, **ONE_THREAD}, check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout
    return [float(number) for number in output.split()]


def _figures(server: Server, name: str) -> dict[str, float]:
    """The values of a figure of /metrics by its labels."""
    lines = [line for line in server.get("/metrics")[1].decode().splitlines() if line.startswith(name)]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def _instances_a_batch(server: Server) -> float:
    total = sum(_figures(server, "polyadic_batch_instances_sum").values())
    return total / sum(_figures(server, "polyadic_batch_instances_count").values())


def _phases(server: Server) -> str:
    """The mean milliseconds of each phase of a request, and of the whole of it."""
    told = {}
    for phase in ("decode", "queue", "predict", "encode"):
        label = f'phase="{phase}"'
        sums = sum(v for key, v in _figures(server, "polyadic_phase_seconds_sum").items() if label in key)
        counts = sum(v for key, v in _figures(server, "polyadic_phase_seconds_count").items() if label in key)
        told[phase] = 1000 * sums / counts
    whole = sum(_figures(server, "polyadic_request_seconds_sum").values())
    told["all"] = 1000 * whole / sum(_figures(server, "polyadic_request_seconds_count").values())
    return json.dumps({phase: round(took, 2) for phase, took in told.items()}).strip("{}").replace('"', "")
