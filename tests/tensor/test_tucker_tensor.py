"""What a Tucker tensor answers, against the tensor that it stands for."""

from __future__ import annotations

import itertools
import math

import pytest
import tensorly
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.dense import unfold
from polyadic.tensor.products import multi_mode_product
from polyadic.tensor.tucker_tensor import TuckerTensor


def random_tucker(
    shape: tuple[int, ...], ranks: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float64
) -> TuckerTensor:
    """A Tucker tensor whose factors are not orthonormal."""
    random = torch.Generator().manual_seed(seed)
    core = torch.randn(ranks, generator=random, dtype=dtype)
    pairs = zip(shape, ranks, strict=True)
    return TuckerTensor(core, [torch.randn(rows, rank, generator=random, dtype=dtype) for rows, rank in pairs])


def whole(model: TuckerTensor) -> Tensor:
    return multi_mode_product(model.core, model.factors)


SHAPES = [((4, 6), (2, 2)), ((4, 5, 6), (2, 3, 4)), ((3, 4, 2, 5), (2, 3, 2, 1)), ((3, 2, 2, 3, 2), (2, 2, 1, 2, 2))]
each_shape = pytest.mark.parametrize(("shape", "ranks"), SHAPES)


@each_shape
def test_entries_are_those_of_the_whole(shape: tuple[int, ...], ranks: tuple[int, ...]) -> None:
    model = random_tucker(shape, ranks)
    index = torch.cartesian_prod(*map(torch.arange, shape))
    assert model.shape == shape
    torch.testing.assert_close(model.at(index).reshape(shape), whole(model))
    assert model.at(index[:0]).shape == (0,)


def test_many_entries_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_tucker((4, 5, 6), (2, 3, 4))
    index = torch.cartesian_prod(*map(torch.arange, model.shape))
    monkeypatch.setattr("polyadic.tensor.tucker_tensor.WORK_NUMBERS", 25)
    torch.testing.assert_close(model.at(index).reshape(model.shape), whole(model))


@each_shape
def test_a_slice_is_that_of_the_whole(shape: tuple[int, ...], ranks: tuple[int, ...]) -> None:
    model = random_tucker(shape, ranks)
    for free in itertools.product((True, False), repeat=len(shape)):
        index = [None if is_free else rows - 1 for is_free, rows in zip(free, shape, strict=True)]
        expected = whole(model)[tuple(slice(None) if row is None else row for row in index)]
        torch.testing.assert_close(model.slice(index), expected)


@each_shape
@pytest.mark.parametrize("gaps", [False, True])
def test_a_slab_is_embedded_by_least_squares(shape: tuple[int, ...], ranks: tuple[int, ...], gaps: bool) -> None:
    model = random_tucker(shape, ranks)
    random = torch.Generator().manual_seed(1)
    for mode in range(len(shape)):
        slabs = torch.randn(3, *shape[:mode], *shape[mode + 1 :], generator=random, dtype=torch.float64)
        if gaps:
            slabs[0][torch.rand(slabs[0].shape, generator=random) < 0.3] = math.nan
            slabs[2].view(-1)[1] = math.nan
        rows, residual = model.embed(mode, slabs)
        others = [m for m in range(len(shape)) if m != mode]
        columns = unfold(multi_mode_product(model.core, [model.factors[m] for m in others], others), mode).T
        for slab, row, rest in zip(slabs, rows, residual, strict=True):
            seen = ~slab.flatten().isnan()
            data, basis = slab.flatten()[seen], columns[seen]
            expected = torch.linalg.lstsq(basis, data[:, None], driver="gelsd").solution[:, 0]
            torch.testing.assert_close(row, expected)
            assert rest.item() == pytest.approx(float((data - basis @ expected).norm() / data.norm()), abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_slab_of_the_model_is_found_again(dtype: torch.dtype) -> None:
    model = random_tucker((4, 5, 6), (2, 3, 4), dtype=dtype)
    rows, residual = model.embed(1, whole(model).movedim(1, 0))
    assert rows.dtype == residual.dtype == dtype
    torch.testing.assert_close(rows, model.factors[1], rtol=1e-3, atol=1e-3)
    assert residual.max() < 1e-5


def test_more_rank_than_entries_takes_the_shortest_embedding() -> None:
    model = random_tucker((3, 2, 9), (2, 2, 8))
    slabs = torch.ones(1, 3, 2, dtype=torch.float64)
    for gap in (False, True):
        slabs[0, 0, 0] = math.nan if gap else 1.0
        rows, residual = model.embed(2, slabs)
        columns = unfold(multi_mode_product(model.core, model.factors[:2], [0, 1]), 2).T
        seen = ~slabs.flatten().isnan()
        torch.testing.assert_close(rows[0], torch.linalg.pinv(columns[seen]).sum(1), rtol=1e-5, atol=1e-6)
        assert residual[0] < 1


def test_an_empty_slab_and_a_slab_of_zeros() -> None:
    model = random_tucker((4, 5, 6), (2, 3, 4))
    slabs = torch.stack([torch.zeros(4, 5), torch.full((4, 5), math.nan)]).double()
    rows, residual = model.embed(2, slabs)
    assert torch.equal(rows, torch.zeros(2, 4, dtype=torch.float64))
    assert residual[0] == 0 and residual[1].isnan()
    assert model.embed(2, slabs[:0])[0].shape == (0, 4)


@pytest.mark.parametrize(
    ("mode", "shape", "message"),
    [
        (3, (1, 4, 5), "mode is 3: the tensor has modes 0 to 2"),
        (1, (1, 4, 5), r"of shape \(1, 4, 5\): along mode 1 they must be of \(B, 4, 6\)"),
    ],
)
def test_slabs_that_do_not_fit_are_refused(mode: int, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        random_tucker((4, 5, 6), (2, 3, 4)).embed(mode, torch.ones(shape))


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(SHAPES), st.integers(0, 100))
def test_there_and_back_through_tensorly(case: tuple[tuple[int, ...], tuple[int, ...]], seed: int) -> None:
    model = random_tucker(*case, seed=seed)
    theirs = model.to_tensorly()
    assert isinstance(theirs, tensorly.tucker_tensor.TuckerTensor)
    assert torch.allclose(torch.from_numpy(tensorly.tucker_to_tensor(theirs)), whole(model))
    back = TuckerTensor.from_tensorly(theirs, 0.25)
    assert torch.equal(back.core, model.core) and back.relative_error == 0.25
    assert all(map(torch.equal, back.factors, model.factors))
    assert math.isnan(TuckerTensor.from_tensorly((theirs.core, theirs.factors)).relative_error)


def test_tensorlys_pytorch_backend_is_served_too() -> None:
    model = random_tucker((4, 5), (2, 2))
    with tensorly.backend_context("pytorch"):
        theirs = model.to_tensorly()
        assert isinstance(theirs.core, Tensor)
        assert torch.equal(TuckerTensor.from_tensorly(theirs).factors[1], model.factors[1])
