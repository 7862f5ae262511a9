"""The entries of a tensor that is divided over ranks: which are observed, single ones by their index, and the error.

Shapes: a tensor of N modes; M nonzeros of a rank; B indices that are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from polyadic.decomposition.precision import sum_of_squares
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.dense import Slab, longest
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.tensor_train import TensorTrain
from polyadic.tensor.train_cores import residual

SCATTERING_FACTOR = 0x1E3779B97F4A7C15
"""An odd number: the places of entries times it, as 64 bits hold the product, are scattered."""
LARGEST_NONZEROS = 8
"""So many of the largest nonzeros begin a search."""
LARGEST_PLACE = 2**63 - 1


def observed_entries(data: Slab | SparseTensor, world: World) -> SparseTensor:
    """This rank's part of the entries that are known: those of a slab that are not NaN, or the merged nonzeros."""
    if isinstance(data, SparseTensor):
        return merged_nonzeros(data, world)
    seen = ~data.local.isnan()
    indices = seen.nonzero().T.int()
    indices[data.mode] += data.start
    return SparseTensor(indices, data.local[seen], data.shape)


def merged_nonzeros(data: SparseTensor, world: World) -> SparseTensor:
    """The nonzeros dealt out by rows of the longest mode, and those with the same index summed to one. A collective."""
    mode = longest(data.shape)
    owner = data.indices[mode].long() * world.size // data.shape[mode]
    order, counts = torch.argsort(owner, stable=True), torch.bincount(owner, minlength=world.size).tolist()
    indices = world.exchange(data.indices.T[order].contiguous(), counts).T
    return SparseTensor(indices, world.exchange(data.values[order], counts), data.shape).coalesce()[0]


def entry_lookup(data: Slab | SparseTensor, world: World) -> Callable[[Tensor], Tensor]:
    """The function of indices (B x N) that answers with the entries there (B), whichever rank holds them.

    All ranks call it together. data: this rank's slab, or its nonzeros as `merged_nonzeros` leaves them.

    Raises UserError for a sparse tensor of more entries than 63 bits count.
    """
    look_up = _in_slab(data) if isinstance(data, Slab) else _in_nonzeros(data)
    return lambda index: world.sum_(look_up(index))


def largest_and_random(data: SparseTensor, count: int, world: World) -> tuple[Tensor, Tensor]:
    """The indices of the few largest nonzeros (K x N) and of `count` random ones (L x N, L <= count).

    They are the same for any number of ranks. Raises UserError for more entries than 63 bits count.
    """
    scattered = _places(data.indices, data.shape) * SCATTERING_FACTOR
    return _lowest(data, -data.values.abs(), LARGEST_NONZEROS, world), _lowest(data, scattered, count, world)


def relative_error(train: TensorTrain, data: Slab | SparseTensor, world: World) -> float:
    """|X - Y| / |X| over all entries, zeros among them: the same number on every rank.

    By reconstruction of a slab; by |X|² + |Y|² - 2 <X, Y> with <X, Y> at the nonzeros of a sparse tensor.
    """
    if isinstance(data, Slab):
        norm, left_out = sum_of_squares(data.local), residual(data, train.cores)
    else:
        exact = TensorTrain([core.double() for core in train.cores])
        product = data.values.double() @ exact.at(data.indices.T.long())
        norm, left_out = sum_of_squares(data.values), sum_of_squares(data.values) - 2 * product
    norm, left_out = world.sum_(torch.stack([norm, left_out])).tolist()
    if isinstance(data, SparseTensor):
        left_out = max(0.0, left_out + train.inner(train))
    return world.from_first(math.sqrt(left_out / norm))


def _in_slab(data: Slab) -> Callable[[Tensor], Tensor]:
    def look_up(index: Tensor) -> Tensor:
        row = index[:, data.mode] - data.start
        mine = (row >= 0) & (row < data.local.shape[data.mode])
        place = index[mine].T.clone()
        place[data.mode] -= data.start
        values = data.local.new_zeros(len(index))
        values[mine] = data.local[tuple(place)]
        return values

    return look_up


def _in_nonzeros(data: SparseTensor) -> Callable[[Tensor], Tensor]:
    known, order = _places(data.indices, data.shape).sort()
    values = torch.cat([data.values[order], data.values.new_zeros(1)])
    known = torch.cat([known, known.new_tensor([LARGEST_PLACE])])

    def look_up(index: Tensor) -> Tensor:
        wanted = _places(index.T, data.shape)
        nearest = torch.searchsorted(known, wanted)
        return torch.where(known[nearest] == wanted, values[nearest], 0)

    return look_up


def _places(indices: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The place of each index (N x M) in the row-major order of all entries: M."""
    if math.prod(shape) >= LARGEST_PLACE:
        raise UserError(f"the tensor has {math.prod(shape)} entries: cross counts up to 2^63. Leave out a mode or rows")
    place = torch.zeros_like(indices[0], dtype=torch.int64)
    for rows, row in zip(shape, indices, strict=True):
        place = place * rows + row
    return place


def _lowest(data: SparseTensor, score: Tensor, count: int, world: World) -> Tensor:
    """The indices (K x N) of the nonzeros with the lowest scores over all ranks; among equals, the first in place."""
    mine = torch.argsort(score, stable=True)[:count]
    scores, index = world.gather_rows(score[mine]), world.gather_rows(data.indices.T[mine].contiguous())
    order = torch.argsort(_places(index.T, data.shape))
    order = order[torch.argsort(scores[order], stable=True)][:count]
    return index[order].long().cpu()
