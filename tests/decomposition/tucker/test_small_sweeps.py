"""The kernel of small tensors makes the sweeps that torch's products make."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from polyadic.decomposition.tucker import small_sweeps
from polyadic.decomposition.tucker.fit import Method, tucker
from polyadic.decomposition.tucker.nonnegative import nonnegative_sweep
from polyadic.decomposition.tucker.orthogonal import hooi_sweep
from polyadic.decomposition.tucker.small_sweeps import SmallSweeps
from polyadic.distributed import World
from polyadic.tensor.dense import Slab
from polyadic.tensor.products import multi_mode_product
from polyadic.tensor.tucker_tensor import TuckerTensor
from tests.helpers.tucker_cases import low_rank, whole


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, list[int], int]:
    """A tensor of any order with entries on [0, 1), ranks, which may be larger than the others' product, and a seed."""
    shape = draw(st.lists(st.integers(1, 7), min_size=2, max_size=5))
    ranks = [draw(st.integers(1, min(rows, 3))) for rows in shape]
    seed = draw(st.integers(0, 2**32))
    tensor = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 1e-3
    return tensor, ranks, seed


def begun(shape: Sequence[int], ranks: Sequence[int], seed: int) -> tuple[Tensor, list[Tensor]]:
    random = torch.Generator().manual_seed(seed)
    factors = [torch.rand(rows, rank, generator=random).double() for rows, rank in zip(shape, ranks, strict=True)]
    return torch.rand(list(ranks), generator=random).double(), factors


@given(problems())
def test_nonnegative_sweeps_are_those_of_torch(problem: tuple[Tensor, list[int], int]) -> None:
    tensor, ranks, seed = problem
    core, factors = begun(tensor.shape, ranks, seed)
    small = SmallSweeps(tensor, ranks, float(tensor.norm()), [None] * tensor.ndim)
    small.begin(core, factors)
    for _ in range(3):
        core, explained = nonnegative_sweep(Slab.whole(tensor), factors, core, World.alone())
        small(small.sweeps + 1, 0.0)
        error = math.sqrt(max(0.0, 1 - explained / float(tensor.norm()) ** 2))
        assert small.error == pytest.approx(error, abs=1e-6)
    assert small.sweeps == 3
    torch.testing.assert_close(multi_mode_product(*small.model()), multi_mode_product(core, factors), atol=1e-6, rtol=0)


@given(problems())
def test_orthogonal_sweeps_are_those_of_torch(problem: tuple[Tensor, list[int], int]) -> None:
    tensor, ranks, seed = problem
    ranks = [min(rank, math.prod(ranks) // rank) for rank in ranks]
    if any(rank > math.prod(ranks) // rank for rank in ranks):
        ranks = [1] * len(ranks)
    core, factors = begun(tensor.shape, ranks, seed)
    factors = [torch.linalg.qr(factor)[0] for factor in factors]
    small = SmallSweeps(tensor, ranks, float(tensor.norm()))
    small.begin(core, factors)
    for _ in range(3):
        core, explained = hooi_sweep(Slab.whole(tensor), factors, core, World.alone())
        small(small.sweeps + 1, 0.0)
    assert small.error**2 == pytest.approx(max(0.0, 1 - explained / float(tensor.norm()) ** 2), abs=1e-9)
    ours, (_, columns) = multi_mode_product(*small.model()), small.model()
    torch.testing.assert_close(ours, multi_mode_product(core, factors), atol=1e-5, rtol=0)
    for factor in columns:
        torch.testing.assert_close(factor.T @ factor, torch.eye(factor.shape[1]).double(), atol=1e-12, rtol=0)


def test_a_basis_stands_for_the_larger_tensor() -> None:
    """Sweeps of a core with its bases are those of the tensor that they make, which the core holds whole."""
    tensor = low_rank((20, 18, 16), (3, 2, 4), positive=True)[0]
    found = tucker(tensor, (3, 2, 4))
    core, factors = begun(tensor.shape, (2, 2, 3), 1)
    norm, errors = float(tensor.norm()), []
    for x, bases in ((tensor, [None] * 3), (found.core, found.factors), (tensor, [torch.eye(20).double(), None, None])):
        small = SmallSweeps(x, (2, 2, 3), norm, bases)
        small.begin(core, factors)
        small(20, 0.0)
        errors.append(small.error)
    assert errors == pytest.approx(errors[:1] * 3, rel=1e-6) and errors[0] > 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_columns_beyond_the_rank_of_the_data_are_orthonormal_all_the_same(dtype: torch.dtype) -> None:
    tensor = torch.zeros(6, 5, 4, dtype=dtype)
    tensor[0, 0, 0] = 2.0
    model = tucker(tensor, (3, 2, 2), method="hooi")
    assert model.relative_error == pytest.approx(0, abs=1e-6)
    for factor in model.factors:
        torch.testing.assert_close(factor.T @ factor, torch.eye(factor.shape[1], dtype=dtype), atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", ["hooi", "nonnegative"])
def test_a_fit_that_nobody_watches_is_the_same_in_calls_of_any_length(
    method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor = low_rank((9, 8, 7), (3, 3, 3), 0.3, positive=True)[0]

    def fitted() -> TuckerTensor:
        return tucker(tensor, (2, 2, 2), method=method, max_iterations=30, stop_tol=0)

    expected = fitted()
    monkeypatch.setattr(small_sweeps, "MOST_AT_ONCE", 1)
    assert torch.equal(whole(fitted()), whole(expected))


def test_data_of_more_entries_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    slab = Slab.whole(torch.rand(6, 5, 4))
    assert SmallSweeps.of_all(slab, (2, 2, 2), 1.0, World.alone(), nonnegative=False) is not None
    monkeypatch.setattr(small_sweeps, "MOST_ORTHOGONAL", 119)
    assert SmallSweeps.of_all(slab, (2, 2, 2), 1.0, World.alone(), nonnegative=False) is None
    assert SmallSweeps.of_all(slab, (2, 2, 2), 1.0, World.alone(), nonnegative=True) is not None
