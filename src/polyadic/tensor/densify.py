"""Sparse tensors made dense, for the decompositions that read every entry."""

from __future__ import annotations

import math

import torch

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.dense import Slab, longest, share
from polyadic.tensor.sparse import SparseTensor

MOST_ENTRIES = 2**27
"""Entries, zeros among them, up to which a sparse tensor is made dense."""


def densify(data: Slab | SparseTensor, world: World, *, wanted_by: str) -> Slab:
    """This rank's slab of a tensor: a Slab as it is, a SparseTensor with its zeros, cut along its longest mode.

    data: this rank's part of the tensor, of the nonzeros any part; wanted_by: the algorithm that reads every entry,
    which the error message names. Nonzeros of the same indices are summed. A collective of all ranks.
    Raises UserError for a sparse tensor of more than 2^27 entries.
    """
    if isinstance(data, Slab):
        return data
    entries = math.prod(data.shape)
    if entries > MOST_ENTRIES:
        size = " x ".join(map(str, data.shape))
        raise UserError(
            f"the sparse tensor, {size}, has {entries:,} entries with its zeros: {wanted_by} makes it dense, which is "
            f"done up to {MOST_ENTRIES:,}. Leave out rows or modes, or use algorithm=cp, which takes sparse tensors of "
            "any size"
        )
    mode = longest(data.shape)
    shares = [share(data.shape[mode], rank, world.size) for rank in range(world.size)]
    first, last = shares[world.rank]
    own = _to_their_ranks(data, world, mode, [end for _, end in shares])
    shape = [last - first if n == mode else rows for n, rows in enumerate(data.shape)]
    index = list(own.indices.long())
    index[mode] = index[mode] - first
    local = own.values.new_zeros(shape).index_put_(tuple(index), own.values, accumulate=True)
    return Slab(local, data.shape, mode, first)


def _to_their_ranks(data: SparseTensor, world: World, mode: int, ends: list[int]) -> SparseTensor:
    """The nonzeros of this rank's rows of a mode, from all ranks; ends: where the rows of each rank end."""
    ranks = torch.bucketize(data.indices[mode].long(), torch.tensor(ends, device=data.indices.device), right=True)
    order = torch.argsort(ranks, stable=True)
    counts = torch.bincount(ranks, minlength=world.size).tolist()
    indices = world.exchange(data.indices.T[order].contiguous(), counts).T
    return SparseTensor(indices, world.exchange(data.values[order], counts), data.shape)
