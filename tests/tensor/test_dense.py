"""Operations on dense tensors against einsum."""

from __future__ import annotations

import string

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polyadic.tensor.dense import (
    Slab,
    khatri_rao,
    khatri_rao_rows,
    longest,
    mttkrp,
    reconstruct,
    residual,
    share,
    unfold,
)

shapes = st.lists(st.integers(1, 5), min_size=2, max_size=5)
ranks = st.integers(1, 4)
seeds = st.integers(0, 1000)


def random_tensor(shape: list[int], rank: int, seed: int) -> tuple[Tensor, list[Tensor]]:
    random = torch.Generator().manual_seed(seed)
    tensor = torch.randn(shape, generator=random, dtype=torch.float64)
    return tensor, [torch.randn(rows, rank, generator=random, dtype=torch.float64) for rows in shape]


def mttkrp_by_einsum(tensor: Tensor, factors: list[Tensor], mode: int) -> Tensor:
    modes = string.ascii_lowercase[: tensor.ndim]
    others = [m for m in range(tensor.ndim) if m != mode]
    terms = ",".join([modes, *(f"{modes[m]}z" for m in others)])
    return torch.einsum(f"{terms}->{modes[mode]}z", tensor, *(factors[m] for m in others))


@settings(max_examples=25, deadline=None)
@given(shapes, seeds)
def test_unfold_puts_a_mode_first_and_keeps_the_order_of_the_others(shape: list[int], seed: int) -> None:
    tensor, _ = random_tensor(shape, 1, seed)
    for mode, rows in enumerate(shape):
        matrix = unfold(tensor, mode)
        assert matrix.shape == (rows, tensor.numel() // rows)
        for row in range(rows):
            assert torch.equal(matrix[row], tensor.select(mode, row).flatten())


@settings(max_examples=25, deadline=None)
@given(shapes, ranks, seeds)
def test_khatri_rao_is_the_columnwise_kronecker_product(shape: list[int], rank: int, seed: int) -> None:
    _, factors = random_tensor(shape, rank, seed)
    product = khatri_rao(factors)
    for column in range(rank):
        kronecker = torch.ones(1, dtype=torch.float64)
        for factor in factors:
            kronecker = torch.kron(kronecker, factor[:, column].contiguous())
        torch.testing.assert_close(product[:, column], kronecker)


@settings(max_examples=25, deadline=None)
@given(shapes, ranks, seeds)
def test_mttkrp_equals_einsum(shape: list[int], rank: int, seed: int) -> None:
    tensor, factors = random_tensor(shape, rank, seed)
    for mode in range(len(shape)):
        torch.testing.assert_close(mttkrp(tensor, factors, mode), mttkrp_by_einsum(tensor, factors, mode))


@settings(max_examples=25, deadline=None)
@given(shapes, ranks, seeds)
def test_khatri_rao_rows_are_rows_of_the_khatri_rao_product(shape: list[int], rank: int, seed: int) -> None:
    _, factors = random_tensor(shape, rank, seed)
    whole = khatri_rao(factors)
    begin, end = len(whole) // 3, len(whole) - len(whole) // 4
    torch.testing.assert_close(khatri_rao_rows(factors, begin, end), whole[begin:end])


@settings(max_examples=25, deadline=None)
@given(shapes, ranks, seeds)
def test_the_residual_is_that_of_the_reconstruction(shape: list[int], rank: int, seed: int) -> None:
    tensor, factors = random_tensor(shape, rank, seed)
    weights = torch.randn(rank, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rest = tensor - reconstruct(weights, factors)
    torch.testing.assert_close(residual(Slab.whole(tensor), weights, factors), rest.square().sum())
    seen = (tensor > 0).double()
    found = residual(Slab.whole(tensor), weights, factors, Slab.whole(seen))
    torch.testing.assert_close(found, (rest * seen).square().sum())


@settings(max_examples=25, deadline=None)
@given(shapes, ranks, seeds)
def test_reconstruct_equals_einsum(shape: list[int], rank: int, seed: int) -> None:
    _, factors = random_tensor(shape, rank, seed)
    weights = torch.randn(rank, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    modes = string.ascii_lowercase[: len(shape)]
    terms = ",".join(["z", *(f"{one}z" for one in modes)])
    expected = torch.einsum(f"{terms}->{modes}", weights, *factors)
    torch.testing.assert_close(reconstruct(weights, factors), expected)


@given(st.integers(0, 200), st.integers(1, 20))
def test_shares_cover_every_row_once_and_differ_by_one_at_most(rows: int, parts: int) -> None:
    shares = [share(rows, part, parts) for part in range(parts)]
    assert [row for start, stop in shares for row in range(start, stop)] == list(range(rows))
    sizes = [stop - start for start, stop in shares]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("shape", "mode"), [((3, 5, 5), 1), ((4,), 0), ((2, 2), 0), ((1, 2, 9), 2)])
def test_longest_is_the_first_of_the_longest_modes(shape: tuple[int, ...], mode: int) -> None:
    assert longest(shape) == mode
    assert Slab.whole(torch.zeros(shape)).mode == mode


def test_a_slab_knows_its_rows() -> None:
    slab = Slab(torch.zeros(2, 3, 4), (2, 7, 4), 1, 4)
    assert slab.rows == slice(4, 7)
    assert Slab.whole(torch.zeros(2, 7)).rows == slice(0, 7)
