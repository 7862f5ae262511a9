"""Recurrent cells, forward and backward: against their reference forms and the floor of their own products."""

from __future__ import annotations

from collections.abc import Callable

import torch

from polyadic.forecasting.cells import Cell, CompressedLSTM, TensorTrainLSTM, TrainShape
from scripts.bench.measure import OURS, Case, in_turn, seconds

BATCH, STEPS, INPUTS, HIDDEN = 64, 120, 16, 64
SHAPE = TrainShape(lags=3, order=2, rank=4)
ORDERS, REPEATS = (2, 3, 4, 5), 5


def run() -> None:
    """Seconds for a batch of sequences and the gradients of all weights."""
    torch.manual_seed(0)
    cell, unit = TensorTrainLSTM(INPUTS, HIDDEN, SHAPE), "seconds forward and backward"
    figures = in_turn({OURS: lambda: _once(cell), "its products alone": _products}, rounds=9)
    figures |= in_turn({"the reference, with the outer product": lambda: _once(cell, reference=True)}, rounds=1)
    targets = {"its products alone": 1 / 1.5, "the reference, with the outer product": 15.0}
    Case("tt-lstm, H 64, L 3, P 2, rank 4, batch 64, 120 steps", figures, targets, unit).report()

    compressed = CompressedLSTM(INPUTS, HIDDEN, SHAPE)
    figures = in_turn(
        {OURS: lambda: _once(compressed), "contraction at every step": lambda: _once(compressed, reference=True)}
    )
    targets = {"contraction at every step": 7.0}
    Case("tt-compressed-lstm, H 64, P 2, rank 4, batch 64, 120 steps", figures, targets, unit).report()

    deep = {order: TensorTrainLSTM(INPUTS, HIDDEN, TrainShape(3, order, 4)) for order in ORDERS}
    times = in_turn({f"order {order}": lambda one=one: _once(one) for order, one in deep.items()}, rounds=9)  # type: ignore[misc]
    steps = [times[f"order {order + 1}"] - times[f"order {order}"] for order in ORDERS[:-1]]
    more = {"each order more": ", ".join(f"{1e3 * step:.1f} ms" for step in steps)}
    Case("tt-lstm by its order", {OURS: times[f"order {ORDERS[0]}"], **times}, {}, unit, more).report()


def _once(cell: Cell, *, reference: bool = False) -> float:
    x = torch.randn(BATCH, STEPS, INPUTS)

    def work() -> None:
        h_BTH, _ = (cell.reference if reference else cell)(x, cell.initial(x))
        torch.autograd.grad(h_BTH.sum(), list(cell.parameters()))

    return _steadily(work)


def _products() -> float:
    """A step's products forward and back, and the weights' gradients of all steps, as plain matrix products."""
    state, gates = SHAPE.rank * (HIDDEN * SHAPE.lags + 1), 4 * HIDDEN
    forward, weight = torch.randn(BATCH, state), torch.randn(state, gates)
    back, turned = torch.randn(BATCH, gates), torch.randn(gates, state)
    all_forward, all_back = torch.randn(BATCH * STEPS, state), torch.randn(BATCH * STEPS, gates)

    def work() -> None:
        for _ in range(STEPS):
            torch.mm(forward, weight)
            torch.mm(back, turned)
        torch.mm(all_forward.T, all_back)

    return _steadily(work)


def _steadily(work: Callable[[], object]) -> float:
    """Seconds of one of some calls in a row: the first of them wakes the threads."""
    return seconds(lambda: [work() for _ in range(REPEATS)]) / REPEATS
