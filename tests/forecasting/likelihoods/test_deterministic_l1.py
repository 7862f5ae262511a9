"""The point forecast: its loss is the absolute error, its draws are the location."""

from __future__ import annotations

import torch

from polyadic.forecasting.likelihoods.deterministic_l1 import LIKELIHOOD
from tests.forecasting.likelihoods.cases import uniforms


def test_the_loss_is_the_absolute_error_and_a_draw_the_location() -> None:
    ones, raw, x = torch.ones(3), torch.tensor([[1.0], [-2.0], [0.5]]), torch.tensor([3.0, 1.0, 0.5])
    assert LIKELIHOOD.nll(raw, x, ones, ones).tolist() == [2, 3, 0]
    u, v = uniforms(3).float()
    assert torch.equal(LIKELIHOOD.sample(raw, u, v, ones, ones), raw[:, 0])
