"""Fits of real tensors against the best peer: 1 - |X - Y| / |X| by reconstruction in float64, the best of 3 starts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import numpy as np
import pyttb
import scipy.io
import tensorly
import tensorly.datasets as theirs
import torch
from numpy.typing import NDArray
from tensorly.decomposition import parafac

from polyadic.decomposition.cp.als import cp
from polyadic.decomposition.gcp.lbfgs import gcp
from polyadic.tensor.dense import reconstruct
from scripts.bench.measure import OURS, Case
from scripts.bench.sparse_data import DATA, read_tns

STARTS, SWEEPS, NEAR = 3, 200, 1e-3
Array = NDArray[np.float64]


def run() -> None:
    """TensorLy's datasets, the taxi trips dense and as counts, and SPLATT's tensor."""
    logging.getLogger().setLevel(logging.ERROR)  # pyttb warns of every evaluation.
    kinetic = theirs.load_kinetic()
    dense = {
        ("Indian Pines", 10): np.asarray(theirs.load_indian_pines().tensor, float),
        ("COVID-19", 5): np.asarray(theirs.load_covid19_serology().tensor, float),
        ("IL-2, with its gaps", 3): np.asarray(theirs.load_IL2data().tensor, float),
        ("Kinetic, with its mask", 4): _with_gaps(np.asarray(kinetic.tensor, float), kinetic.missing_values_position),
    }
    if (taxi := _taxi()) is not None:
        dense["NYC taxi", 20] = taxi
    for (name, rank), array in dense.items():
        _dense(name, rank, array)
    if taxi is not None:
        _counts(taxi)
    _sparse()


def _with_gaps(array: Array, places: object) -> Array:
    gaps = array.copy()
    gaps[np.asarray(places, bool)] = np.nan
    return gaps


def _taxi() -> Array | None:
    path = DATA / "nyc_taxi_tensor.mat"
    if not path.exists():
        print(f"skipped: {path.name} is not in ../shared/data")
        return None
    return np.asarray(scipy.io.loadmat(path)["tensor"], float)


def _dense(name: str, rank: int, array: Array) -> None:
    seen = ~np.isnan(array)
    filled, some = np.nan_to_num(array), not seen.all()

    def fit(model: Array) -> float:
        return 1 - float(np.linalg.norm((filled - model)[seen]) / np.linalg.norm(filled[seen]))

    def tensorly_fit(seed: int) -> float:
        with tensorly.backend_context("numpy", local_threadsafe=True):
            mask = {"mask": seen} if some else {}
            found = parafac(filled, rank, n_iter_max=SWEEPS, tol=1e-10, init="random", random_state=seed, **mask)
            return fit(np.asarray(tensorly.cp_to_tensor(found)))

    def pyttb_fit(seed: int) -> float:
        np.random.seed(seed)  # The generator that pyttb draws from.
        found, _, _ = pyttb.cp_als(pyttb.tensor(filled), rank, stoptol=1e-10, maxiters=SWEEPS, printitn=0)
        return fit(found.full().data)

    tensor = torch.from_numpy(array)
    ours = cp(tensor, rank, observed=some, max_iterations=SWEEPS, tol=1e-10, restarts=STARTS)
    figures = {OURS: fit(reconstruct(ours.weights, ours.factors).numpy()), "TensorLy": _best(tensorly_fit)}
    if not some:
        figures["pyttb"] = _best(pyttb_fit)
    _report(f"{name}, rank {rank}", figures)


def _counts(taxi: Array) -> None:
    """The taxi trips as counts: the mean Poisson loss an entry, less that of the best constant (smaller is better)."""
    rank, iterations = 10, 100
    part = taxi[:, :, :168]
    mean = part.mean()
    constant = float((mean - part * np.log(mean)).mean())

    def loss(model: Array) -> float:
        return constant - float((model - part * np.log(np.maximum(model, 1e-10))).mean())

    def theirs_of(seed: int) -> float:
        np.random.seed(seed)
        optimizer = pyttb.gcp.optimizers.LBFGSB(maxiter=iterations, iprint=-1)
        found, _, _ = pyttb.gcp_opt(
            pyttb.tensor(part), rank, pyttb.gcp.handles.Objectives.POISSON, optimizer, printitn=0
        )
        return loss(found.full().data)

    ours = gcp(torch.from_numpy(part), rank, "poisson", max_iterations=iterations, restarts=STARTS)
    figures = {OURS: loss(reconstruct(ours.weights, ours.factors).numpy()), "pyttb": _best(theirs_of)}
    _report("NYC taxi's first week as counts, rank 10", figures, "Poisson loss gained over a constant")


def _sparse() -> None:
    tensor = read_tns("med.tns")
    if tensor is None:
        return
    index, values = tensor.indices.T.numpy().astype(np.int64), tensor.values.double().numpy()[:, None]
    their_tensor = pyttb.sptensor(index, values, tensor.shape)

    def theirs_of(seed: int) -> float:
        np.random.seed(seed)
        _, _, output = pyttb.cp_als(their_tensor, 16, stoptol=1e-10, maxiters=50, printitn=0)
        return float(output["fit"])

    ours = cp(tensor.to(torch.float64), 16, max_iterations=50, tol=1e-10, restarts=STARTS)
    _report("med.tns, rank 16, 50 sweeps", {OURS: 1 - ours.relative_error, "pyttb": _best(theirs_of)})


def _best(fit: Callable[[int], float], seeds: Iterable[int] = range(STARTS)) -> float:
    return max(fit(seed) for seed in seeds)


def _report(name: str, figures: dict[str, float], unit: str = "fit") -> None:
    best = max(value for program, value in figures.items() if program != OURS)
    met = "met" if figures[OURS] >= best - NEAR else "MISSED"
    Case(f"parity: {name}", figures, unit=unit, more={f"within {NEAR} of the best peer, or above": met}).report()
