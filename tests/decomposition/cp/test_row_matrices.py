"""Normal equations of their own for each row: in pieces they are those of all rows at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.cp import row_matrices
from polyadic.decomposition.cp.error import observed_squares
from polyadic.decomposition.cp.row_matrices import RowMatrices, pairs, symmetric
from polyadic.decomposition.cp.updates import solve_rows

RANK = 4


def matrices(rows: int) -> RowMatrices:
    """Of positive definite matrices."""
    random = torch.Generator().manual_seed(0)
    draws = torch.randn(rows, 9, RANK, generator=random, dtype=torch.float64)
    flat = torch.stack([pairs(draw).sum(0) for draw in draws]) if rows else torch.zeros(0, RANK * (RANK + 1) // 2)
    return RowMatrices(flat.double(), RANK)


def test_pairs_are_the_triangles_of_outer_products() -> None:
    factor = torch.arange(6.0).reshape(2, 3)
    torch.testing.assert_close(symmetric(pairs(factor), 3), torch.einsum("ir,is->irs", factor, factor).double())


@pytest.mark.parametrize("rows", [0, 1, 6, 7])
@pytest.mark.parametrize("held", [1, 2, 100])
@pytest.mark.parametrize("l2", [0.0, 3.0])
def test_pieces_give_what_all_rows_at_once_do(rows: int, held: int, l2: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_matrices, "PIECE_BYTES", held * 8 * RANK**2)
    product = torch.randn(rows, RANK, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    given, sizes = matrices(rows), list[int]()

    def solver(some: slice, full: Tensor) -> Tensor:
        sizes.append(len(full))
        return solve_rows(full, product[some])

    whole = symmetric(given.flat, RANK)
    solution = given.solve(solver, l2)
    torch.testing.assert_close(solution, solve_rows(whole + l2 * torch.eye(RANK, dtype=torch.float64), product))
    assert sum(sizes) == rows and max(sizes) <= held
    for own, expected in zip(given.squares(solution), observed_squares(whole, solution), strict=True):
        torch.testing.assert_close(own, expected)
