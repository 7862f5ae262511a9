"""Which rows of each factor a rank holds and updates: for slabs of a dense tensor, for blocks of a sparse one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor.dense import Slab
from polyadic.tensor.sparse import SparseTensor

ROWS_UPDATED_EVERYWHERE = 2**14
"""Most rows of a mode of which every rank updates all, where every rank holds them: two collectives less per product,
for a little more work."""


@dataclass(frozen=True)
class Layer:
    """Rows [start, stop) of one mode's factor, which every rank of `world` holds and updates a part of.

    The ranks of a layer divide its rows among themselves, and the layers of a mode divide the mode's rows, so that one
    rank updates each row. With `everywhere`, the layer is the mode's only one, its world is all ranks, and each of them
    updates all rows.
    """

    start: int
    stop: int
    world: World
    everywhere: bool = False

    @staticmethod
    def of_all(rows: int, world: World) -> Layer:
        """The layer of a mode that is not divided: all rows, on all ranks."""
        return Layer(0, rows, world, everywhere=world.size > 1 and rows <= ROWS_UPDATED_EVERYWHERE)

    @property
    def held(self) -> slice:
        """The rows of the mode that this rank holds."""
        return slice(self.start, self.stop)

    @property
    def own(self) -> slice:
        """The held rows that this rank updates, counted from the first held row."""
        rows = self.stop - self.start
        if self.everywhere:
            return slice(0, rows)
        return slice(min(self.world.rank * self._chunk, rows), min((self.world.rank + 1) * self._chunk, rows))

    @property
    def _chunk(self) -> int:
        return max(1, math.ceil((self.stop - self.start) / self.world.size))

    def combine(self, held: Tensor) -> Tensor:
        """The sum over the layer's ranks of `held` (held rows x R): this rank's own rows of it (own rows x R)."""
        return self.world.sum_(held.contiguous()) if self.everywhere else self.world.sum_part(held, self._chunk)

    def spread(self, own: Tensor) -> Tensor:
        """The held rows (held rows x R), from the own rows (own rows x R) of every rank of the layer."""
        return own if self.everywhere else self.world.join_parts(own, self._chunk, self.stop - self.start)

    def total(self, of_own: Tensor, world: World) -> Tensor:
        """A sum over all rows of the mode, from the sum that each rank of the whole `world` has over its own rows.

        of_own: of any shape; it is changed in place.
        """
        return of_own if self.everywhere else world.sum_(of_own)


def whole_factor(layer: Layer, own: Tensor, world: World, rows: int) -> Tensor:
    """The whole factor (rows x R) on every rank, from the own rows (own rows x R) of each; a collective of `world`."""
    if layer.everywhere or world.size == 1:
        return own.clone()
    first = layer.start + layer.own.start
    parts = world.collect(torch.arange(first, first + len(own)))
    gathered = world.gather_rows(own)
    whole = own.new_empty(rows, *own.shape[1:])
    whole[torch.cat(parts).to(own.device)] = gathered
    return whole


def of_slab(slab: Slab, world: World) -> tuple[Layer, ...]:
    """The layers of a dense tensor's modes: each rank holds its own rows of the divided mode, and all of the others.

    A collective of all ranks.
    """
    alone = world.split(world.rank)
    divided = Layer(slab.rows.start, slab.rows.stop, alone)
    return tuple(divided if mode == slab.mode else Layer.of_all(rows, world) for mode, rows in enumerate(slab.shape))


def grid(shape: Sequence[int], ranks: int) -> tuple[int, ...]:
    """Into how many parts to cut each mode, so that there are as many blocks as ranks: N numbers.

    The prime factors of the number of ranks go, largest first, to the mode with the most rows per part: the
    medium-grained decomposition of Smith and Karypis, IPDPS 2016, section IV-C.
    """
    parts = [1] * len(shape)
    for prime in reversed(_primes(ranks)):
        mode = max(range(len(shape)), key=lambda n: shape[n] / parts[n])
        parts[mode] *= prime
    return tuple(parts)


def _primes(number: int) -> list[int]:
    """The prime factors of a number, rising."""
    primes, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            primes.append(divisor)
            number //= divisor
        divisor += 1
    return primes


def cuts(counts: Tensor, parts: int) -> list[int]:
    """The rows at which to cut a mode so that its parts have nearly as many nonzeros: parts + 1 numbers, 0 to I.

    counts (I): the nonzeros of each row.
    """
    total = counts.cumsum(0)
    targets = torch.arange(1, parts, device=counts.device, dtype=total.dtype) * total[-1] // parts
    inner = torch.searchsorted(total, targets, right=False).add(1).clamp(max=len(counts)).tolist()
    return [0, *inner, len(counts)]


@dataclass(frozen=True)
class Block:
    """A rank's block of a sparse tensor of `shape`.

    tensor: the block's nonzeros, their indices counted from the block's first rows; layers: the block's rows of each
    mode; duplicates: how many nonzeros of all ranks had the indices of another, before they were summed.
    """

    tensor: SparseTensor
    shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    duplicates: int


def distribute(tensor: SparseTensor, world: World) -> Block:
    """Sends every nonzero to the rank whose block of the grid it lies in, and sums those of the same indices.

    tensor: any part of the nonzeros, over the ranks each of them once. Each mode is cut into parts of nearly as many
    nonzeros. A collective of all ranks.
    """
    parts = grid(tensor.shape, world.size)
    edges = []
    for mode, rows in enumerate(tensor.shape):
        if parts[mode] == 1:
            edges.append([0, rows])
            continue
        counts = torch.bincount(tensor.indices[mode], minlength=rows)
        edges.append(cuts(world.sum_(counts), parts[mode]))
    place = _unravel(world.rank, parts)
    if world.size > 1:
        tensor = _exchange(tensor, edges, parts, world)
    corner = torch.tensor([edges[mode][place[mode]] for mode in range(len(parts))], dtype=torch.int32)
    layers = tuple(
        Layer(edges[mode][place[mode]], edges[mode][place[mode] + 1], world.split(place[mode]))
        if parts[mode] > 1
        else Layer.of_all(rows, world)
        for mode, rows in enumerate(tensor.shape)
    )
    within = SparseTensor(
        tensor.indices - corner.to(tensor.indices.device)[:, None],
        tensor.values,
        tuple(layer.stop - layer.start for layer in layers),
    )
    summed, fewer = within.coalesce()
    duplicates = int(world.sum_(torch.tensor(fewer, device=world.device)))
    return Block(tensor=summed, shape=tensor.shape, layers=layers, duplicates=duplicates)


def _exchange(tensor: SparseTensor, edges: list[list[int]], parts: Sequence[int], world: World) -> SparseTensor:
    """This rank's block of the nonzeros that all ranks hold."""
    target = torch.zeros_like(tensor.indices[0], dtype=torch.int64)
    for mode, row in enumerate(tensor.indices):
        inner = torch.tensor(edges[mode][1:-1], dtype=row.dtype, device=row.device)
        target = target * parts[mode] + torch.bucketize(row, inner, right=True)
    order = torch.sort(target, stable=True).indices
    counts = torch.bincount(target, minlength=world.size).tolist()
    indices = torch.stack([world.exchange(row[order], counts) for row in tensor.indices])
    return SparseTensor(indices, world.exchange(tensor.values[order], counts), tensor.shape)


def _unravel(rank: int, parts: Sequence[int]) -> tuple[int, ...]:
    """The part of each mode that a rank's block has; neighbouring ranks differ in the last mode."""
    place = []
    for count in reversed(parts):
        rank, part = divmod(rank, count)
        place.append(part)
    return tuple(reversed(place))
