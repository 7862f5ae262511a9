"""Rows times a matrix with their Gram matrix, against two products, by the kernel or by the library."""

from __future__ import annotations

import pytest
import torch

from polyadic.tensor.rows import scale_, times


@pytest.mark.parametrize("rank", [1, 3, 8, 16, 20, 50, 64, 70])
@pytest.mark.parametrize("rows", [0, 1, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("padded", [False, True])
def test_rows_and_gram_are_those_of_two_products(rank: int, rows: int, dtype: torch.dtype, padded: bool) -> None:
    random = torch.Generator().manual_seed(0)
    wide = torch.randn(rows, 80 if padded else rank, generator=random, dtype=torch.float64).to(dtype)
    product, inverse = wide[:, :rank], torch.randn(rank, rank, generator=random, dtype=torch.float64).to(dtype)
    found, (gram, inner) = times(product, inverse)
    expected = product.double() @ inverse.double()
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    assert found.shape == (rows, rank) and gram.shape == (rank, rank) and gram.dtype == torch.float64
    assert (found - expected).norm() <= tolerance * expected.norm()
    assert (gram - expected.T @ expected).norm() <= tolerance * (expected.T @ expected).norm()
    assert inner.shape == (rank,) and inner.dtype == torch.float64
    dots = (product.double() * expected).sum(0)
    assert (inner - dots).norm() <= tolerance * product.double().norm() * expected.norm()


def test_a_part_of_a_larger_array_is_read_within_its_bounds() -> None:
    whole = torch.arange(48.0).reshape(6, 8)
    for view in (whole[2:, :3], whole[:, 2:5], whole.T[:3]):
        found, _ = times(view, torch.eye(view.shape[1]))
        assert torch.equal(found, view)


def test_a_matrix_may_lie_by_columns() -> None:
    rows, matrix = torch.arange(16.0).reshape(2, 8), torch.arange(64.0).reshape(8, 8)
    assert torch.equal(times(rows, matrix.T)[0], rows @ matrix.T)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [1, 8, 16, 20, 50, 70])
@pytest.mark.parametrize("padded", [False, True])
def test_rows_are_scaled_in_place(rank: int, padded: bool) -> None:
    random = torch.Generator().manual_seed(0)
    rows, _ = times(torch.randn(5000, rank, generator=random), torch.eye(rank))
    rows = rows if padded else rows.contiguous()
    scale, before = torch.rand(rank, generator=random, dtype=torch.float64), rows.clone()
    assert scale_(rows, scale) is rows
    torch.testing.assert_close(rows, before * scale.float())


def test_what_lies_beside_a_view_is_not_scaled() -> None:
    whole = torch.ones(6, 8)
    scale_(whole[:, 2:5], torch.full((3,), 2.0))
    assert whole.sum() == 48 + 18
