"""Every recurrent cell against its readable reference form."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from polyadic.forecasting import recurrence
from polyadic.forecasting.cells import (
    CELLS,
    LSTM,
    Cell,
    CompressedLSTM,
    MultiLagLSTM,
    State,
    TensorTrainLSTM,
    TensorTrainRNN,
    TrainShape,
)

Build = Callable[[int, int], Cell]

LAGS_ORDERS_RANKS = [
    *[(lags, order, 3) for order in (1, 2, 3, 4) for lags in (1, 2, 3)],
    (2, 2, 1),
    (2, 3, 7),
]

ENDS = [(False, False, False), (True, False, False)]
"""Whether the output has a core of its own, the input stands in the first, and the newest state has a matrix."""
WIDER = [(False, True, False), (False, False, True), (True, True, True)]
FEW = [(2, 1, 1), (1, 2, 3), (2, 3, 3)]


def trains(cell: type[Cell], shapes: Iterable[TrainShape]) -> list[Build]:
    return [partial(cell.make, train=shape) for shape in shapes]


CASES: dict[str, list[Build]] = {
    "lstm": [LSTM],
    "mlstm": trains(MultiLagLSTM, [TrainShape(lags) for lags in (1, 2, 5)]),
    "tt-lstm": [
        *trains(TensorTrainLSTM, [TrainShape(*shape, *ends) for shape in LAGS_ORDERS_RANKS for ends in ENDS]),
        *trains(TensorTrainLSTM, [TrainShape(*shape, *ends) for shape in FEW for ends in WIDER]),
    ],
    "tt-rnn": [
        *trains(TensorTrainRNN, [TrainShape(2, order, 3, *ends) for order in (1, 2, 3) for ends in ENDS]),
        *trains(TensorTrainRNN, [TrainShape(2, 2, 3, *ends) for ends in WIDER]),
    ],
    "tt-compressed-lstm": trains(
        CompressedLSTM, [TrainShape(1, order, rank) for order in (1, 2, 3) for rank in (1, 4)]
    ),
}
every_cell = pytest.mark.parametrize("build", [build for builds in CASES.values() for build in builds])
SIZES = [(1, 1, 1, 1), (2, 5, 3, 4), (3, 7, 6, 2)]


def case(build: Build, batch: int, time: int, inputs: int, hidden: int) -> tuple[Cell, torch.Tensor, State]:
    """A cell with every weight of a size that matters, an input and a state that is not zero."""
    torch.manual_seed(batch + time)
    cell, x = build(inputs, hidden), torch.randn(batch, time, inputs)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return cell, x, tuple(0.5 * torch.randn_like(part) for part in cell.initial(x))


def test_every_cell_has_a_case() -> None:
    assert CASES.keys() == CELLS.keys()
    assert all(isinstance(build(2, 3), CELLS[name]) for name, builds in CASES.items() for build in builds)


@every_cell
@pytest.mark.parametrize("size", SIZES)
def test_a_cell_equals_its_reference(build: Build, size: tuple[int, int, int, int]) -> None:
    cell, x, state = case(build, *size)
    fast, after = cell(x, state)
    slow, expected = cell.reference(x, state)
    assert fast.shape == (*size[:2], size[3])
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=0)
    for mine, other in zip(after, expected, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_lstms_step_of_a_forecast_is_the_references(dtype: torch.dtype) -> None:
    cell, x, state = case(LSTM, 5, 1, 3, 11)
    cell, x, state = cell.to(dtype), x.to(dtype), tuple(part.to(dtype) for part in state)
    with torch.inference_mode():
        found, (h, c) = cell(x, state)
        expected, after = cell.reference(x, state)
    for mine, other in zip((found, h, c), (expected, *after), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=0)


@every_cell
def test_gradients_equal_the_references(build: Build) -> None:
    """Of everything that goes in, from everything that comes out."""
    cell, x, state = case(build, 3, 5, 3, 4)
    wanted = [one.requires_grad_() for one in (x, *state, *cell.parameters())]

    def gradients(h: torch.Tensor, after: State) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(h.square().sum() + sum(one.sin().sum() for one in after), wanted)

    for mine, other in zip(gradients(*cell(x, state)), gradients(*cell.reference(x, state)), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5 * max(1, float(other.abs().max())), rtol=1e-4)
        assert other.abs().max() > 0


@every_cell
def test_the_number_of_parameters_is_the_formulas(build: Build) -> None:
    for inputs, hidden in ((1, 1), (3, 4), (7, 6)):
        cell = build(inputs, hidden)
        assert cell.count() == sum(parameter.numel() for parameter in cell.parameters())


@every_cell
@pytest.mark.parametrize("cut", [1, 4, 6])
def test_the_state_carries_over_a_cut_in_the_sequence(build: Build, cut: int) -> None:
    cell, x, state = case(build, 2, 7, 3, 4)
    whole, after = cell(x, state)
    first, between = cell(x[:, :cut], state)
    second, end = cell(x[:, cut:], between)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=1e-6, rtol=0)
    for mine, other in zip(end, after, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=0)


@every_cell
def test_a_sequence_does_not_see_its_neighbours_or_its_future(build: Build) -> None:
    cell, x, state = case(build, 3, 6, 2, 4)
    changed = x.clone()
    changed[0] += 1
    changed[1, 4:] += 1
    before, after = cell(x, state)[0], cell(changed, state)[0]
    torch.testing.assert_close(after[2], before[2], atol=1e-6, rtol=0)
    torch.testing.assert_close(after[1, :4], before[1, :4], atol=1e-6, rtol=0)
    assert not torch.allclose(after[1, 4:], before[1, 4:])


@every_cell
def test_a_gradient_may_lie_across_memory(build: Build) -> None:
    """As that of a transposed state does."""
    cell, x, state = case(build, 3, 5, 3, 9)
    cell, x, state = cell.double(), x.double(), tuple(part.double() for part in state)
    weights, wanted = [torch.randn(part.shape[1], 3).double() for part in state], list(cell.parameters())

    def gradients(after: State) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(
            sum((one.T * weight).sum() for one, weight in zip(after, weights, strict=True)), wanted
        )

    for mine, other in zip(gradients(cell(x, state)[1]), gradients(cell.reference(x, state)[1]), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("output", [False, True])
def test_gradients_are_summed_some_steps_at_a_time(output: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    cell, x, state = case(partial(TensorTrainLSTM.make, train=TrainShape(2, 3, 3, output)), 3, 11, 3, 4)
    whole = torch.autograd.grad(cell(x, state)[0].square().sum(), list(cell.parameters()))
    monkeypatch.setattr(recurrence, "AT_ONCE", 3 * 8 * 3 * 2)
    for mine, other in zip(
        torch.autograd.grad(cell(x, state)[0].square().sum(), list(cell.parameters())), whole, strict=True
    ):
        torch.testing.assert_close(mine, other)


def test_the_tensor_train_of_order_1_with_1_lag_is_an_lstm() -> None:
    """The cells' gates stand in the orders i, j, f, o and i, f, j, o; both forget gates are biased by 1."""
    torch.manual_seed(0)
    lstm, tt, x = LSTM(3, 4), TensorTrainLSTM(3, 4, TrainShape(1, 1, 5)), torch.randn(2, 6, 3)
    swap = torch.arange(16).reshape(4, 4)[[0, 2, 1, 3]].flatten()
    forget = torch.cat([torch.zeros(8), torch.ones(4), torch.zeros(4)])
    with torch.no_grad():
        input_weight, hidden_weight, input_bias, hidden_bias = lstm.lstm.parameters()
        tt.input.weight.copy_(input_weight[swap])
        tt.input.bias.copy_((input_bias + hidden_bias)[swap] - forget)
        core = next(iter(tt.cores.parameters()))
        core[0, :-1] = hidden_weight[swap].T
        core[0, -1] = 0
    torch.testing.assert_close(tt(x, tt.initial(x))[0], lstm(x, lstm.initial(x))[0])


