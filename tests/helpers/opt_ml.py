"""/opt/ml as SageMaker lays it out, under a folder of the test; containers as plain processes."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]

STARTED: list[subprocess.Popen[bytes]] = []
"""Every process of the test under way; tests/contract/conftest.py ends those that a failed test leaves."""

FORECASTER = {
    "time_freq": "H",
    "context_length": "24",
    "prediction_length": "12",
    "epochs": "2",
    "num_cells": "8",
    "num_layers": "1",
    "mini_batch_size": "16",
    "learning_rate": "0.01",
    "num_eval_samples": "20",
}


def low_rank(*shape: int, rank: int = 2, seed: int = 0) -> np.ndarray:
    """A tensor that is a sum of `rank` outer products."""
    random = np.random.default_rng(seed)
    total = np.zeros(shape)
    for _ in range(rank):
        term = np.ones(())
        for rows in shape:
            term = np.multiply.outer(term, random.uniform(0.5, 1.5, rows))
        total += term
    return total


def waves(count: int = 3, points: int = 120) -> list[dict[str, Any]]:
    """Daily waves with a little noise and one missing value."""
    series = []
    for number in range(count):
        noise = np.random.default_rng(number).normal(0, 0.2, points)
        target: list[float | None] = [
            round(20 + number + 5 * math.sin(2 * math.pi * (t + number) / 24) + noise[t], 4) for t in range(points)
        ]
        target[7] = None
        series.append({"start": "2020-01-01 00:00:00", "target": target})
    return series


@dataclass
class OptMl:
    """One host's /opt/ml."""

    base: Path
    hyperparameters: Mapping[str, Any]
    host: str = "algo-1"
    hosts: tuple[str, ...] = ("algo-1",)
    channels: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.configure("hyperparameters", self.hyperparameters)
        self.configure(
            "resourceconfig",
            {"current_host": self.host, "hosts": list(self.hosts), "network_interface_name": "ethwe"},
        )

    def configure(self, name: str, value: object) -> None:
        folder = self.base / "input" / "config"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(value))

    def channel(self, name: str, files: Mapping[str, bytes], **config: str) -> OptMl:
        """Puts files into a channel."""
        folder = self.base / "input" / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, data in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(data)
        self.channels[name] = {"TrainingInputMode": "File", **config}
        self.configure("inputdataconfig", self.channels)
        return self

    def array(self, array: np.ndarray, name: str = "tensor.npy") -> OptMl:
        """A channel train with one array."""
        from polyadic.formats import npy

        return self.channel("train", {name: npy.encode(array)})

    def series(self, series: Iterable[Mapping[str, Any]], **config: str) -> OptMl:
        """Channels train and test, the first without the points that the second withholds."""
        full = list(series)
        held = int(self.hyperparameters["prediction_length"])
        cut = [{**one, "target": one["target"][:-held]} for one in full]
        self.channel("train", {"a.json": _lines(cut)}, **config)
        return self.channel("test", {"a.json": _lines(full)}, **config)

    @property
    def environ(self) -> dict[str, str]:
        return {"SAGEMAKER_BASE_DIR": str(self.base)}

    def start(self, program: str = "train", *arguments: str, **environ: str) -> Process:
        """Runs container/train or container/serve on this folder, its output in a file."""
        log = self.base.parent / f"{self.base.name}-{program}-{time.monotonic_ns()}.log"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(ROOT / "container" / program), *arguments],
                env={**os.environ, "OMP_NUM_THREADS": "1", **self.environ, "PATH": path, **environ},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        STARTED.append(process)
        return Process(process, log)

    def failure(self) -> str:
        return (self.base / "output" / "failure").read_text()


@dataclass
class Process:
    """A container's main process and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self, timeout: float = 120) -> int:
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"still running after {timeout} s:\n{self.output}") from None

    def wait_for(self, text: str, timeout: float = 120) -> None:
        """Waits until the log holds a text."""
        self.until(lambda: text in self.output, timeout)

    def until(self, condition: Callable[[], bool], timeout: float = 120) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.output}"
            assert time.monotonic() < deadline, f"not after {timeout} s:\n{self.output}"
            time.sleep(0.05)


def free_ports() -> int:
    """A port of which the next is free as well."""
    while True:
        with closing(socket.socket()) as first, closing(socket.socket()) as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def _lines(series: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in series)
