"""Tiny jobs: the data, the hyperparameters and the /opt/ml that SageMaker would lay out for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

Array = NDArray[np.float64]
Hyperparameters = dict[str, str]

CP: Hyperparameters = {
    "algorithm": "cp",
    "rank": "2",
    "max_iterations": "300",
    "stop_tol": "1e-9",
    "dtype": "float64",
}
FORECASTER: Hyperparameters = {
    "algorithm": "forecaster", "time_freq": "D", "context_length": "14", "prediction_length": "7",
    "epochs": "2", "num_cells": "8", "num_layers": "1", "mini_batch_size": "16", "seed": "3",
}  # fmt: skip


@dataclass(frozen=True)
class OptMl:
    """A folder that is mounted as a container's /opt/ml."""

    root: Path

    @property
    def mount(self) -> list[str]:
        return ["--volume", f"{self.root}:/opt/ml"]

    @property
    def model(self) -> Path:
        return self.root / "model"

    def channel(self, name: str) -> Path:
        return made(self.root / "input" / "data" / name)

    def failure(self) -> str | None:
        file = self.root / "output" / "failure"
        return file.read_text() if file.exists() else None

    def tensors(self) -> dict[str, NDArray[Any]]:
        return load_file(self.model / "model.safetensors")


def lay_out(
    root: Path, hyperparameters: Mapping[str, str], host: str = "algo-1", hosts: Sequence[str] = ("algo-1",)
) -> OptMl:
    """Write the configuration of one host of a training job, and its empty folders, checkpoints among them."""
    for folder in ("model", "output/data", "checkpoints", "input/data/train"):
        made(root / folder)
    configuration: dict[str, Any] = {
        "hyperparameters": dict(hyperparameters),
        "inputdataconfig": {"train": {"TrainingInputMode": "File"}},
        "resourceconfig": {"current_host": host, "hosts": list(hosts), "network_interface_name": "eth0"},
    }
    for name, value in configuration.items():
        (made(root / "input" / "config") / f"{name}.json").write_text(json.dumps(value))
    return OptMl(root)


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def low_rank_tensor(seed: int = 0) -> Array:
    """A 7 x 6 x 5 tensor of CP rank 2 exactly, its factors far from collinear."""
    generator = np.random.default_rng(seed)
    factors = [np.linalg.qr(generator.standard_normal((size, 2)))[0] for size in (7, 6, 5)]
    tensor: Array = np.einsum("ir,jr,kr,r->ijk", *factors, np.array([3.0, 2.0]))
    return tensor


def cp_requests(tensor: Array) -> tuple[list[dict[str, Any]], list[float]]:
    """Requests for some entries of a tensor, and the true values."""
    indices = [(0, 0, 0), (6, 5, 4), (3, 2, 1), (1, 4, 2)]
    return [{"instances": [{"index": list(index)}]} for index in indices], [float(tensor[index]) for index in indices]


def daily_series(level: float, length: int = 90, phase: int = 0) -> dict[str, Any]:
    """A weekly cycle about a level, without noise, as one line of DeepAR's JSON Lines."""
    start = datetime(2024, 1, 1) + timedelta(days=phase)
    days = np.arange(length) + phase
    return {
        "start": str(start),
        "target": (level * (1 + 0.3 * np.sin(2 * np.pi * days / 7))).round(4).tolist(),
    }


def write_series(folder: Path, count: int = 6, length: int = 90) -> Path:
    """Write a channel of daily series; returns its folder."""
    lines = [json.dumps(daily_series(10.0 * (i + 1), length, phase=i)) for i in range(count)]
    (made(folder) / "series.json").write_text("\n".join(lines) + "\n")
    return folder


def write_tensor(folder: Path, tensor: Array) -> Path:
    """Write a channel of one tensor; returns its folder."""
    np.save(made(folder) / "tensor.npy", tensor)
    return folder
