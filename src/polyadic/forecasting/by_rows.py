"""A cell run by several threads, each on rows of its own: the threads meet once per sequence, not at every step.

Shapes: B batch, T time, F inputs, H hidden.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from polyadic.forecasting.cells import Cell, State
from polyadic.tensor.kernels.threads import side_by_side

FEWEST_ROWS = 16
"""The fewest rows of a thread."""
FEWEST_NUMBERS = 2**14
"""The fewest numbers in the inputs of a thread: to wake a thread for less takes longer than it saves."""


def run(cell: Cell, x_BTF: Tensor, state: State) -> tuple[Tensor, State]:
    """cell(x, state): h (B x T x H) and the state after the last step.

    On a CPU, a batch that is large enough is divided among as many threads as torch may use.
    """
    parts = min(torch.get_num_threads(), len(x_BTF) // FEWEST_ROWS, x_BTF.numel() // FEWEST_NUMBERS)
    if parts < 2 or x_BTF.device.type != "cpu":
        whole: tuple[Tensor, State] = cell(x_BTF, state)
        return whole
    learning = torch.is_grad_enabled()
    h_BTH, *after = _ByRows.apply(cell, parts, learning, x_BTF, len(state), *state, *cell.parameters())  # type: ignore[no-untyped-call]
    return h_BTH, tuple(after)


class _ByRows(torch.autograd.Function):
    """Each part of the rows has an autograd graph of its own, through which its thread goes back."""

    @staticmethod
    def forward(
        ctx: Any, cell: Cell, parts: int, learning: bool, x_BTF: Tensor, num_states: int, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        rows = [tensor.tensor_split(parts) for tensor in (x_BTF, *rest[:num_states])]

        def work(part: int) -> tuple[list[Tensor], tuple[Tensor, ...]]:
            with torch.set_grad_enabled(learning):
                inputs = [split[part].detach().requires_grad_(learning) for split in rows]
                h_BTH, after = cell(inputs[0], tuple(inputs[1:]))
                return inputs, (h_BTH, *after)

        parts_done = side_by_side(work, parts)
        ctx.parts_done, ctx.weights = parts_done, rest[num_states:]
        columns = zip(*(outputs for _, outputs in parts_done), strict=True)
        return tuple(torch.cat([output.detach() for output in column]) for column in columns)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        parts_done, weights = ctx.parts_done, ctx.weights
        ctx.parts_done = None
        rows = [gradient.tensor_split(len(parts_done)) for gradient in gradients]

        def work(part: int) -> tuple[Tensor, ...]:
            inputs, outputs = parts_done[part]
            return torch.autograd.grad(outputs, [*inputs, *weights], [split[part] for split in rows])

        columns = list(zip(*side_by_side(work, len(parts_done)), strict=True))
        num_inputs = len(parts_done[0][0])
        of_inputs = [torch.cat(column) for column in columns[:num_inputs]]
        of_weights = [torch.stack(column).sum(0) for column in columns[num_inputs:]]
        return None, None, None, of_inputs[0], None, *of_inputs[1:], *of_weights
