"""One call of cp on measured tensors, over 20 seeds: errors against the best of many starts by sweeps, and factors.

TensorLy makes the sweeps; of a sparse tensor, which it would make dense, our own method=als.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import tensorly
import tensorly.datasets as theirs
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from tensorly.decomposition import parafac

from polyadic.decomposition.cp.fit import cp
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.sparse import SparseTensor
from scripts.bench.measure import OURS, Bound, Case
from scripts.bench.planted import whole
from scripts.bench.sparse_data import read_tns

Array: TypeAlias = NDArray[np.float64]

SEEDS, STARTS, STARTS_OF_LARGE = 20, 50, 6
LARGE = 10**6
"""Entries of a tensor of which TensorLy gets fewer starts: each takes seconds."""
AS_LOW, AS_MUCH = 1e-4, 1e-3
"""An error is as low that is within the first part of another, and leaves as much of |X|² explained but for the
second."""
BEST, BEST_SWEPT = "TensorLy, the best start", "method=als, the best start"


def run() -> Iterator[Case]:
    """The largest error of any seed; and how well the components of the first match those of the others."""
    for key, title, tensor, rank, unique in _tensors():
        if isinstance(tensor, SparseTensor):
            models = [cp(tensor, rank, seed=seed) for seed in range(SEEDS)]
            peer, starts = BEST_SWEPT, STARTS
            best = min(cp(tensor, rank, method="als", seed=1000 + seed).relative_error for seed in range(starts))
        else:
            data = torch.from_numpy(tensor)
            models = [cp(data, rank, observed=bool(np.isnan(tensor).any()), seed=seed) for seed in range(SEEDS)]
            peer, starts = BEST, STARTS if tensor.size < LARGE else STARTS_OF_LARGE
            best = min(_tensorly(tensor, rank, seed) for seed in range(starts))
        errors = [model.relative_error for model in models]
        match = min(_match(models[0], model) for model in models[1:])
        as_low = sum(_as_low(error, best) for error in errors) / SEEDS
        bounds = [Bound("share of seeds as low", as_low, 1.0, "value at least")]
        if unique:
            bounds.append(Bound("least match of factors between seeds", match, 0.99, "value at least"))
        yield Case(
            key=key,
            title=f"CP of {title}, rank {rank}: the error",
            figures={OURS: max(errors), peer: best},
            unit="relative error",
            bounds=bounds,
            facts={"starts": f"{starts} of the peer; {SEEDS} seeds of ours, least match of factors {match:.4f}"},
        ).reported()


def _as_low(error: float, best: float) -> bool:
    return error <= best * (1 + AS_LOW) and 1 - error**2 >= (1 - best**2) * (1 - AS_MUCH)


def _tensors() -> Iterator[tuple[str, str, Array | SparseTensor, int, bool]]:
    """Key, title, tensor, rank, and whether its factors are the only ones."""
    il_2 = np.asarray(theirs.load_IL2data().tensor, float)
    yield "il_2", "IL-2, with its gaps", il_2, 3, True
    covid = np.asarray(theirs.load_covid19_serology().tensor, float)
    yield "covid_3", "COVID-19", covid, 3, True
    yield "covid_5", "COVID-19", covid, 5, True
    yield "kinetic", "kinetic fluorescence", np.asarray(theirs.load_kinetic().tensor, float), 3, True
    yield "fluorescence", "made fluorescence", _fluorescence(), 4, True
    yield "pines", "Indian Pines", np.asarray(theirs.load_indian_pines().tensor, float), 5, False
    yield "med", "med.tns", read_tns("med.tns"), 3, False


def _fluorescence() -> Array:
    """30 samples of 4 fluorophores whose bands overlap, by 80 emissions and 40 excitations, noise 2 %."""
    random = np.random.default_rng(0)

    def bands(places: list[float], width: float, rows: int) -> Array:
        grid = np.linspace(0, 1, rows)[:, None]
        return np.asarray(np.exp(-(((grid - places) / width) ** 2)))

    emission, excitation = bands([0.3, 0.4, 0.5, 0.7], 0.12, 80), bands([0.2, 0.4, 0.45, 0.6], 0.15, 40)
    signal = whole([random.lognormal(0, 0.7, (30, 4)), emission, excitation])
    noise = random.standard_normal(signal.shape)
    return signal + 0.02 * np.linalg.norm(signal) / np.linalg.norm(noise) * noise


def _tensorly(tensor: Array, rank: int, seed: int) -> float:
    """The relative error of TensorLy's ALS from a random start, over the known entries."""
    known = ~np.isnan(tensor)
    filled = np.where(known, tensor, 0.0)
    options: dict[str, Any] = {} if known.all() else {"mask": known}
    with tensorly.backend_context("numpy", local_threadsafe=True):
        model = parafac(filled, rank, init="random", random_state=seed, **options)
        misses = (filled - tensorly.cp_to_tensor(model))[known]
    return float(np.linalg.norm(misses) / np.linalg.norm(filled))


def _match(one: CPTensor, other: CPTensor) -> float:
    """The least product of the cosines of matched components' columns."""
    cosines: Any = 1.0
    for left, right in zip(one.factors, other.factors, strict=True):
        cosines = cosines * (left.double().T @ right.double()).numpy()
    rows, places = linear_sum_assignment(-np.abs(cosines))
    return float(np.abs(cosines)[rows, places].min())
