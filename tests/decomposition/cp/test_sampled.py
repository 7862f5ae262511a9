"""CP over sampled columns: it reaches the fit of all columns, and refuses what it cannot sample."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.cp.sampled import sampled_cp
from polyadic.errors import UserError
from polyadic.tensor.sparse import SparseTensor
from tests.helpers.cp_cases import sparse_low_rank
from tests.helpers.tensors import factor_match, sparse, true_error


@pytest.mark.slow
def test_sampling_reaches_the_fit_of_all_columns() -> None:
    tensor, factors = sparse_low_rank((40, 30, 20), 3, seed=2)
    model = sampled_cp(SparseTensor.of(tensor), 3, samples=300, max_iterations=60, stop_tol=1e-7)
    assert factor_match(model, factors) > 0.99
    jitter = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noisy = SparseTensor.of(tensor * (1 + 0.5 * jitter))
    ours, exact = sampled_cp(noisy, 4, samples=400, max_iterations=40), cp(noisy, 4, init="svd", max_iterations=40)
    assert 1 - ours.relative_error > 0.97 * (1 - exact.relative_error)
    assert ours.relative_error == pytest.approx(true_error(ours, noisy.to_dense()), abs=1e-9)


@pytest.mark.parametrize(
    ("tensor", "rank", "message"),
    [
        (sparse((4, 3), 0.5), 1, "sampling needs a sparse tensor of order 3 or more .* this one is of order 2, sparse"),
        (torch.ones(4, 3, 2), 1, "this one is of order 3, dense. Use method als"),
        (sparse((4, 3, 2), 0.5), 0, "rank is 0: it must be a whole number, 1 or more"),
    ],
)
def test_what_cannot_be_sampled_is_refused(tensor: Any, rank: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        sampled_cp(tensor, rank)
