"""The tensor-train LSTM: what it has of an LSTM, its lags, its first weights, and its work."""

from __future__ import annotations

import itertools

import torch
from torch.utils.flop_counter import FlopCounterMode

from polyadic.forecasting.cells import Cell
from polyadic.forecasting.cells._options import TensorTrainOptions
from polyadic.forecasting.cells.lstm import LSTM
from polyadic.forecasting.cells.tt_lstm import TensorTrainLSTM


def made(inputs: int, hidden: int, lags: int, order: int, rank: int) -> TensorTrainLSTM:
    return TensorTrainLSTM(inputs, hidden, TensorTrainOptions(tt_lags=lags, tt_order=order, tt_rank=rank))


def test_the_tensor_train_of_order_1_with_1_lag_is_an_lstm() -> None:
    """The gates of the cells are in the orders i, j, f, o and i, f, j, o; both forget gates have a bias of 1."""
    torch.manual_seed(0)
    lstm, tt, x = LSTM(3, 4), made(3, 4, 1, 1, 5), torch.randn(2, 6, 3)
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
    cell, x = made(2, 3, 3, 2, 2), torch.randn(4, 5, 2)
    h, (lags, _) = cell(x, cell.initial(x))
    torch.testing.assert_close(lags, torch.cat([h[:, -1], h[:, -2], h[:, -3]], 1))


def test_the_first_weights_make_a_linear_recurrence_with_small_higher_terms() -> None:
    torch.manual_seed(0)
    cell, x = made(2, 8, 2, 3, 4), torch.randn(16, 5, 2)
    _h, (lags, _c) = cell(x, cell.initial(x))
    weight = torch.tensordot(torch.tensordot(cell.cores[0], cell.cores[1], 1), cell.cores[2], 1)[0]
    s = torch.cat([lags, torch.ones(16, 1)], 1)
    linear = s @ weight[-1, -1]
    whole = torch.einsum("abcg,na,nb,nc->ng", weight, s, s, s)
    assert (whole - linear).norm() < 0.3 * linear.norm()


def test_a_long_train_of_a_high_rank_equals_its_reference() -> None:
    torch.manual_seed(0)
    cell, x = made(3, 4, 2, 5, 7).double(), torch.randn(3, 6, 3).double()
    torch.testing.assert_close(cell(x, cell.initial(x))[0], cell.reference(x, cell.initial(x))[0], atol=1e-12, rtol=0)


def flops_of_addmm(_: object, left: torch.Size, right: torch.Size, **__: object) -> int:
    """Those of addmm_, which torch's counter does not know."""
    return 2 * left[0] * left[1] * right[1]


def flops(cell: Cell, forward: bool) -> int:
    x = torch.randn(2, 3, 4)
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: flops_of_addmm}) as counter:
        (cell if forward else cell.reference)(x, cell.initial(x))
    total: int = counter.get_total_flops()
    return total


def test_the_work_grows_linearly_with_the_order() -> None:
    work = [flops(made(4, 5, 2, order, 3), True) for order in range(2, 9)]
    steps = {after - before for before, after in itertools.pairwise(work)}
    batch, time, state, rank = 2, 3, 11, 3
    assert steps == {2 * batch * time * rank * state * rank}


def test_the_reference_does_form_the_outer_product() -> None:
    state = 11
    for order in (2, 3, 4):
        assert flops(made(4, 5, 2, order, 3), False) > 2 * 2 * 3 * state**order * 20
