"""Fits of real tensors against the best peer: 1 - |X - Y| / |X| by reconstruction in float64, the best of 3 starts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import numpy as np
import pyttb
import scipy.io
import tensorly
import tensorly.datasets as theirs
import torch
from numpy.typing import NDArray
from tensorly.decomposition import parafac

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.gcp.lbfgs import gcp
from polyadic.tensor.dense import reconstruct
from scripts.bench.measure import OURS, Bound, Case, UnavailableError
from scripts.bench.sparse_data import DATA, read_tns

STARTS, SWEEPS, STOP_TOL, NEAR = 3, 200, 1e-10, 1e-3
COUNTS_RANK, COUNTS_ITERATIONS, FIRST_WEEK_HOURS = 10, 100, 168
SPARSE_RANK, SPARSE_SWEEPS = 16, 50
Array = NDArray[np.float64]


def run() -> Iterator[Case]:
    """TensorLy's datasets, the taxi trips dense and as counts, and SPLATT's tensor."""
    logging.getLogger().setLevel(logging.ERROR)  # pyttb warns of every evaluation.
    kinetic = theirs.load_kinetic()
    kinetic_array = _with_gaps(np.asarray(kinetic.tensor, float), kinetic.missing_values_position)
    yield _dense("indian_pines", "Indian Pines", 10, np.asarray(theirs.load_indian_pines().tensor, float)).reported()
    yield _dense("covid_19", "COVID-19", 5, np.asarray(theirs.load_covid19_serology().tensor, float)).reported()
    yield _dense("il_2", "IL-2, with its gaps", 3, np.asarray(theirs.load_IL2data().tensor, float)).reported()
    yield _dense("kinetic", "Kinetic, with its mask", 4, kinetic_array).reported()
    taxi = _taxi()
    yield _dense("taxi", "NYC taxi", 20, taxi).reported()
    yield _counts(taxi).reported()
    yield _sparse().reported()


def _with_gaps(array: Array, places: object) -> Array:
    gaps = array.copy()
    gaps[np.asarray(places, bool)] = np.nan
    return gaps


def _taxi() -> Array:
    path = DATA / "nyc_taxi_tensor.mat"
    if not path.exists():
        raise UnavailableError(f"{path.name} is not in ../shared/data")
    return np.asarray(scipy.io.loadmat(path)["tensor"], float)


def _dense(key: str, name: str, rank: int, array: Array) -> Case:
    seen = ~np.isnan(array)
    filled, has_gaps = np.nan_to_num(array), not seen.all()

    def fit(model: Array) -> float:
        return 1 - float(np.linalg.norm((filled - model)[seen]) / np.linalg.norm(filled[seen]))

    def tensorly_fit(seed: int) -> float:
        with tensorly.backend_context("numpy", local_threadsafe=True):
            mask = {"mask": seen} if has_gaps else {}
            model = parafac(filled, rank, n_iter_max=SWEEPS, tol=STOP_TOL, init="random", random_state=seed, **mask)
            return fit(np.asarray(tensorly.cp_to_tensor(model)))

    def pyttb_fit(seed: int) -> float:
        np.random.seed(seed)  # The generator that pyttb draws from.
        model, _, _ = pyttb.cp_als(pyttb.tensor(filled), rank, stoptol=STOP_TOL, maxiters=SWEEPS, printitn=0)
        return fit(model.full().data)

    tensor = torch.from_numpy(array)
    ours = cp(tensor, rank, observed=has_gaps, max_iterations=SWEEPS, stop_tol=STOP_TOL, restarts=STARTS, method="als")
    figures = {OURS: fit(reconstruct(ours.weights, ours.factors).numpy()), "TensorLy": _best(tensorly_fit)}
    if not has_gaps:
        figures["pyttb"] = _best(pyttb_fit)
    return _case(key, f"{name}, rank {rank}", figures)


def _counts(taxi: Array) -> Case:
    """The taxi trips as counts: by how much the mean Poisson loss of an entry is below that of the best constant."""
    part = taxi[:, :, :FIRST_WEEK_HOURS]
    mean = part.mean()
    constant = float((mean - part * np.log(mean)).mean())

    def gain(model: Array) -> float:
        return constant - float((model - part * np.log(np.maximum(model, 1e-10))).mean())

    def pyttb_gain(seed: int) -> float:
        np.random.seed(seed)
        optimizer = pyttb.gcp.optimizers.LBFGSB(maxiter=COUNTS_ITERATIONS, iprint=-1)
        poisson = pyttb.gcp.handles.Objectives.POISSON
        model, _, _ = pyttb.gcp_opt(pyttb.tensor(part), COUNTS_RANK, poisson, optimizer, printitn=0)
        return gain(model.full().data)

    ours = gcp(torch.from_numpy(part), COUNTS_RANK, "poisson", max_iterations=COUNTS_ITERATIONS, restarts=STARTS)
    figures = {OURS: gain(reconstruct(ours.weights, ours.factors).numpy()), "pyttb": _best(pyttb_gain)}
    title = f"NYC taxi's first week as counts, rank {COUNTS_RANK}"
    return _case("taxi_counts", title, figures, "Poisson loss gained over a constant")


def _sparse() -> Case:
    tensor = read_tns("med.tns")
    index, values = tensor.indices.T.numpy().astype(np.int64), tensor.values.double().numpy()[:, None]
    their_tensor = pyttb.sptensor(index, values, tensor.shape)

    def pyttb_fit(seed: int) -> float:
        np.random.seed(seed)
        _, _, output = pyttb.cp_als(their_tensor, SPARSE_RANK, stoptol=STOP_TOL, maxiters=SPARSE_SWEEPS, printitn=0)
        return float(output["fit"])

    double = tensor.to(torch.float64)
    ours = cp(double, SPARSE_RANK, max_iterations=SPARSE_SWEEPS, stop_tol=STOP_TOL, restarts=STARTS, method="als")
    title = f"med.tns, rank {SPARSE_RANK}, {SPARSE_SWEEPS} sweeps"
    return _case("med", title, {OURS: 1 - ours.relative_error, "pyttb": _best(pyttb_fit)})


def _best(fit: Callable[[int], float]) -> float:
    return max(fit(seed) for seed in range(STARTS))


def _case(key: str, name: str, figures: dict[str, float], unit: str = "fit") -> Case:
    best = max(value for program, value in figures.items() if program != OURS)
    bound = Bound("polyadic's less the best of the others", figures[OURS] - best, -NEAR, "value at least", unit)
    return Case(key=key, title=name, figures=figures, unit=unit, bounds=[bound])
