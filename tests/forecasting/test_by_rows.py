"""A cell by several threads is the cell itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from polyadic.forecasting import by_rows
from polyadic.forecasting.cells import CELLS, Cell
from polyadic.forecasting.decoders import DECODERS
from tests.helpers.waves import cell as make_cell
from tests.helpers.waves import network, windows

every_cell = pytest.mark.parametrize("name", sorted(CELLS))


@pytest.fixture(autouse=True)
def three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three threads, for which no batch is too small."""
    before = torch.get_num_threads()
    monkeypatch.setattr(by_rows, "FEWEST_ROWS", 1)
    monkeypatch.setattr(by_rows, "FEWEST_NUMBERS", 1)
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def made(name: str) -> tuple[Cell, Tensor]:
    torch.manual_seed(0)
    return make_cell(name, 4, 5, tt_lags=2, tt_order=2, tt_rank=3), torch.randn(7, 6, 4, requires_grad=True)


@every_cell
def test_outputs_states_and_gradients_are_those_of_one_thread(name: str) -> None:
    cell, x = made(name)
    states = [torch.randn_like(part, requires_grad=True) for part in cell.initial(x)]
    outcomes = []
    for run in (cell, lambda *given: by_rows.run(cell, *given)):
        h, after = run(x, tuple(states))
        weights = [torch.linspace(-1, 1, part.numel()).view_as(part) for part in (h, *after)]
        total = torch.stack([(part * weight).sum() for part, weight in zip((h, *after), weights, strict=True)]).sum()
        outcomes.append([h, *after, *torch.autograd.grad(total, [x, *states, *cell.parameters()])])
    for mine, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


@every_cell
def test_without_gradients_nothing_is_kept(name: str) -> None:
    cell, x = made(name)
    with torch.inference_mode():
        h, after = by_rows.run(cell, x, cell.initial(x))
        expected, _ = cell(x, cell.initial(x))
    assert not h.requires_grad and not any(part.requires_grad for part in after)
    torch.testing.assert_close(h, expected)


def test_an_error_in_a_thread_is_raised_and_the_threads_go_on() -> None:
    cell, x = made("lstm")
    with pytest.raises(RuntimeError):
        by_rows.run(cell, x[..., :3], cell.initial(x))
    h, _ = by_rows.run(cell, x, cell.initial(x))
    assert h.shape == (7, 6, 5) and torch.get_num_threads() == 3


@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_losses_gradients_and_forecasts_are_those_of_one_thread(decoder: str) -> None:
    batch, outcomes = windows(7), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        net = network(decoder=decoder)
        loss = net(batch)
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        drawn = net.eval().forecast(batch, 5, 0)
        outcomes.append([loss, *gradients, torch.from_numpy(drawn.mean_BP), torch.from_numpy(drawn.samples_BSP)])
    for mine, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)
