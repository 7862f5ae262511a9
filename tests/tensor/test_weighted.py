"""Weighted sums over the modes of a partial product, against their definition."""

from __future__ import annotations

import pytest
import torch

from polyadic.tensor.skinny import aligned
from polyadic.tensor.weighted import weighted


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(6,), (300, 7), (7, 300), (300, 301), (3, 90_000), (40, 30, 20), (2, 3, 4, 5)])
@pytest.mark.parametrize("rank", [3, 16, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_mode_may_be_kept(shape: tuple[int, ...], rank: int, dtype: torch.dtype) -> None:
    """Many rows are divided among the threads by rows, few by columns."""
    random = torch.Generator().manual_seed(0)
    partial = torch.randn(*shape, rank, generator=random, dtype=torch.float64)
    factors = [torch.randn(rows, rank, generator=random, dtype=torch.float64) for rows in shape]
    letters = "abcd"[: len(shape)]
    for keep, kept in enumerate(letters):
        others = [(letter, factor) for letter, factor in zip(letters, factors, strict=True) if letter != kept]
        terms = ",".join([f"{letters}r", *(f"{letter}r" for letter, _ in others)])
        expected = torch.einsum(f"{terms}->{kept}r", partial, *(factor for _, factor in others))
        found = weighted(aligned(partial.to(dtype)), [factor.to(dtype) for factor in factors], keep)[:, :rank]
        tolerance = 500 * torch.finfo(dtype).eps * expected.abs().max().item()
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=tolerance)


def test_nothing_sums_to_zeros() -> None:
    assert weighted(torch.zeros(0, 5, 8), [torch.ones(0, 8), torch.ones(5, 8)], 1).tolist() == [[0.0] * 8] * 5
