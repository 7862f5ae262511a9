"""Skinny products and Gram matrices by kernels against the library's products."""

from __future__ import annotations

import pytest
import torch

from polyadic.tensor.products import mode_product
from polyadic.tensor.skinny import aligned, gram_of_columns, skinny_product

each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


@pytest.mark.parametrize(("rows", "columns"), [(0, 16), (1, 16), (5, 17), (4097, 16), (9000, 33), (700, 160)])
@each_dtype
def test_the_gram_matrix_is_the_product(rows: int, columns: int, dtype: torch.dtype) -> None:
    x = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    gram, expected = gram_of_columns(x), x.double().T @ x.double()
    assert gram.dtype == torch.float64 and torch.equal(gram, gram.T)
    assert (gram - expected).norm() <= (1e-6 if dtype == torch.float32 else 1e-13) * expected.norm()


@pytest.mark.parametrize(("left", "right"), [(1, 1), (13, 1), (3, 7), (2, 600)])
@pytest.mark.parametrize("columns", [1, 8, 20, 32])
@each_dtype
def test_a_skinny_product_is_the_product(left: int, right: int, columns: int, dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(left, 11, right, generator=random, dtype=torch.float64).to(dtype)
    matrix = torch.randn(11, columns, generator=random, dtype=torch.float64).to(dtype)
    found, none = skinny_product(x, aligned(matrix), left, right)
    torch.testing.assert_close(found[:, :columns], torch.einsum("lkq,kr->lqr", x, matrix).reshape(-1, columns))
    assert none is None


@pytest.mark.parametrize(("heads", "left", "right"), [(40, 40, 1), (40, 280, 1), (40, 40, 300), (50, 150, 7)])
@pytest.mark.parametrize("columns", [3, 16, 20])
@each_dtype
def test_a_skinny_product_is_weighted_on_the_way(
    heads: int, left: int, right: int, columns: int, dtype: torch.dtype
) -> None:
    random = torch.Generator().manual_seed(0)
    x, matrix, weights = (
        torch.randn(*shape, generator=random, dtype=torch.float64).to(dtype)
        for shape in ((left, 11, right), (11, columns), (heads, columns))
    )
    found, sums = skinny_product(x, aligned(matrix), left, right, aligned(weights))
    expected = torch.einsum("lkq,kr->lqr", x, matrix).reshape(-1, columns)
    torch.testing.assert_close(found[:, :columns], expected)
    assert sums is not None
    expected = torch.einsum("hjr,hr->jr", expected.reshape(heads, -1, columns), weights)
    torch.testing.assert_close(sums[:, :columns], expected, rtol=1e-5, atol=1e-4)


def test_few_heads_would_take_more_memory_than_time() -> None:
    x, matrix = torch.ones(90, 11, 300), torch.ones(11, 8)
    assert skinny_product(x, matrix, 90, 300, torch.ones(3, 8))[1] is None


def test_a_large_tensor_times_a_small_matrix_along_its_last_mode() -> None:
    random = torch.Generator().manual_seed(0)
    tensor, matrix = torch.randn(64, 128, 130, generator=random), torch.randn(20, 130, generator=random)
    expected = tensor @ matrix.T
    torch.testing.assert_close(mode_product(tensor, matrix, 2), expected)
    tensor.requires_grad_()
    (gradient,) = torch.autograd.grad(mode_product(tensor, matrix, 2).sum(), tensor)
    torch.testing.assert_close(gradient, matrix.sum(0).expand(64, 128, 130))
