"""Nonnegative Tucker: no negative entry, the true error, TensorLy as the oracle."""

from __future__ import annotations

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
