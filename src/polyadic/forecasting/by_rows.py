"""A cell over a batch by several threads, each with rows of its own: they meet once a sequence, not at every step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from polyadic.forecasting.cells import Cell, State
from polyadic.tensor.kernels.threads import side_by_side

FEWEST_ROWS = 16
"""Of a thread."""
FEWEST_NUMBERS = 2**14
"""In the inputs of a thread: with fewer, waking it takes longer than it saves."""


def run(cell: Cell, x_BTF: Tensor, state: State) -> tuple[Tensor, State]:
    """cell(x, state), on as many threads as torch may use here where the batch is large enough, on a CPU."""
    parts = min(torch.get_num_threads(), len(x_BTF) // FEWEST_ROWS, x_BTF.numel() // FEWEST_NUMBERS)
    if parts < 2 or x_BTF.device.type != "cpu":
        found: tuple[Tensor, State] = cell(x_BTF, state)
        return found
    learning = torch.is_grad_enabled()
    h_BTH, *after = _ByRows.apply(cell, parts, learning, x_BTF, len(state), *state, *cell.parameters())  # type: ignore[no-untyped-call]
    return h_BTH, tuple(after)


class _ByRows(torch.autograd.Function):
    """Each part keeps its own graph, and goes back through it on its own thread."""

    @staticmethod
    def forward(
        ctx: Any, cell: Cell, parts: int, learning: bool, x_BTF: Tensor, states: int, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        rows = [one.tensor_split(parts) for one in (x_BTF, *rest[:states])]

        def work(part: int) -> tuple[list[Tensor], tuple[Tensor, ...]]:
            with torch.set_grad_enabled(learning):
                given = [one[part].detach().requires_grad_(learning) for one in rows]
                h_BTH, after = cell(given[0], tuple(given[1:]))
                return given, (h_BTH, *after)

        done = side_by_side(work, parts)
        ctx.done, ctx.weights = done, rest[states:]
        return tuple(
            torch.cat([one.detach() for one in column]) for column in zip(*(out for _, out in done), strict=True)
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        done, weights = ctx.done, ctx.weights
        ctx.done = None
        rows = [one.tensor_split(len(done)) for one in gradients]

        def work(part: int) -> tuple[Tensor, ...]:
            given, out = done[part]
            return torch.autograd.grad(out, [*given, *weights], [one[part] for one in rows])

        columns = list(zip(*side_by_side(work, len(done)), strict=True))
        count = len(done[0][0])
        of_rows = [torch.cat(column) for column in columns[:count]]
        of_weights = [torch.stack(column).sum(0) for column in columns[count:]]
        return None, None, None, of_rows[0], None, *of_rows[1:], *of_weights
