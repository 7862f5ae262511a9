"""One call of cp with defaults on planted tensors of twelve kinds: how often it finds the fit, and in what time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyttb
import tensorly
import torch
from numpy.typing import NDArray
from tensorly.decomposition import parafac

from polyadic.decomposition.cp.fit import cp
from scripts.bench.measure import OURS, Bound, Case, seconds
from scripts.bench.planted import Family, whole

SEEDS, PEERS_SEEDS, PYTTB_SEEDS = 100, 10, 3
"""Tensors of each kind: all for us, fewer for those that take longer."""
LEAST_SHARE, LEAST_SHARE_OF_HARDEST = 0.99, 0.95
FAMILIES = {
    "long": Family((90, 70, 50), 5, noise=0.1),
    "lengths": Family((90, 70, 50), 5, noise=0.1, lengths=100),
    "collinear": Family((40, 40, 40), 5, cosine=0.9, noise=0.01),
    "ten": Family((30, 30, 30), 10, cosine=0.5, noise=0.01),
    "small": Family((25, 20, 15), 12, noise=0.01),
    "swamp": Family((50, 50, 50), 5, cosine=0.99),
    "collinear_ten": Family((100, 50, 30), 10, cosine=0.9, noise=0.1),
    "order_4": Family((20, 20, 20, 20), 3, cosine=0.5, noise=0.5, lengths=10),
    "order_4_ten": Family((30, 20, 10, 8), 10, noise=0.1),
    "noisy": Family((200, 200, 50), 10, cosine=0.5, noise=0.5),
    "over_dims": Family((40, 20, 12), 20, noise=0.01),
    "hard": Family((40, 40, 40), 10, cosine=0.99, noise=0.01, lengths=100),
}
HARDEST = "hard"

Fit = Callable[[NDArray[np.float32], int, int], NDArray[np.float64]]


def run() -> Iterator[Case]:
    """The seconds that a success takes: those of a call over the share of calls that succeed."""
    torch.zeros(8, 8, 8).add(1)
    cp(np.random.default_rng(0).random((6, 5, 4), np.float32), 2)  # The kernels are compiled once.
    ratios, everyone, middle = [], dict[str, list[float]](), dict[str, float]()
    for key, family in FAMILIES.items():
        programs: dict[str, tuple[Fit, int]] = {
            OURS: (_ours, SEEDS),
            "TensorLy, random": (_tensorly("random"), PEERS_SEEDS),
            "TensorLy, svd": (_tensorly("svd"), PEERS_SEEDS),
            "pyttb": (_pyttb, PYTTB_SEEDS),
        }
        counts = {name: _tried(family, fit, seeds) for name, (fit, seeds) in programs.items()}
        figures = {name: took / max(share, 0) if share else math.inf for name, (share, took) in counts.items()}
        best = min(value for name, value in figures.items() if name.startswith("TensorLy"))
        figures["TensorLy, the better"] = best
        ratios.append(best / figures[OURS])
        middle = {name: statistics.median([*everyone.setdefault(name, []), value]) for name, value in figures.items()}
        for name, value in figures.items():
            everyone[name].append(value)
        least = LEAST_SHARE_OF_HARDEST if key == HARDEST else LEAST_SHARE
        case = Case(
            key=key,
            title=f"CP, one call: {family.title()}",
            figures=figures,
            targets={"TensorLy, the better": 1.0},
            unit="seconds per success",
            bounds=[Bound("share of calls that succeed", counts[OURS][0], least, "value at least")],
            facts={"succeed": ", ".join(f"{name} {100 * share:.0f} %" for name, (share, _) in counts.items())},
        )
        yield case.reported()
    bound = Bound("median of TensorLy's seconds over ours", statistics.median(ratios), 10.0, "value at least")
    title = "CP, one call, all kinds: the median"
    yield Case(key="all", title=title, figures=middle, unit="seconds per success", bounds=[bound]).reported()


def _tried(family: Family, fit: Fit, seeds: int) -> tuple[float, float]:
    """The share of calls that succeed, and the mean seconds of a call."""
    found, took = 0, []
    for seed in range(seeds):
        tensor, factors = family.planted(seed)
        models: list[NDArray[np.float64]] = []
        took.append(seconds(lambda: models.append(fit(tensor, family.rank, seed))))  # noqa: B023
        good = family.found(tensor, models[0], factors)
        found += good
        if not good and fit is _ours:
            print(f"missed: {family.title()}, seed {seed}")
    return found / seeds, statistics.mean(took)


def _ours(tensor: NDArray[np.float32], rank: int, seed: int) -> NDArray[np.float64]:
    model = cp(tensor, rank, seed=seed)
    factors = [factor.double().numpy() for factor in model.factors]
    return whole([factors[0] * model.weights.numpy(), *factors[1:]])


def _tensorly(init: str) -> Fit:
    def fit(tensor: NDArray[np.float32], rank: int, seed: int) -> NDArray[np.float64]:
        with tensorly.backend_context("numpy", local_threadsafe=True):
            return np.asarray(tensorly.cp_to_tensor(parafac(tensor, rank, init=init, random_state=seed)), np.float64)

    return fit


def _pyttb(tensor: NDArray[np.float32], rank: int, seed: int) -> NDArray[np.float64]:
    np.random.seed(seed)  # pyttb draws from the global generator.
    model: Any = pyttb.cp_als(pyttb.tensor(tensor.astype(np.float64)), rank, maxiters=100, printitn=0)[0]
    return np.asarray(model.full().data)
