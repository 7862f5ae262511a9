"""CP of sparse tensors, of observed entries, nonnegative, with a ridge, from a model; many ranks as one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.sampled import sampled_cp
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor import layout
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.sparse import SparseTensor
from tests.helpers.cp_cases import sparse_low_rank
from tests.helpers.ranks import on_ranks
from tests.helpers.tensors import factor_match, low_rank, part_of, slab_of, some_of, sparse, true_error

SHAPES = [(12, 11, 10), (8, 7, 6, 9), (5, 6, 4, 5, 6)]


@pytest.mark.parametrize("shape", [(9, 7), *SHAPES])
def test_a_sparse_tensors_fit_is_that_of_its_dense_form(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the modes of both are updated in the same order."""
    monkeypatch.setattr(DenseShare, "order", lambda share: list(range(len(share.shape))))
    monkeypatch.setattr(DenseShare, "kept", lambda *_: False)
    tensor = sparse(shape, 0.3)
    ours = cp(tensor, 3, method="als", max_iterations=10, stop_tol=0)
    dense = cp(tensor.to_dense(), 3, method="als", max_iterations=10, stop_tol=0)
    assert ours.relative_error == pytest.approx(dense.relative_error, abs=1e-9)
    assert ours.relative_error == pytest.approx(true_error(ours, tensor.to_dense()), abs=1e-9)
    for mine, other in zip(ours.factors, dense.factors, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-7, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_known_factors_of_a_sparse_tensor_are_recovered(shape: tuple[int, ...]) -> None:
    tensor, factors = sparse_low_rank(shape, 3)
    model = cp(SparseTensor.of(tensor), 3, max_iterations=500, stop_tol=1e-12, restarts=4)
    assert factor_match(model, factors) > 0.99 and model.relative_error < 1e-3
    # A near-exact fit of zeros and nonzeros alike: the error is not the round-off of a difference of squares.
    assert model.relative_error == pytest.approx(true_error(model, tensor), abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", ["sparse", "dense"])
def test_known_factors_are_recovered_from_a_part_of_the_entries(shape: tuple[int, ...], form: str) -> None:
    tensor, factors = low_rank(shape, 2, seed=3)
    seen = some_of(tensor, 0.5)
    known = SparseTensor(seen.indices, torch.ones_like(seen.values), seen.shape).to_dense() > 0
    data = seen if form == "sparse" else torch.where(known, tensor, torch.nan)
    model = cp(data, 2, observed=True, max_iterations=800, stop_tol=1e-12, restarts=4)
    assert factor_match(model, factors) > 0.99
    assert true_error(model, tensor) < 1e-3, "the entries that were not seen too"
    assert model.relative_error == pytest.approx(true_error(model, tensor, known), abs=1e-6)


def test_the_error_over_observed_entries_is_true_and_never_grows() -> None:
    tensor = some_of(low_rank((9, 8, 7), 4, noise=0.5)[0], 0.6)
    seen: list[float] = []

    def note(progress: Progress) -> bool:
        seen.append(progress.relative_error)
        return True

    model = cp(tensor, 2, observed=True, max_iterations=30, stop_tol=0, after_sweep=note)
    known = SparseTensor(tensor.indices, torch.ones_like(tensor.values), tensor.shape).to_dense()
    assert model.relative_error == pytest.approx(true_error(model, tensor.to_dense(), known), abs=1e-9)
    assert all(after <= before + 1e-9 for before, after in itertools.pairwise(seen))


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("observed", [False, True])
def test_nonnegative_factors_are_recovered_and_nonnegative(shape: tuple[int, ...], observed: bool) -> None:
    tensor, factors = sparse_low_rank(shape, 2)
    data = some_of(tensor, 0.7) if observed else tensor
    model = cp(data, 2, observed=observed, nonnegative=True, max_iterations=800, stop_tol=1e-12, restarts=4)
    assert all((factor >= 0).all() for factor in model.factors)
    assert factor_match(model, factors) > 0.99


def test_a_nonnegative_fit_of_signed_data_never_grows_and_is_worse() -> None:
    tensor, errors = low_rank((7, 6, 5), 3)[0], []

    def note(progress: Progress) -> bool:
        errors.append(progress.relative_error)
        return True

    model = cp(tensor, 3, nonnegative=True, method="als", max_iterations=50, stop_tol=0, after_sweep=note)
    assert all((factor >= 0).all() for factor in model.factors)
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(errors))
    assert model.relative_error > cp(tensor, 3, max_iterations=50).relative_error + 0.1


def test_a_fit_goes_on_from_a_model_with_some_modes_fixed() -> None:
    tensor = low_rank((8, 7, 6), 3, noise=0.3)[0]
    first = cp(tensor, 3, method="als", max_iterations=6, stop_tol=0)
    going = cp(tensor, 3, init=first, max_iterations=6, stop_tol=0)
    torch.testing.assert_close(
        going.relative_error, cp(tensor, 3, method="als", max_iterations=12, stop_tol=0).relative_error
    )
    for fixed in ([0], [2], [0, 1]):
        model = cp(tensor, 3, init=first, fixed=fixed, max_iterations=20, stop_tol=0)
        for mode in fixed:
            torch.testing.assert_close(model.factors[mode].abs(), (first.factors[mode] * 1.0).abs())
        assert model.relative_error <= first.relative_error + 1e-12
        assert model.relative_error == pytest.approx(true_error(model, tensor), abs=1e-9)


def test_a_ridge_shrinks_the_model() -> None:
    tensor = low_rank((8, 7, 6), 3, noise=0.3)[0]
    free, held = (cp(tensor, 3, l2=l2, max_iterations=30, stop_tol=0) for l2 in (0.0, 0.5))
    assert held.relative_error > free.relative_error
    assert held.relative_error == pytest.approx(true_error(held, tensor), abs=1e-9)


def many_ways(world: World) -> dict[str, CPTensor]:
    """Every solver, each rank with its part of the data."""
    tensor = low_rank((9, 12, 7), 3, noise=0.2, seed=1)[0]
    positive = tensor.abs()
    seen, zeros = some_of(tensor, 0.6), sparse((9, 12, 7), 0.3)
    gaps = torch.where(some_of(tensor, 0.6).to_dense() != 0, tensor, torch.nan)
    slab = slab_of(tensor, world.rank, world.size)
    gap_slab, positive_slab = (slab_of(dense, world.rank, world.size) for dense in (gaps, positive))
    short: Any = {"world": world, "max_iterations": 8, "stop_tol": 0}
    ways: dict[str, Callable[[], CPTensor]] = {
        "dense, svd": lambda: cp(slab, 2, init="svd", **short),
        "dense, nonnegative": lambda: cp(positive_slab, 2, nonnegative=True, **short),
        "dense, observed": lambda: cp(gap_slab, 2, observed=True, **short),
        "dense, observed, steps": lambda: cp(gap_slab, 2, observed=True, method="nls", l2=0.01, **short),
        "dense, nonnegative, steps": lambda: cp(positive_slab, 2, nonnegative=True, method="nls", **short),
        "dense, ridge and fixed": lambda: cp(slab, 2, l2=0.1, fixed=[1], **short),
        "sparse": lambda: cp(part_of(zeros, world), 2, **short),
        "sparse, svd": lambda: cp(part_of(zeros, world), 2, init="svd", **short),
        "sparse, nonnegative": lambda: cp(part_of(zeros, world), 2, nonnegative=True, **short),
        "sparse, observed": lambda: cp(part_of(seen, world), 2, observed=True, **short),
        "sparse, observed, steps": lambda: cp(part_of(seen, world), 2, observed=True, method="nls", l2=0.01, **short),
        "sparse, sampled": lambda: sampled_cp(part_of(zeros, world), 2, samples=40, world=world, max_iterations=8),
    }
    return {name: way() for name, way in ways.items()}


def many_ways_apart(world: World) -> dict[str, CPTensor]:
    """The same where each rank updates rows of its own of every mode, as it does with long ones."""
    layout.ROWS_UPDATED_EVERYWHERE = 0
    return many_ways(world)


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "ways"), [(2, many_ways), (4, many_ways), (4, many_ways_apart)])
def test_any_number_of_ranks_equals_one(ranks: int, ways: Callable[[World], dict[str, CPTensor]]) -> None:
    expected = many_ways(World.alone())
    for answers in on_ranks(ranks, ways, seconds=240, fresh=ways is many_ways_apart):
        for name, model in answers.items():
            assert model.relative_error == pytest.approx(expected[name].relative_error, rel=1e-5), name
            torch.testing.assert_close(model.weights, expected[name].weights, atol=0, rtol=1e-5, msg=name)
            for mine, other in zip(model.factors, expected[name].factors, strict=True):
                torch.testing.assert_close(mine, other, atol=1e-5, rtol=0, msg=name)


