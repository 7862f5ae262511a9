"""The data of a decomposition: what is refused, what counts as observed, and rows from whole factors and back."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.data import Data, check_norm, check_shape, overflow
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.sparse_share import Mask, SparseShare
from tests.helpers.ranks import on_ranks
from tests.helpers.tensors import low_rank, slab_of, sparse


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(5), "the tensor has 1 modes: a decomposition needs 2 or more"),
        (torch.ones(()), "the tensor has 0 modes"),
        (torch.zeros(2, 0, 3), r"the tensor is empty: its shape is \(2, 0, 3\)"),
        (
            torch.zeros(2, 3),
            "all zero: there is nothing to decompose. Give one .*, or dtype=float64 where its entries are",
        ),
        (
            torch.zeros(2, 3, dtype=torch.float64),
            "all zero: there is nothing to decompose. Give one with a non-zero entry$",
        ),
        (torch.tensor([[1.0, math.nan]]), "NaN or infinite: fill them in, or leave out their rows"),
        (torch.tensor([[1.0, math.inf]]), "NaN or infinite"),
        (
            torch.tensor([[1e300, 1]], dtype=torch.float64),
            "too large: the largest is 1e.300 in float64",
        ),
        (torch.tensor([[1e-300, 0]], dtype=torch.float64), "too small: .* Divide the tensor by 1e-300"),
    ],
)
def test_what_cannot_be_decomposed_is_refused(tensor: Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Data.of(tensor)


def test_the_checks_let_the_rest_pass() -> None:
    check_shape((2, 3))
    assert check_norm(2.5, torch.ones(1), World.alone()) == 2.5
    assert "overflow float32: divide it by a constant, or use dtype float64" in str(overflow(torch.float32))


def test_the_gaps_of_a_dense_tensor_are_masked_and_its_infinities_stay() -> None:
    tensor = low_rank((4, 3, 5), 2)[0]
    tensor[1, 2, 3] = torch.nan
    data = Data.of(tensor, observed=True)
    assert isinstance(data.share, DenseShare) and isinstance(data.mask, DenseShare)
    assert data.mask.slab.local.sum() == 59 and data.mask.slab.local[1, 2, 3] == 0
    assert data.norm == pytest.approx(float(tensor.nan_to_num().norm()))
    with pytest.raises(UserError, match="no entry of the tensor is observed"):
        Data.of(torch.full((3, 4), torch.nan), observed=True)
    tensor[0, 0, 0] = -torch.inf
    with pytest.raises(UserError, match="NaN or infinite"):
        Data.of(tensor, observed=True)


def test_a_sparse_tensor_has_a_mask_where_absent_entries_are_unknown() -> None:
    tensor = sparse((5, 6, 4), 0.5)
    known, zeros = Data.of(tensor, observed=True), Data.of(tensor)
    assert isinstance(known.share, SparseShare) and isinstance(known.mask, Mask) and zeros.mask is None
    assert known.norm == zeros.norm == pytest.approx(float(tensor.values.norm()))


def test_data_stays_as_it_is() -> None:
    data = Data.of(torch.ones(2, 3))
    assert Data.of(data) is data


def test_duplicates_are_summed() -> None:
    tensor = sparse((5, 6, 4), 0.5)
    twice = SparseTensor(torch.cat([tensor.indices] * 2, 1), torch.cat([tensor.values] * 2) / 2, tensor.shape)
    data = Data.of(twice)
    assert isinstance(data.share, SparseShare) and data.share.duplicates == len(tensor.values)
    assert data.norm == pytest.approx(float(tensor.values.norm()))


def rows_and_whole_factors(world: World) -> tuple[list[int], CPTensor]:
    """How many rows of whole factors a rank holds, and the model that the ranks' rows make."""
    tensor, factors = low_rank((4, 9, 5), 2)
    data = Data.of(slab_of(tensor, world.rank, world.size), world)
    held = data.held(factors)
    return [len(rows) for rows in held], data.whole(CPTensor(torch.ones(2), held, 0.5))


def test_rows_of_whole_factors_make_them_again_on_every_rank() -> None:
    factors, answers = low_rank((4, 9, 5), 2)[1], on_ranks(2, rows_and_whole_factors)
    assert [rows for rows, _ in answers] == [[4, 4, 5], [4, 5, 5]]
    for _, model in answers:
        assert model.relative_error == 0.5
        assert all(torch.equal(mine, factor) for mine, factor in zip(model.factors, factors, strict=True))
