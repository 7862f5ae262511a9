"""Sparse tensors as coordinates and values, and operations in their plain forms.

Shapes: order N, M nonzeros; indices are N x M, one column per nonzero, and count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import polyadic.tensor.arguments as arguments
from polyadic.errors import UserError

MOST_ROWS = 2**31 - 1
"""Rows of a mode that indices of 32 bits can count."""
MOST_DENSE_ENTRIES = 2**31
"""Entries of a dense result beyond which a product is refused."""


@dataclass(frozen=True, eq=False, repr=False)
class SparseTensor:
    """The nonzeros of a tensor of `shape`, or a rank's part of them: indices (N x M, int32) and values (M).

    Several nonzeros may have the same indices; they stand for their sum. Arrays and lists of any real type are taken.
    Raises UserError for indices of another shape, outside `shape` or not whole, and for a mode of 2^31 rows or more.
    """

    indices: Tensor
    values: Tensor
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        shape, values = arguments.shape_of(self.shape), arguments.dense(self.values, "values")
        indices = self.indices
        if not isinstance(indices, Tensor) or indices.dtype != torch.int32:
            indices = arguments.whole_numbers(indices, "indices")
        for name, value in (("shape", shape), ("values", values), ("indices", indices)):
            object.__setattr__(self, name, value)
        if self.indices.shape != (len(self.shape), len(self.values)):
            raise UserError(
                f"indices are {tuple(self.indices.shape)}: for {len(self.values)} values of a tensor of order "
                f"{len(self.shape)} they must be {(len(self.shape), len(self.values))}, one column for each value"
            )
        if max(self.shape, default=0) > MOST_ROWS:
            raise UserError(f"a mode has {max(self.shape)} rows: {MOST_ROWS} at most are taken")
        for mode, row in enumerate(self.indices):
            if len(row) and not 0 <= int(row.min()) <= int(row.max()) < self.shape[mode]:
                raise UserError(
                    f"mode {mode} has indices from {int(row.min())} to {int(row.max())}: "
                    f"they must be from 0 to {self.shape[mode] - 1}"
                )
        object.__setattr__(self, "indices", self.indices.to(torch.int32))

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.shape))
        return f"<SparseTensor {shape}, {len(self.values):,} nonzeros, {str(self.values.dtype).removeprefix('torch.')}>"

    @staticmethod
    def of(tensor: Any) -> SparseTensor:
        """The nonzeros of a dense tensor (I_1 x ... x I_N), or of one in torch's or scipy's sparse layouts."""
        if hasattr(tensor, "tocoo"):
            coordinates = tensor.tocoo()
            index = torch.from_numpy(np.stack([coordinates.row, coordinates.col]))
            return SparseTensor(index, arguments.dense(coordinates.data), coordinates.shape)
        if isinstance(tensor, Tensor) and tensor.layout != torch.strided:
            coordinates = tensor.to_sparse().coalesce()
            return SparseTensor(coordinates.indices(), coordinates.values(), tuple(tensor.shape))
        tensor = arguments.dense(tensor)
        indices = tensor.nonzero().T
        return SparseTensor(indices.to(torch.int32), tensor[tuple(indices)], tuple(tensor.shape))

    def to_dense(self) -> Tensor:
        """The tensor with its zeros, I_1 x ... x I_N; nonzeros of the same indices are summed."""
        dense = self.values.new_zeros(self.shape)
        return dense.index_put_(tuple(self.indices.long()), self.values, accumulate=True)

    def to(self, target: torch.dtype | torch.device) -> SparseTensor:
        """The same nonzeros with values of another type, or on another device."""
        indices = self.indices if isinstance(target, torch.dtype) else self.indices.to(target)
        return SparseTensor(indices, self.values.to(target), self.shape)

    def coalesce(self) -> tuple[SparseTensor, int]:
        """The nonzeros sorted by their indices, those of the same indices summed, and how many fewer these are."""
        order = sorting(self.indices, range(len(self.shape)))
        indices, values = self.indices[:, order], self.values[order]
        first = starts(indices)
        if bool(first.all()):
            return SparseTensor(indices, values, self.shape), 0
        place = first.nonzero().flatten()
        # Sums in a fixed order on a GPU too, where index_add_ would not.
        summed = torch.segment_reduce(values, "sum", offsets=torch.cat([place, place.new_tensor([len(values)])]))
        return SparseTensor(indices[:, first], summed, self.shape), len(values) - len(summed)


def tensor_of(value: Any, name: str = "tensor") -> Tensor | SparseTensor:
    """A sparse tensor, also from torch's or scipy's sparse layouts, or a dense one as `arguments.dense` takes it."""
    laid_out = isinstance(value, Tensor) and value.layout != torch.strided
    if isinstance(value, SparseTensor) or laid_out or hasattr(value, "tocoo"):
        return value if isinstance(value, SparseTensor) else SparseTensor.of(value)
    return arguments.dense(value, name)


def constant(tensor: Tensor | SparseTensor) -> Tensor | SparseTensor:
    """A dense or sparse tensor without the gradient that torch may keep of it: a fit to it has none."""
    if isinstance(tensor, SparseTensor):
        return replace(tensor, values=tensor.values.detach()) if tensor.values.requires_grad else tensor
    return tensor.detach()


def sorting(indices: Tensor, modes: Sequence[int]) -> Tensor:
    """The stable order that sorts nonzeros (N x M) by the given modes, the first of them slowest: M, int64."""
    order = None
    for mode in reversed(list(modes)):
        keys = indices[mode] if order is None else indices[mode][order]
        ranked = torch.sort(keys, stable=True).indices
        order = ranked if order is None else order[ranked]
    return order if order is not None else torch.arange(indices.shape[1], device=indices.device)


def starts(indices: Tensor) -> Tensor:
    """Whether each nonzero of sorted indices (N x M) differs from the nonzero before it: M, bool."""
    first = torch.ones(indices.shape[1], dtype=torch.bool, device=indices.device)
    if indices.shape[1]:
        first[1:] = (indices[:, 1:] != indices[:, :-1]).any(0)
    return first


def unfold(tensor: SparseTensor, mode: int) -> Tensor:
    """The unfolding X_(mode) as a sparse matrix of torch: I_mode x (the product of the other modes' rows).

    Columns are in the order of `dense.unfold`. Raises UserError where there are 2^63 of them or more.
    """
    others = [m for m in range(len(tensor.shape)) if m != mode]
    columns = math.prod(tensor.shape[m] for m in others)
    if columns >= 2**63:
        raise UserError(f"the unfolding along mode {mode} has {columns} columns: 2^63 - 1 at most can be counted")
    column = torch.zeros_like(tensor.indices[0], dtype=torch.int64)
    for m in others:
        column = column * tensor.shape[m] + tensor.indices[m]
    place = torch.stack([tensor.indices[mode].long(), column])
    size = (tensor.shape[mode], columns)
    return torch.sparse_coo_tensor(place, tensor.values, size, check_invariants=False)


def mttkrp(tensor: SparseTensor, factors: Sequence[Tensor], mode: int) -> Tensor:
    """The matricised tensor times Khatri-Rao product, X_(mode) (⊙_{m≠mode} A^(m)), for factors I_m x R: I_mode x R.

    The plain form, with M x R numbers in memory; tree_products.py has the fast one, which is tested against it.
    """
    rank = factors[0].shape[1]
    rows = tensor.values[:, None].expand(-1, rank)
    for m, factor in enumerate(factors):
        if m != mode:
            rows = rows * factor[tensor.indices[m].long()]
    return rows.new_zeros(tensor.shape[mode], rank).index_add_(0, tensor.indices[mode].long(), rows)


def mode_product(tensor: SparseTensor, operand: Tensor, mode: int) -> SparseTensor | Tensor:
    """The product X ×_mode U with a vector (I_mode) or a matrix (J x I_mode).

    A vector takes the mode away and gives a sparse tensor; a matrix leaves J rows in its place and gives a dense one.
    Raises UserError where a dense result would have more than 2^31 entries.
    """
    if operand.ndim == 1:
        values = tensor.values * operand[tensor.indices[mode].long()]
        rest = [m for m in range(len(tensor.shape)) if m != mode]
        return SparseTensor(tensor.indices[rest], values, tuple(tensor.shape[m] for m in rest)).coalesce()[0]
    shape = [len(operand) if m == mode else rows for m, rows in enumerate(tensor.shape)]
    if math.prod(shape) > MOST_DENSE_ENTRIES:
        raise UserError(f"the product along mode {mode} is dense, {shape}: contract a mode with a vector instead")
    rest = [m for m in range(len(tensor.shape)) if m != mode]
    places = torch.zeros_like(tensor.indices[0], dtype=torch.int64)
    for m in rest:
        places = places * tensor.shape[m] + tensor.indices[m]
    rows = tensor.values[:, None] * operand.T[tensor.indices[mode].long()]
    flat = rows.new_zeros(math.prod(tensor.shape[m] for m in rest), len(operand)).index_add_(0, places, rows)
    return flat.reshape([*(tensor.shape[m] for m in rest), len(operand)]).movedim(-1, mode)
