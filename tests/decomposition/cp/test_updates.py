"""New rows of a factor: least squares of each row, and among nonnegative ones."""

from __future__ import annotations

import pytest
import torch

from polyadic.decomposition.cp.updates import nonnegative_rows, solve_rows


@pytest.mark.slow
def test_nonnegative_rows_reach_the_optimum() -> None:
    """The Karush-Kuhn-Tucker conditions after many updates."""
    random = torch.Generator().manual_seed(0)
    basis = torch.randn(20, 4, generator=random, dtype=torch.float64)
    gram, product = basis.T @ basis, torch.randn(6, 20, generator=random, dtype=torch.float64) @ basis
    rows = torch.ones(6, 4, dtype=torch.float64)
    for _ in range(200):
        rows = nonnegative_rows(gram, product, rows)
    slope = rows @ gram - product
    assert (rows >= 0).all() and (slope > -1e-9).all() and (rows * slope).abs().max() < 1e-9
    each = nonnegative_rows(gram.expand(6, 4, 4), product, rows)
    torch.testing.assert_close(each, rows)


def test_rows_without_observed_entries_are_zero() -> None:
    gram = torch.stack([torch.eye(3), torch.zeros(3, 3), torch.ones(3, 3)]).double()
    rows = solve_rows(gram, torch.tensor([[1.0, 2, 3], [0, 0, 0], [3, 3, 3]], dtype=torch.float64))
    assert rows[0].tolist() == pytest.approx([1, 2, 3]) and rows[1].tolist() == [0, 0, 0]
    assert rows[2].sum().item() == pytest.approx(3)