def test_lags_shift_newest_first() -> None:
    torch.manual_seed(0)
    cell, x = TensorTrainLSTM(2, 3, TrainShape(3, 2, 2)), torch.randn(4, 5, 2)
    h, (lags, _) = cell(x, cell.initial(x))
    torch.testing.assert_close(lags, torch.cat([h[:, -1], h[:, -2], h[:, -3]], 1))


def test_the_first_weights_make_a_linear_recurrence_with_small_higher_terms() -> None:
    torch.manual_seed(0)
    cell, x = TensorTrainLSTM(2, 8, TrainShape(2, 3, 4)), torch.randn(16, 5, 2)
    _h, (lags, _c) = cell(x, cell.initial(x))
    weight = torch.tensordot(torch.tensordot(cell.cores[0], cell.cores[1], 1), cell.cores[2], 1)[0]
    s = torch.cat([lags, torch.ones(16, 1)], 1)
    linear = s @ weight[-1, -1]
    whole = torch.einsum("abcg,na,nb,nc->ng", weight, s, s, s)
    assert (whole - linear).norm() < 0.3 * linear.norm()


def in_place(_: object, left: torch.Size, right: torch.Size, **__: object) -> int:
    """Of addmm_, which torch's counter does not know."""
    return 2 * left[0] * left[1] * right[1]


def flops(cell: Cell, forward: bool) -> int:
    x = torch.randn(2, 3, 4)
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: in_place}) as counter:
        (cell if forward else cell.reference)(x, cell.initial(x))
    total: int = counter.get_total_flops()
    return total


def test_the_work_grows_linearly_with_the_order() -> None:
    work = [flops(TensorTrainLSTM(4, 5, TrainShape(2, order, 3)), True) for order in range(2, 9)]
    steps = {after - before for before, after in itertools.pairwise(work)}
    batch, time, state, rank = 2, 3, 11, 3
    assert steps == {2 * batch * time * rank * state * rank}


def test_the_reference_does_form_the_outer_product() -> None:
    state = 11
    for order in (2, 3, 4):
        assert flops(TensorTrainLSTM(4, 5, TrainShape(2, order, 3)), False) > 2 * 2 * 3 * state**order * 20


@pytest.mark.parametrize("cell", ["tt-lstm", "mlstm", "tt-rnn"])
def test_a_state_stays_in_float32_where_products_are_in_bfloat16(cell: str) -> None:
    torch.manual_seed(0)
    made, x = CELLS[cell].make(4, 5, TrainShape(2, 2, 3)), torch.randn(3, 6, 4)
    exact, _ = made(x, made.initial(x))
    with torch.autocast("cpu", torch.bfloat16):
        rounded, state = made(x, made.initial(x))
    torch.autograd.backward(rounded.sum())
    assert rounded.dtype == torch.float32 and {part.dtype for part in state} == {torch.float32}
    torch.testing.assert_close(rounded, exact, atol=0.02, rtol=0.02)
    assert not torch.equal(rounded, exact)
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in made.parameters())
