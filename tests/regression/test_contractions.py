"""Contractions by kernels and by torch are the same, whatever the sizes are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.regression.contractions import MOST_KERNEL_COMPONENTS, gram, without_left, without_right

small = st.integers(1, 9)


@settings(max_examples=40, deadline=None)
@given(samples=st.integers(0, 5), components=small, left=small, right=small, own=st.booleans())
def test_both_sides(samples: int, components: int, left: int, right: int, own: bool) -> None:
    grid = torch.randn(samples, components if own else 1, left, right)
    u, v = torch.randn(right, components), torch.randn(left, components)
    wide = grid.expand(-1, components, -1, -1)
    assert torch.allclose(without_right(grid, u), torch.einsum("brlk,kr->brl", wide, u), atol=1e-5)
    assert torch.allclose(without_left(grid, v), torch.einsum("brlk,lr->brk", wide, v), atol=1e-5)


def test_gradients_pass_and_many_components_are_torchs() -> None:
    grid = torch.randn(3, 1, 4, 5, dtype=torch.float64)
    u = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u: without_right(grid, u), u)
    v = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: without_left(grid, v), v)
    many = torch.randn(5, MOST_KERNEL_COMPONENTS + 1, dtype=torch.float64)
    assert without_right(grid, many).shape == (3, MOST_KERNEL_COMPONENTS + 1, 4)


@pytest.mark.parametrize("columns", [3, 16, 40])
def test_gram(columns: int) -> None:
    rows = torch.randn(100, columns, dtype=torch.float64)
    assert torch.allclose(gram(rows), rows.T @ rows)
    assert torch.allclose(gram(rows.T.contiguous().T), rows.T @ rows)
