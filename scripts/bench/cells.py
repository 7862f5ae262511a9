"""Recurrent cells, forward and backward: against their reference forms and the floor of their own products."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import torch

from polyadic.forecasting.cells import CELLS, Cell
from scripts.bench.measure import OURS, Case, in_turn, seconds

BATCH, STEPS, INPUTS, HIDDEN = 64, 120, 16, 64
LAGS, ORDER, RANK = 3, 2, 4
ORDERS, REPEATS = (2, 3, 4, 5), 5
PRODUCTS, OUTER, CONTRACTED = "its products alone", "the reference, with the outer product", "contraction at every step"
UNIT = "seconds forward and backward"


def run() -> Iterator[Case]:
    """Seconds for a batch of sequences and the gradients of all weights."""
    torch.manual_seed(0)
    yield _tensor_train().reported()
    yield _compressed().reported()
    yield _orders().reported()


def _tensor_train() -> Case:
    cell = _cell("tt-lstm")
    figures = in_turn({OURS: partial(_seconds, cell), PRODUCTS: _products}, rounds=9)
    figures |= in_turn({OUTER: partial(_seconds, cell, reference=True)}, rounds=1)
    return Case(
        key="tt_lstm",
        title=f"tt-lstm, {HIDDEN} units, {LAGS} lags, order {ORDER}, rank {RANK}, batch {BATCH}, {STEPS} steps",
        figures=figures,
        targets={PRODUCTS: 1 / 1.5, OUTER: 15.0},
        roles={PRODUCTS: "floor"},
        unit=UNIT,
    )


def _compressed() -> Case:
    cell = _cell("tt-compressed-lstm")
    return Case(
        key="tt_compressed_lstm",
        title=f"tt-compressed-lstm, {HIDDEN} units, order {ORDER}, rank {RANK}, batch {BATCH}, {STEPS} steps",
        figures=in_turn({OURS: partial(_seconds, cell), CONTRACTED: partial(_seconds, cell, reference=True)}),
        targets={CONTRACTED: 7.0},
        unit=UNIT,
    )


def _orders() -> Case:
    cells = {order: _cell("tt-lstm", order) for order in ORDERS}
    times = in_turn({f"order {order}": partial(_seconds, cell) for order, cell in cells.items()}, rounds=9)
    values = list(times.values())
    steps = ", ".join(f"{1e3 * (after - before):.1f} ms" for before, after in itertools.pairwise(values))
    facts = {"for each order more": steps}
    return Case(key="orders", title="tt-lstm by its order", figures=times, unit=UNIT, facts=facts, ours="order 2")


def _cell(name: str, order: int = ORDER) -> Cell:
    """An untrained cell with those of the options that it has."""
    kind = CELLS[name]
    options = {"tt_lags": LAGS, "tt_order": order, "tt_rank": RANK}
    known = {option: value for option, value in options.items() if option in kind.options.model_fields}
    return kind.make(INPUTS, HIDDEN, kind.options.model_validate(known))


def _seconds(cell: Cell, *, reference: bool = False) -> float:
    x = torch.randn(BATCH, STEPS, INPUTS)

    def work() -> None:
        h_BTH, _ = (cell.reference if reference else cell)(x, cell.initial(x))
        torch.autograd.grad(h_BTH.sum(), list(cell.parameters()))

    return _steadily(work)


def _products() -> float:
    """A step's products forward and back, and the weights' gradients of all steps, as plain matrix products."""
    state, gates = RANK * (HIDDEN * LAGS + 1), 4 * HIDDEN
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
    """Seconds per call over several calls in a row: the first of them wakes the threads."""
    return seconds(lambda: [work() for _ in range(REPEATS)]) / REPEATS
