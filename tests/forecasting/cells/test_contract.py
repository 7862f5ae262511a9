"""Every recurrent cell, with many of its options, against its readable reference form."""

from __future__ import annotations

import pytest
import torch

from polyadic.forecasting.cells import CELLS, Cell, State
from polyadic.options import Options
from tests.forecasting.cells.cases import perturbed, variants

each = pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param(name, options, id=f"{name}-{'-'.join(str(value) for _, value in options)}")
        for name, kind in CELLS.items()
        for options in variants(kind)
    ],
)
SIZES = [(1, 1, 1, 1), (2, 5, 3, 4), (3, 7, 6, 2)]


def case(
    name: str, options: Options, batch: int, time: int, inputs: int, hidden: int
) -> tuple[Cell, torch.Tensor, State]:
    torch.manual_seed(0)
    return perturbed(CELLS[name].make(inputs, hidden, options), batch, time, inputs)


@each
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 5e-5), (torch.float64, 1e-12)])
def test_a_cell_equals_its_reference(
    name: str, options: Options, size: tuple[int, int, int, int], dtype: torch.dtype, atol: float
) -> None:
    cell, x, state = case(name, options, *size)
    cell, x, state = cell.to(dtype), x.to(dtype), tuple(part.to(dtype) for part in state)
    fast, after = cell(x, state)
    slow, expected = cell.reference(x, state)
    assert fast.shape == (*size[:2], size[3])
    for mine, other in zip((fast, *after), (slow, *expected), strict=True):
        torch.testing.assert_close(mine, other, atol=atol, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", list(CELLS))
def test_a_step_of_a_forecast_is_the_references(name: str, dtype: torch.dtype) -> None:
    cell, x, state = case(name, CELLS[name].options(), 5, 1, 3, 11)
    cell, x, state = cell.to(dtype), x.to(dtype), tuple(part.to(dtype) for part in state)
    with torch.inference_mode():
        h, after = cell(x, state)
        expected, after_expected = cell.reference(x, state)
    for mine, other in zip((h, *after), (expected, *after_expected), strict=True):
        torch.testing.assert_close(mine, other, atol=5e-6 if dtype == torch.float32 else 1e-10, rtol=0)


@pytest.mark.slow
@each
def test_gradients_equal_the_references(name: str, options: Options) -> None:
    """Of everything that goes in, from everything that comes out."""
    cell, x, state = case(name, options, 3, 5, 3, 4)
    cell, x, state = cell.double(), x.double(), tuple(part.double() for part in state)
    wanted = [tensor.requires_grad_() for tensor in (x, *state, *cell.parameters())]

    def gradients(h: torch.Tensor, after: State) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(h.square().sum() + sum(part.sin().sum() for part in after), wanted)

    for mine, other in zip(gradients(*cell(x, state)), gradients(*cell.reference(x, state)), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-9 * max(1, float(other.abs().max())), rtol=1e-9)
        assert other.abs().max() > 0


@pytest.mark.parametrize("name", list(CELLS))
def test_gradients_in_single_precision_are_near_those_in_double(name: str) -> None:
    cell, x, state = case(name, CELLS[name].options(), 3, 5, 3, 11)
    single = torch.autograd.grad(cell(x, state)[0].square().sum(), list(cell.parameters()))
    cell, x, state = cell.double(), x.double(), tuple(part.double() for part in state)
    double = torch.autograd.grad(cell(x, state)[0].square().sum(), list(cell.parameters()))
    for mine, other in zip(single, double, strict=True):
        torch.testing.assert_close(mine.double(), other, atol=1e-5 * max(1, float(other.abs().max())), rtol=1e-4)


@each
def test_the_number_of_parameters_is_the_formulas(name: str, options: Options) -> None:
    for inputs, hidden in ((1, 1), (3, 4), (7, 6)):
        cell = CELLS[name].make(inputs, hidden, options)
        assert cell.hidden_size == hidden
        assert cell.count() == sum(parameter.numel() for parameter in cell.parameters())


@each
@pytest.mark.parametrize("cut", [1, 4, 6])
def test_the_state_carries_over_a_cut_in_the_sequence(name: str, options: Options, cut: int) -> None:
    cell, x, state = case(name, options, 2, 7, 3, 4)
    cell, x, state = cell.double(), x.double(), tuple(part.double() for part in state)
    whole, after = cell(x, state)
    first, between = cell(x[:, :cut], state)
    second, end = cell(x[:, cut:], between)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=1e-12, rtol=0)
    for mine, other in zip(end, after, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-12, rtol=0)


@each
def test_a_sequence_does_not_see_its_neighbours_or_its_future(name: str, options: Options) -> None:
    cell, x, state = case(name, options, 3, 6, 2, 4)
    changed = x.clone()
    changed[0] += 1
    changed[1, 4:] += 1
    before, after = cell(x, state)[0], cell(changed, state)[0]
    torch.testing.assert_close(after[2], before[2], atol=1e-6, rtol=0)
    torch.testing.assert_close(after[1, :4], before[1, :4], atol=1e-6, rtol=0)
    assert not torch.allclose(after[1, 4:], before[1, 4:])


@each
def test_a_gradient_may_lie_across_memory(name: str, options: Options) -> None:
    """As that of a transposed state does."""
    cell, x, state = case(name, options, 3, 5, 3, 9)
    cell, x, state = cell.double(), x.double(), tuple(part.double() for part in state)
    weights, wanted = [torch.randn(part.shape[1], 3).double() for part in state], list(cell.parameters())

    def gradients(after: State) -> tuple[torch.Tensor, ...]:
        total = torch.stack([(part.T * weight).sum() for part, weight in zip(after, weights, strict=True)]).sum()
        return torch.autograd.grad(total, wanted)

    for mine, other in zip(gradients(cell(x, state)[1]), gradients(cell.reference(x, state)[1]), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("name", list(CELLS))
def test_the_weights_are_a_function_of_torchs_seed(name: str) -> None:
    cells = []
    for _ in range(2):
        torch.manual_seed(3)
        cells.append(CELLS[name].make(3, 4, CELLS[name].options()))
    first, second = (cell.state_dict() for cell in cells)
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[key]) for key, value in first.items())
