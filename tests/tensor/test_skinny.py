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
    found = skinny_product(x, aligned(matrix), left, right)[:, :columns]
    torch.testing.assert_close(found, torch.einsum("lkq,kr->lqr", x, matrix).reshape(-1, columns))


def test_a_large_tensor_times_a_small_matrix_along_its_last_mode() -> None:
    random = torch.Generator().manual_seed(0)
    tensor, matrix = torch.randn(64, 128, 130, generator=random), torch.randn(20, 130, generator=random)
    expected = tensor @ matrix.T
    torch.testing.assert_close(mode_product(tensor, matrix, 2), expected)
    tensor.requires_grad_()
    mode_product(tensor, matrix, 2).sum().backward()
    assert tensor.grad is not None
    torch.testing.assert_close(tensor.grad, matrix.sum(0).expand(64, 128, 130))
