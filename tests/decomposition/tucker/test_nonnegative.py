"""Nonnegative Tucker: no negative entry, the true error, TensorLy as the oracle."""

from __future__ import annotations

import importlib

import pytest
import tensorly
import torch
from tensorly.decomposition import non_negative_tucker_hals

from polyadic.decomposition.tucker.fit import tucker
from tests.helpers.tucker_cases import each_case, low_rank, true_error


@pytest.mark.slow
@each_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nonnegative_has_no_negative_entry_and_tells_its_true_error(
    shape: tuple[int, ...], ranks: tuple[int, ...], dtype: torch.dtype
) -> None:
    tensor = low_rank(shape, ranks, 0.3, positive=True)[0].to(dtype)
    model = tucker(tensor, ranks, method="nonnegative")
    assert all((one >= 0).all() for one in (model.core, *model.factors))
    assert model.relative_error == pytest.approx(true_error(model, tensor), abs=1e-5)
    assert model.relative_error < tucker(tensor, ranks, method="hooi").relative_error + 0.03


@pytest.mark.slow
def test_nonnegative_finds_a_nonnegative_tensor() -> None:
    tensor = low_rank((12, 11, 10), (3, 2, 2), positive=True)[0]
    errors = [
        tucker(tensor, (3, 2, 2), method="nonnegative", max_iterations=300, stop_tol=1e-9, seed=seed).relative_error
        for seed in range(3)
    ]
    assert min(errors) < 2e-3


@pytest.mark.slow
def test_nonnegative_is_as_good_as_tensorlys() -> None:
    tensor = low_rank((12, 11, 10), (3, 3, 3), 0.5, positive=True)[0]
    theirs = non_negative_tucker_hals(tensor.numpy(), (3, 3, 3), n_iter_max=50, tol=0)
    expected = float(torch.from_numpy(tensorly.tucker_to_tensor(theirs) - tensor.numpy()).norm() / tensor.norm())
    model = tucker(tensor, (3, 3, 3), method="nonnegative", max_iterations=50, stop_tol=0)
    assert model.relative_error < expected + 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "ranks", "noise"),
    [((40, 40, 40), (4, 3, 2), 0.1), ((20, 20, 20, 20), (3, 2, 3, 2), 0.1), ((30, 8, 9), (5, 2, 3), 0.5)],
)
def test_a_planted_tensor_is_found_from_any_seed(shape: tuple[int, ...], ranks: tuple[int, ...], noise: float) -> None:
    for seed in range(5):
        signal = low_rank(shape, ranks, seed=50 + seed, positive=True)[0]
        rough = torch.randn(shape, generator=torch.Generator().manual_seed(90 + seed)).double()
        tensor = (signal + noise * rough * signal.norm() / rough.norm()).clamp_min(0)
        model = tucker(tensor, ranks, method="nonnegative", seed=seed)
        assert model.relative_error <= 1.02 * float((tensor - signal).norm() / tensor.norm())


@pytest.mark.parametrize("limit", ["LARGEST_CORE", "LEAST_ROW_NUMBERS", "SEARCH_WORK"])
def test_a_search_that_would_be_no_small_work_is_left_out(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("polyadic.decomposition.tucker.nonnegative")
    tensor = low_rank((9, 8, 7), (2, 3, 2), 0.3, positive=True)[0]
    found = tucker(tensor, (2, 3, 2), method="nonnegative", max_iterations=1)
    monkeypatch.setattr(module, limit, 1)
    model = tucker(tensor, (2, 3, 2), method="nonnegative", max_iterations=1)
    assert found.relative_error < model.relative_error < 1
