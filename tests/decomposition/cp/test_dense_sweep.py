"""Sweeps by one kernel: in pieces, on threads, from a checkpoint and against the general ones."""

from __future__ import annotations

import signal
import sys
import time
from copy import deepcopy
from typing import Any

import pytest
import torch

from polyadic.decomposition.cp.als import als
from polyadic.decomposition.cp.dense_sweep import DenseSweep
from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.cp.progress import Progress
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.sparse import SparseTensor
from tests.helpers.tensors import low_rank, true_error

KERNEL, GENERAL = sys.modules[DenseSweep.__module__], sys.modules[als.__module__]
SETTINGS: list[dict[str, Any]] = [
    {},
    {"nonnegative": True},
    {"nonnegative": True, "l2": 0.01},
    {"l2": 0.01},
    {"fixed": [1]},
    {"fixed": [0, 2]},
]


def equal(one: CPTensor, other: CPTensor) -> bool:
    factors = zip(one.factors, other.factors, strict=True)
    return torch.equal(one.weights, other.weights) and all(torch.equal(a, b) for a, b in factors)


def fitted(shape: tuple[int, ...], dtype: torch.dtype, **settings: Any) -> CPTensor:
    tensor = low_rank(shape, 4, noise=0.3)[0].abs().to(dtype)
    return cp(tensor, 3, method="als", **{"max_iterations": 7, "stop_tol": 0.0, **settings})


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("shape", [(6, 7, 8), (5, 1, 3, 4), (3, 2, 4, 3, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_fit_is_that_of_general_sweeps(
    shape: tuple[int, ...], dtype: torch.dtype, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = fitted(shape, dtype, **settings)
    monkeypatch.setattr(GENERAL, "fits", lambda *_: False)
    theirs = fitted(shape, dtype, **settings)
    near = 1e-9 if dtype == torch.float64 else 2e-4
    torch.testing.assert_close(ours.full(), theirs.full(), rtol=0, atol=near * float(theirs.full().abs().max()))
    # Rounding of float32 is not that of one processor: products of matrices are summed as each does it best.
    assert ours.relative_error == pytest.approx(theirs.relative_error, abs=1e-6 if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("stopped", [1, 2, 5])
def test_watched_resumed_and_unwatched_fits_are_the_same_to_the_bit(settings: dict[str, Any], stopped: int) -> None:
    whole, kept = fitted((6, 7, 8), torch.float64, **settings), list[Progress]()

    def watch(progress: Progress) -> bool:
        kept.append(deepcopy(progress))
        return True

    assert equal(whole, fitted((6, 7, 8), torch.float64, after_sweep=watch, **settings))
    assert [progress.iteration for progress in kept] == list(range(1, 8))
    assert equal(whole, fitted((6, 7, 8), torch.float64, progress=kept[stopped - 1], **settings))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("shape", [(9, 13, 20), (4, 5, 6, 7)])
def test_a_pass_that_threads_share_makes_the_same_numbers(
    shape: tuple[int, ...], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted(shape, torch.float32, **settings)
    monkeypatch.setattr(KERNEL, "MOST_ALONE", 0)
    assert equal(whole, fitted(shape, torch.float32, **settings))
    monkeypatch.setattr(KERNEL, "MOST_ALONE", 2**30)
    monkeypatch.setattr(KERNEL, "MOST_AT_ONCE", 0)
    assert equal(whole, fitted(shape, torch.float32, **settings))


def test_float32_sums_over_many_entries_stay_true() -> None:
    for shape in ((4,) * 9, (3, 3, 3, 9000)):
        tensor = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        for sweeps in (1, 3):
            model = cp(tensor, 2, method="als", max_iterations=sweeps, stop_tol=0)
            assert model.relative_error == pytest.approx(true_error(model, tensor), abs=1e-6)


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_the_best_restart_is_not_written_over(form: str) -> None:
    dense = low_rank((12, 11, 10), 5, noise=0.3)[0]
    dense[torch.rand(dense.shape, generator=torch.Generator().manual_seed(0)) > 0.3] = 0
    tensor = SparseTensor.of(dense) if form == "sparse" else dense
    for l2 in (0.0, 0.01):
        for seed in range(3):
            model = cp(tensor, 3, method="als", l2=l2, seed=seed, restarts=4, max_iterations=2)
            assert model.relative_error == pytest.approx(true_error(model, dense), abs=1e-9)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_a_fit_that_nobody_watches_can_be_interrupted() -> None:
    tensor = torch.rand(30, 30, 30, generator=torch.Generator().manual_seed(0))
    cp(tensor, 5, method="als", max_iterations=2, stop_tol=0)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            cp(tensor, 5, method="als", max_iterations=10_000_000, stop_tol=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 5
