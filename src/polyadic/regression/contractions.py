"""Samples contracted with the columns of components, over their last modes or over their first.

Shapes: B samples, S of R (each component sees numbers of its own) or 1 (all see the same), L rows of the first modes,
K of the last.
"""

from __future__ import annotations

import torch
from torch import Tensor

from polyadic.tensor import kernels
from polyadic.tensor.kernels.threads import even, in_parallel
from polyadic.tensor.skinny import PANEL_COLUMNS, gram_of_columns

MOST_KERNEL_COMPONENTS = 24
"""Components beyond which torch's matrix product is as fast as our kernels."""
LEAST_PART_NUMBERS = 2**16
"""Numbers that a thread must read for its start to be worth it."""


def without_right(grid_BSLK: Tensor, columns_KR: Tensor) -> Tensor:
    """Σ_k x[b, s, l, k] u[k, r]: B x R x L."""
    if _by_kernel(grid_BSLK, columns_KR):
        return _run("without_right", grid_BSLK, columns_KR, grid_BSLK.shape[2])
    if grid_BSLK.shape[1] == 1:
        return (grid_BSLK[:, 0] @ columns_KR).transpose(1, 2)
    return torch.einsum("brlk,kr->brl", grid_BSLK, columns_KR)


def without_left(grid_BSLK: Tensor, columns_LR: Tensor) -> Tensor:
    """Σ_l x[b, s, l, k] u[l, r]: B x R x K."""
    if _by_kernel(grid_BSLK, columns_LR):
        return _run("without_left", grid_BSLK, columns_LR, grid_BSLK.shape[3])
    if grid_BSLK.shape[1] == 1:
        return torch.matmul(columns_LR.T, grid_BSLK[:, 0])
    return torch.einsum("brlk,lr->brk", grid_BSLK, columns_LR)


def gram(rows_BP: Tensor) -> Tensor:
    """The rows' products, X'X: P x P, float64."""
    if rows_BP.device.type == "cpu" and rows_BP.shape[1] >= PANEL_COLUMNS:
        return gram_of_columns(rows_BP.contiguous())
    return (rows_BP.T @ rows_BP).double()


def _by_kernel(grid: Tensor, columns: Tensor) -> bool:
    learns = torch.is_grad_enabled() and (grid.requires_grad or columns.requires_grad)
    on_cpu = grid.device.type == "cpu" and grid.dtype in (torch.float32, torch.float64) and grid.is_contiguous()
    return on_cpu and not learns and columns.shape[1] <= MOST_KERNEL_COMPONENTS


def _run(name: str, grid: Tensor, columns: Tensor, rows: int) -> Tensor:
    weights = columns.detach().T.contiguous()
    out = grid.new_empty(len(grid), len(weights), rows)
    smallest = -(-LEAST_PART_NUMBERS // max(1, grid[0].numel())) if len(grid) else 1
    arrays = (grid.detach().numpy(), weights.numpy(), out.numpy())
    in_parallel(getattr(kernels.components, name), even(len(grid), smallest), *arrays)
    return out