def test_a_rank_may_have_no_nonzeros_to_begin_with() -> None:
    for model in on_ranks(2, one_has_all):
        assert model.relative_error == pytest.approx(cp(sparse((9, 12, 7), 0.3), 2, max_iterations=4).relative_error)


def one_has_all(world: World) -> CPTensor:
    tensor = sparse((9, 12, 7), 0.3)
    if world.rank:
        tensor = SparseTensor(tensor.indices[:, :0], tensor.values[:0], tensor.shape)
    return cp(tensor, 2, world=world, max_iterations=4)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_sparse_values_that_are_no_numbers_are_refused(value: float) -> None:
    tensor = SparseTensor(torch.zeros(3, 1, dtype=torch.int32), torch.tensor([value]), (2, 2, 2))
    with pytest.raises(UserError, match="NaN or infinite"):
        cp(tensor, 1)


def test_observed_infinities_are_refused_and_nothing_observed_too() -> None:
    tensor = low_rank((4, 3, 5), 2)[0]
    tensor[0, 0, 0] = torch.inf
    with pytest.raises(UserError, match="NaN or infinite"):
        cp(tensor, 1, observed=True)
    with pytest.raises(UserError, match="no entry of the tensor is observed"):
        cp(torch.full((4, 3, 5), torch.nan), 1, observed=True)
