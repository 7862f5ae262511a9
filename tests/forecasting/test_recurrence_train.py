"""A tensor train applied to the states of a step: its gradients are summed over chunks of steps."""

from __future__ import annotations

import pytest
import torch

from polyadic.forecasting import recurrence_train
from tests.forecasting.cells.cases import perturbed
from tests.helpers.waves import cell as made


@pytest.mark.parametrize("output", ["inside", "core"])
def test_gradients_are_summed_over_chunks_of_steps(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    cell, x, state = perturbed(made("tt-lstm", 3, 4, tt_lags=2, tt_order=3, tt_rank=3, tt_output=output), 3, 11, 3)
    whole = torch.autograd.grad(cell(x, state)[0].square().sum(), list(cell.parameters()))
    monkeypatch.setattr(recurrence_train, "CHUNK_NUMBERS", 3 * 8 * 3 * 2)
    parts = torch.autograd.grad(cell(x, state)[0].square().sum(), list(cell.parameters()))
    for mine, other in zip(parts, whole, strict=True):
        torch.testing.assert_close(mine, other)
