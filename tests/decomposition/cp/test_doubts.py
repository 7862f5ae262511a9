"""What speaks against a CP model's factors being the only ones is said, and nothing where they are."""

from __future__ import annotations

import math

import pytest
import torch

from polyadic.decomposition.cp.doubts import doubted
from polyadic.decomposition.cp.fit import cp
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import reconstruct
from polyadic.tensor.sparse import SparseTensor
from scripts.bench.planted import degenerate
from tests.helpers.tensors import low_rank


def model_of(shape: tuple[int, ...], rank: int) -> CPTensor:
    random = torch.Generator().manual_seed(0)
    factors = [torch.nn.functional.normalize(torch.randn(n, rank, generator=random).double(), dim=0) for n in shape]
    return CPTensor(torch.arange(rank, 0, -1).double(), factors, 0.1)


def doubts_of(model: CPTensor, l2: float = 0.0) -> tuple[str, ...]:
    return doubted(model, entries=math.prod(model.shape), l2=l2).doubts


def test_components_that_take_away_what_others_add() -> None:
    model = model_of((9, 9, 9), 3)
    for factor in model.factors:
        factor[:, 2] = factor[:, 0]
    model.factors[1][:, 2] *= -1
    (doubt,) = doubts_of(model)
    assert "of the components 0 and 2 each takes away most of what the other adds" in doubt


def test_no_more_pairs_are_named_than_a_sentence_bears() -> None:
    model = model_of((9, 9, 9), 4)
    for factor in model.factors:
        factor[:] = factor[:, :1]
    assert "0 and 1, 0 and 2, 0 and 3 and 3 pairs more have the same column" in doubts_of(model)[0]


@pytest.mark.parametrize(("shape", "shared"), [((9, 8, 7), 1), ((5, 6, 4, 7), 2)])
def test_components_that_share_all_columns_but_two(shape: tuple[int, ...], shared: int) -> None:
    model = model_of(shape, 3)
    for mode in range(shared - 1):
        model.factors[mode][:, 1] = model.factors[mode][:, 0]
    assert not doubts_of(model)
    model.factors[shared - 1][:, 1] = -model.factors[shared - 1][:, 0]
    (doubt,) = doubts_of(model)
    assert f"the components 0 and 1 have the same column in {shared} or more modes" in doubt


@pytest.mark.parametrize(("shape", "rank", "most"), [((2, 2, 2), 3, 2), ((3, 4, 5), 7, 6), ((2, 3, 2, 2), 5, 4)])
def test_a_rank_of_more_free_numbers_than_entries(shape: tuple[int, ...], rank: int, most: int) -> None:
    model = cp(torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64), rank)
    assert f"other factors fit as well. Lower rank, to {most} or less" in model.doubts[0]


def test_a_matrix_has_no_factors_of_its_own() -> None:
    matrix = low_rank((6, 5), 2)[0]
    assert "factors of a matrix are never the only ones" in cp(matrix, 2).doubts[0]
    assert not cp(matrix, 1).doubts


def test_starts_that_end_at_other_factors_of_the_same_fit() -> None:
    """A rank that is too high for a tensor of exactly lower rank, within what could be identified."""
    doubts = [cp(low_rank((9, 8, 7), 2, seed=seed)[0], 4, seed=seed, restarts=8).doubts for seed in range(4)]
    assert any("fit as well but are not the same" in doubt for each in doubts for doubt in each)


def test_a_tensor_without_a_best_fit_of_rank_two_has_a_pair() -> None:
    """a ∘ a ∘ b + a ∘ b ∘ a + b ∘ a ∘ a has rank 3, and models of rank 2 come as near as one likes."""
    a, b = torch.eye(4, dtype=torch.float64)[:2]
    terms = ((a, a, b), (a, b, a), (b, a, a))
    tensor = sum((torch.einsum("i,j,k->ijk", *term) for term in terms), torch.zeros(4, 4, 4, dtype=torch.float64))
    assert "takes away" in cp(tensor, 2).doubts[0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", ["auto", "als", "nls"])
def test_a_unique_model_raises_none(method: str, seed: int) -> None:
    tensor = low_rank((9, 8, 7), 3, seed=seed, noise=0.05)[0]
    assert not cp(tensor, 3, method=method, seed=seed).doubts  # type: ignore[arg-type]


def test_with_l2_one_model_is_best() -> None:
    tensor = torch.randn(2, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert not cp(tensor, 3, l2=0.01, restarts=8).doubts
    model = model_of((9, 9, 9), 2)
    model.factors[0][:, 1], model.factors[1][:, 1] = model.factors[0][:, 0], model.factors[1][:, 0]
    model.factors[2][:, 1] = -model.factors[2][:, 0]
    assert "set a larger l2" in doubts_of(model, l2=0.01)[0]


def test_the_entries_that_count_are_those_observed() -> None:
    tensor = low_rank((5, 5, 5), 3)[0]
    tensor[torch.rand(tensor.shape, generator=torch.Generator().manual_seed(0)) > 0.2] = torch.nan
    seen = int((~tensor.isnan()).sum())
    assert f"rank 3 has 39 free numbers, and the tensor {seen} entries" in cp(tensor, 3, observed=True).doubts[0]
    sparse = SparseTensor.of(tensor.nan_to_num())
    assert "39 free numbers" in cp(sparse, 3, observed=True).doubts[0]


def test_a_fit_with_fixed_modes_is_doubted_too() -> None:
    tensor = torch.from_numpy(degenerate(6))
    first = cp(tensor, 2, method="als", max_iterations=2000, stop_tol=1e-12)
    assert "takes away" in first.doubts[0]
    assert "takes away" in cp(tensor, 2, init=first, fixed=[0]).doubts[0]


def test_a_weak_component_that_some_starts_missed_is_no_doubt() -> None:
    factors = [torch.randn(n, 3, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in (12, 11, 10)]
    tensor = reconstruct(torch.tensor([1.0, 1e-3, 1e-6], dtype=torch.float64), factors)
    assert not any(cp(tensor, 3, seed=seed, restarts=6).doubts for seed in range(3))
