"""Tensor regression that finds pictures: the signals of Zhou, Li and Zhu (2013), 64 x 64, from 1,000 normal samples."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tensorly.regression import CPRegressor
from torch import Tensor

from polyadic.regression import choose
from scripts.bench.measure import OURS, Case

SIDE, SAMPLES, NOISE, SEEDS = 64, 1000, 1.0, 3
RANKS = (1, 2, 3, 4)
PEER = "TensorLy CPRegressor, its best rank"


def run() -> Iterator[Case]:
    """The error of W: ours at the rank and penalty that held samples choose, TensorLy's at the best of its ranks."""
    for name, signal in SIGNALS.items():
        errors: dict[str, list[float]] = {OURS: [], PEER: []}
        chosen = []
        for seed in range(SEEDS):
            x, label = _drawn(signal, seed)
            choice = choose(x, label, ranks=RANKS, seed=seed)
            smooth = f"smoothness {choice.smoothness:g}{' with edges' if choice.edges else ''}"
            chosen.append(f"{choice.rank}, {choice.wd:g} and {smooth}")
            errors[OURS].append(_rmse(choice.regression.weight.full()[..., 0], signal))
            errors[PEER].append(min(_rmse(_tensorly(x, label, seed, rank), signal) for rank in RANKS))
        yield Case(
            key=name,
            title=f"The signal {name}, {SIDE} x {SIDE}, n = {SAMPLES:,}, noise of deviation {NOISE:g}",
            figures={program: statistics.fmean(values) for program, values in errors.items()},
            spreads={program: statistics.stdev(values) for program, values in errors.items()},
            targets={PEER: 1.25},
            unit="RMSE of W",
            facts={"rank, penalty and smoothness by held samples": "; ".join(chosen)},
        ).reported()


def _drawn(signal: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(SAMPLES, SIDE, SIDE, generator=generator)
    return x, x.flatten(1) @ signal.flatten() + NOISE * torch.randn(SAMPLES, generator=generator)


def _tensorly(x: Tensor, label: Tensor, seed: int, rank: int) -> Tensor:
    """TensorLy's weight; it has no intercept, and there is none."""
    model = CPRegressor(weight_rank=rank, n_iter_max=50, tol=1e-5, reg_W=1e-3, verbose=0, random_state=seed)
    model.fit(x.numpy(), label.numpy())
    return torch.from_numpy(np.asarray(model.weight_tensor_))


def _rmse(weight: Tensor, signal: Tensor) -> float:
    return float((weight - signal).square().mean().sqrt())


def _signals() -> dict[str, Tensor]:
    """Pictures of zeros and ones."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) * 2 - 1
    square = (np.abs(rows) < 0.5) & (np.abs(columns) < 0.5)
    cross = ((np.abs(rows) < 0.15) & (np.abs(columns) < 0.6)) | ((np.abs(columns) < 0.15) & (np.abs(rows) < 0.6))
    triangle = (rows < 0.6) & (rows > -0.6) & (np.abs(columns) < (rows + 0.6) / 2)
    angle, radius = np.arctan2(rows, columns), np.hypot(rows, columns)
    wings = np.exp(np.sin(angle)) - 2 * np.cos(4 * angle) + np.sin((2 * angle - np.pi) / 24) ** 5
    butterfly = radius * 4 < np.abs(wings)
    pictures = {"square": square, "cross": cross, "triangle": triangle, "butterfly": butterfly}
    return {name: torch.from_numpy(picture.astype(np.float32)) for name, picture in pictures.items()}


SIGNALS = _signals()


def draw(path: Path, seed: int = 0) -> None:
    """Draws each signal, what we find of it as held samples choose, and TensorLy's weight at its best rank."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(3, len(SIGNALS), figsize=(8, 6.2), layout="constrained")
    for column, (name, signal) in zip(axes.T, SIGNALS.items(), strict=True):
        x, label = _drawn(signal, seed)
        best = choose(x, label, ranks=RANKS, seed=seed).regression
        theirs = min((_tensorly(x, label, seed, rank) for rank in RANKS), key=lambda weight: _rmse(weight, signal))
        rows = (("signal", signal), ("polyadic", best.weight.full()[..., 0]), ("TensorLy, its best rank", theirs))
        for axis, (title, picture) in zip(column, rows, strict=True):
            axis.imshow(picture.numpy(), cmap="RdBu_r", vmin=-1.2, vmax=1.2)
            error = "" if picture is signal else f", RMSE {_rmse(picture, signal):.3f}"
            axis.set_title(f"{name if picture is signal else title}{error}", fontsize=8)
            axis.set_axis_off()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    draw(Path(__file__).parents[2] / "docs" / "pictures" / "regression_signals.png")
