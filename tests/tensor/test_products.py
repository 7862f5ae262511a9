"""Products along modes against einsum."""

from __future__ import annotations

import string

import numpy as np
import pytest
import tensorly
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.dense import unfold
from polyadic.tensor.products import contract, mode_product, multi_mode_product

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=5)
seeds = st.integers(0, 1000)


def normal(shape: list[int], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_einsum(tensor: Tensor, operands: list[Tensor], modes: list[int]) -> Tensor:
    own, new = string.ascii_lowercase[: tensor.ndim], iter(string.ascii_uppercase)
    terms, places = [own], dict(enumerate(own))
    for operand, mode in zip(operands, modes, strict=True):
        places[mode] = "".join(next(new) for _ in operand.shape[1:])
        terms.append(places[mode] + own[mode])
    return torch.einsum(f"{','.join(terms)}->{''.join(places.values())}", tensor, *operands)


@settings(max_examples=50, deadline=None)
@given(shapes, seeds)
def test_a_product_with_a_matrix_multiplies_the_unfolding(shape: list[int], seed: int) -> None:
    tensor = normal(shape, seed)
    for mode, rows in enumerate(shape):
        matrix = normal([3, rows], seed + 1)
        product = mode_product(tensor, matrix, mode)
        assert product.shape == (*shape[:mode], 3, *shape[mode + 1 :])
        torch.testing.assert_close(unfold(product, mode), matrix @ unfold(tensor, mode))


@pytest.mark.parametrize("shape", [[2, 3, 40], [40, 3, 2], [5, 6, 9], [7, 11], [11, 7, 1]])
def test_wide_and_narrow_tensors_give_the_same_as_einsum(shape: list[int]) -> None:
    tensor = normal(shape, 0)
    for mode, rows in enumerate(shape):
        matrix = normal([4, rows], 1)
        torch.testing.assert_close(mode_product(tensor, matrix, mode), by_einsum(tensor, [matrix], [mode]))


@settings(max_examples=50, deadline=None)
@given(shapes, seeds)
def test_a_product_with_a_vector_takes_the_mode_away(shape: list[int], seed: int) -> None:
    tensor = normal(shape, seed)
    for mode, rows in enumerate(shape):
        vector = normal([rows], seed + 1)
        expected = torch.tensordot(tensor, vector, ([mode], [0]))
        torch.testing.assert_close(mode_product(tensor, vector, mode), expected)


def test_a_product_with_a_tensor_puts_its_modes_in_place() -> None:
    tensor, operand = normal([2, 5, 3], 0), normal([4, 6, 5], 1)
    expected = torch.einsum("abc,ijb->aijc", tensor, operand)
    torch.testing.assert_close(mode_product(tensor, operand, 1), expected)


@settings(max_examples=80, deadline=None)
@given(st.data(), shapes, seeds)
def test_many_operands_at_once_equal_einsum(data: st.DataObject, shape: list[int], seed: int) -> None:
    tensor = normal(shape, seed)
    modes = data.draw(st.lists(st.sampled_from(range(len(shape))), unique=True))
    leads = [data.draw(st.lists(st.integers(1, 3), max_size=2)) for _ in modes]
    operands = [normal([*lead, shape[mode]], seed + mode) for mode, lead in zip(modes, leads, strict=True)]
    torch.testing.assert_close(multi_mode_product(tensor, operands, modes), by_einsum(tensor, operands, modes))


@settings(max_examples=25, deadline=None)
@given(shapes, seeds)
def test_the_default_modes_are_the_first_ones(shape: list[int], seed: int) -> None:
    tensor = normal(shape, seed)
    operands = [normal([2, rows], seed) for rows in shape[:2]]
    torch.testing.assert_close(
        multi_mode_product(tensor, operands), multi_mode_product(tensor, operands, range(len(operands)))
    )


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_it_is_tensorlys_mode_dot(mode: int) -> None:
    tensor, matrix = normal([4, 5, 6], 0), normal([3, [4, 5, 6][mode]], 1)
    expected = tensorly.tenalg.mode_dot(tensor.numpy(), matrix.numpy(), mode)
    assert np.allclose(mode_product(tensor, matrix, mode).numpy(), expected)


def test_a_tensor_that_is_not_contiguous_is_read_as_it_is() -> None:
    tensor, matrix = normal([4, 5, 6], 0).permute(2, 0, 1), normal([3, 4], 1)
    torch.testing.assert_close(mode_product(tensor, matrix, 1), by_einsum(tensor, [matrix], [1]))


def test_an_empty_share_stays_one_where_its_mode_stays() -> None:
    empty = torch.zeros(4, 0, 5)
    assert mode_product(empty, torch.ones(3, 4), 0).shape == (3, 0, 5)
    assert torch.equal(mode_product(empty, torch.zeros(2, 0), 1), torch.zeros(4, 2, 5))


@pytest.mark.parametrize(
    ("operands", "modes", "message"),
    [
        ([(3, 4)], [1], r"an operand of shape \(3, 4\) does not fit mode 1: .* the mode's 5 rows"),
        ([()], [0], r"an operand of shape \(\) does not fit mode 0"),
        ([(3, 4)], [3], "mode is 3: the tensor has modes 0 to 2"),
        ([(3, 4)], [-1], "mode is -1: the tensor has modes 0 to 2"),
        ([(3, 4), (2, 4)], [0, 0], r"modes are \[0, 0\] for 2 operands: give a different mode for each"),
        ([(3, 4)], [0, 1], r"modes are \[0, 1\] for 1 operands"),
    ],
)
def test_what_does_not_fit_is_refused(operands: list[tuple[int, ...]], modes: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        multi_mode_product(torch.ones(4, 5, 6), [torch.ones(shape) for shape in operands], modes)


def test_a_contraction_equals_einsum() -> None:
    tensor = normal([3, 4, 5, 2], 0)
    factors = [normal([rows, 6], n) for n, rows in enumerate(tensor.shape)]
    spec = "ijkl,jr,kr,lr->ir"
    torch.testing.assert_close(contract(spec, tensor, *factors[1:]), torch.einsum(spec, tensor, *factors[1:]))
    assert contract("ij,ij->", factors[0], factors[0]).shape == ()
