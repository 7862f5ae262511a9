"""A weight for coarse samples, refined, gives the samples themselves the same scores."""

from __future__ import annotations

import pytest
import torch

from polyadic.regression import tensor_regression
from polyadic.regression.coarse import coarse, refined
from polyadic.regression.weights import WEIGHTS
from tests.regression.cases import drawn_weight


@pytest.mark.parametrize("name", list(WEIGHTS))
@pytest.mark.parametrize("shape", [(32, 17, 3), (16, 16), (5, 33)], ids=str)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_scores_are_the_same(times: int, name: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyadic.regression.coarse.PIECE_NUMBERS", 2000)
    x = torch.randn(6, *shape, dtype=torch.float64)
    smaller = coarse(x, times)
    assert smaller is not None
    weight = drawn_weight(name, tuple(smaller.shape[1:]))
    before = weight.scores(smaller)
    assert torch.allclose(refined(weight, shape, times).scores(x), before)


def test_short_modes_stay() -> None:
    assert coarse(torch.randn(2, 15, 3)) is None


def test_a_cross_is_found_in_fewer_samples_than_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    cross = torch.zeros(32, 32)
    cross[14:18, 6:26] = cross[6:26, 14:18] = 1
    x = torch.randn(400, 32, 32, generator=generator)
    label = x.flatten(1) @ cross.flatten() + torch.randn(400, generator=generator)
    found = tensor_regression(x, label, 2).weight.full()[..., 0]
    assert float((found - cross).norm() / cross.norm()) < 0.1
