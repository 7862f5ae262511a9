"""Columns sampled by leverage: an unbiased sample, with the likely columns whole."""

from __future__ import annotations

import pytest
import torch

from polyadic.decomposition.cp.leverage import draw
from polyadic.tensor.columns import Rows


def test_a_sample_is_unbiased_and_takes_the_likely_columns_whole() -> None:
    first = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    second = torch.tensor([0.6, 0.3, 0.05, 0.05], dtype=torch.float64)
    truth = torch.outer(first, second).flatten()
    totals = torch.zeros(12, dtype=torch.float64)
    for seed in range(400):
        sample = draw([Rows(first), Rows(second)], 8, (seed, 0, 0))
        totals.index_add_(0, sample.index[0] * 4 + sample.index[1], sample.weights)
    likely = truth > 1 / 8
    assert torch.equal(totals[likely], torch.full_like(totals[likely], 400.0))
    assert ((totals / 400 - 1).abs() <= 4 / (400 * truth).sqrt()).all()
    rare = ~likely
    assert float((totals / 400 * truth)[rare].sum()) == pytest.approx(float(truth[rare].sum()), abs=0.01)
