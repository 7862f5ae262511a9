"""A rank's share of a tensor as the tensor-train solvers take it: observed entries, look-ups, and the true error."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from polyadic.decomposition.train.svd import square
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.dense import Slab, longest
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.tensor_train import TensorTrain, residual


def observed(data: Slab | SparseTensor, world: World) -> SparseTensor:
    """This rank's part of the entries that are known: those of a slab that are not NaN, or the nonzeros, summed."""
    if isinstance(data, SparseTensor):
        return summed(data, world)
    seen = ~data.local.isnan()
    indices = seen.nonzero().T.int()
    indices[data.mode] += data.start
    return SparseTensor(indices, data.local[seen], data.shape)


def summed(data: SparseTensor, world: World) -> SparseTensor:
    """The nonzeros by rows of the longest mode, each rank some rows; those of one place are summed to one."""
    mode = longest(data.shape)
    owner = data.indices[mode].long() * world.size // data.shape[mode]
    order, counts = torch.argsort(owner, stable=True), torch.bincount(owner, minlength=world.size).tolist()
    indices = world.exchange(data.indices.T[order].contiguous(), counts).T
    return SparseTensor(indices, world.exchange(data.values[order], counts), data.shape).coalesce()[0]


def lookup(data: Slab | SparseTensor, world: World) -> Callable[[Tensor], Tensor]:
    """The function that all ranks call together for the entries at B indices (B x N), wherever these lie.

    Of nonzeros as `summed` leaves them. UserError for more places than 64 bits count.
    """
    look = _in_slab(data) if isinstance(data, Slab) else _in_nonzeros(data)
    return lambda index: world.sum_(look(index))


def landmarks(data: SparseTensor, count: int, world: World) -> tuple[Tensor, Tensor]:
    """Nonzeros that do not depend on the number of ranks: the few largest, and `count` at random: K x N, L x N."""
    # An odd number times the place, as 64 bits hold it, scatters the places.
    scattered = _places(data.indices, data.shape) * 0x1E3779B97F4A7C15
    return _lowest(data, -data.values.abs(), 8, world), _lowest(data, scattered, count, world)


def true_error(train: TensorTrain, data: Slab | SparseTensor, world: World) -> float:
    """|X - Y| / |X| over all entries, zeros too: by reconstruction of a slab, by <X, Y> at the nonzeros otherwise."""
    if isinstance(data, Slab):
        norm, left_out = square(data.local), residual(data, train.cores)
    else:
        wide = TensorTrain([core.double() for core in train.cores])
        product = data.values.double() @ wide.at(data.indices.T.long())
        norm, left_out = square(data.values), square(data.values) - 2 * product
    norm, left_out = world.sum_(torch.stack([norm, left_out])).tolist()
    if isinstance(data, SparseTensor):
        left_out = max(0.0, left_out + train.inner(train))
    return world.from_first(math.sqrt(left_out / norm))


def _in_slab(data: Slab) -> Callable[[Tensor], Tensor]:
    def look(index: Tensor) -> Tensor:
        row = index[:, data.mode] - data.start
        mine = (row >= 0) & (row < data.local.shape[data.mode])
        place = index[mine].T.clone()
        place[data.mode] -= data.start
        values = data.local.new_zeros(len(index))
        values[mine] = data.local[tuple(place)]
        return values

    return look


def _in_nonzeros(data: SparseTensor) -> Callable[[Tensor], Tensor]:
    known, order = _places(data.indices, data.shape).sort()
    values = torch.cat([data.values[order], data.values.new_zeros(1)])
    known = torch.cat([known, known.new_tensor([2**63 - 1])])

    def look(index: Tensor) -> Tensor:
        wanted = _places(index.T, data.shape)
        near = torch.searchsorted(known, wanted)
        return torch.where(known[near] == wanted, values[near], 0)

    return look


def _places(indices: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The place of each index (N x M) in the order of all entries: M."""
    if math.prod(shape) >= 2**63 - 1:
        raise UserError(f"the tensor has {math.prod(shape)} entries: cross counts up to 2^63. Leave out a mode or rows")
    place = torch.zeros_like(indices[0], dtype=torch.int64)
    for rows, row in zip(shape, indices, strict=True):
        place = place * rows + row
    return place


def _lowest(data: SparseTensor, score: Tensor, count: int, world: World) -> Tensor:
    """The indices (K x N) of the nonzeros of the lowest scores over all ranks, of equals the first in place."""
    mine = torch.argsort(score, stable=True)[:count]
    scores, index = world.gather_rows(score[mine]), world.gather_rows(data.indices.T[mine].contiguous())
    order = torch.argsort(_places(index.T, data.shape))
    order = order[torch.argsort(scores[order], stable=True)][:count]
    return index[order].long().cpu()
