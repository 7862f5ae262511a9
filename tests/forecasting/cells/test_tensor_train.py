"""What the cells have in common whose weight is a tensor train."""

from __future__ import annotations

import pytest
import torch

from polyadic.forecasting.cells import CELLS
from polyadic.forecasting.cells._tensor_train import TensorTrainCell
from tests.helpers.waves import cell as made

TRAINS = [name for name, kind in CELLS.items() if issubclass(kind, TensorTrainCell)]


def test_there_are_such_cells() -> None:
    assert len(TRAINS) > 1


@pytest.mark.parametrize("name", TRAINS)
def test_a_state_stays_in_float32_where_products_are_in_bfloat16(name: str) -> None:
    torch.manual_seed(0)
    cell, x = made(name, 4, 5, tt_lags=2, tt_order=2, tt_rank=3), torch.randn(3, 6, 4)
    exact, _ = cell(x, cell.initial(x))
    with torch.autocast("cpu", torch.bfloat16):
        rounded, state = cell(x, cell.initial(x))
    torch.autograd.backward(rounded.sum())
    assert rounded.dtype == torch.float32 and {part.dtype for part in state} == {torch.float32}
    torch.testing.assert_close(rounded, exact, atol=0.02, rtol=0.02)
    assert not torch.equal(rounded, exact)
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in cell.parameters())


@pytest.mark.parametrize("name", TRAINS)
def test_the_weights_have_the_names_of_earlier_artifacts(name: str) -> None:
    cell = made(name, 4, 5, tt_order=2, tt_output="core", tt_input="core", tt_linear="matrix")
    own = {"input.weight", "input.bias", "cores.0", "cores.1", "output", "first", "matrix"}
    assert {"input.weight", "input.bias", "cores.0"} <= set(cell.state_dict()) <= own
