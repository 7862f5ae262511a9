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

UPDATED_EVERYWHERE = 2**14
"""Rows up to which each rank updates all of a mode that every rank holds: two collectives fewer, a little work more."""


@dataclass(frozen=True)
class Layer:
    """Rows [start, stop) of one mode's factor, held by every rank of `world`, each of which updates a part of them.

    Over all layers of a mode, the parts are its rows, each once; but where the layer is `everywhere` it is one of all
    ranks, and each of them updates all rows.
    """

    start: int
    stop: int
    world: World
    everywhere: bool = False

    @staticmethod
    def of_all(rows: int, world: World) -> Layer:
        """The layer of a mode that is not divided: all rows, on all ranks."""
        return Layer(0, rows, world, world.size > 1 and rows <= UPDATED_EVERYWHERE)

    @property
    def held(self) -> slice:
        """The rows of the mode that this rank holds."""
        return slice(self.start, self.stop)

    @property
    def own(self) -> slice:
        """Those of the held rows, counted from the first of them, that this rank updates."""
        rows = self.stop - self.start
        if self.everywhere:
            return slice(0, rows)
        return slice(min(self.world.rank * self._chunk, rows), min((self.world.rank + 1) * self._chunk, rows))

    @property
    def _chunk(self) -> int:
        return max(1, math.ceil((self.stop - self.start) / self.world.size))

    def combine(self, held: Tensor) -> Tensor:
        """The sum over the layer of what its ranks have for their held rows, this rank's own rows of it."""
        return self.world.sum_(held.contiguous()) if self.everywhere else self.world.sum_part(held, self._chunk)

    def spread(self, own: Tensor) -> Tensor:
        """The held rows, from the own rows of every rank of the layer."""
        return own if self.everywhere else self.world.join_parts(own, self._chunk, self.stop - self.start)

    def total(self, of_own: Tensor, world: World) -> Tensor:
        """What each rank of the whole world sums over its own rows, over all rows of the mode; in place."""
        return of_own if self.everywhere else world.sum_(of_own)


def whole_factor(layer: Layer, own: Tensor, world: World, rows: int) -> Tensor:
    """All rows of a factor on every rank, from the own rows of each."""
    if layer.everywhere or world.size == 1:
        return own.clone()
    first = layer.start + layer.own.start
    parts = world.collect(torch.arange(first, first + len(own)))
    gathered = world.gather_rows(own)
    whole = own.new_empty(rows, *own.shape[1:])
    whole[torch.cat(parts).to(own.device)] = gathered
    return whole


def of_slab(slab: Slab, world: World) -> tuple[Layer, ...]:
    """The layers of a dense tensor divided along one mode: its rows lie apart, those of the others everywhere."""
    mine = world.split(world.rank)
    divided = Layer(slab.rows.start, slab.rows.stop, mine)
    return tuple(divided if mode == slab.mode else Layer.of_all(rows, world) for mode, rows in enumerate(slab.shape))


def grid(shape: Sequence[int], ranks: int) -> tuple[int, ...]:
    """How often to cut each mode so that the blocks are as many as the ranks.

    The prime factors of the number of ranks go, largest first, to the mode with the most rows a part: the
    medium-grained decomposition of Smith and Karypis (IPDPS 2016), section IV-C.
    """
    parts = [1] * len(shape)
    for prime in reversed(_primes(ranks)):
        mode = max(range(len(shape)), key=lambda n: shape[n] / parts[n])
        parts[mode] *= prime
    return tuple(parts)


def _primes(number: int) -> list[int]:
    found, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    return found


def cuts(counts: Tensor, parts: int) -> list[int]:
    """Rows at which to cut a mode into parts of about as many nonzeros; counts are the nonzeros of its rows."""
    total = counts.cumsum(0)
    targets = torch.arange(1, parts, device=counts.device, dtype=total.dtype) * total[-1] // parts
    inner = torch.searchsorted(total, targets, right=False).add(1).clamp(max=len(counts)).tolist()
    return [0, *inner, len(counts)]


@dataclass(frozen=True)
class Block:
    """A rank's block of a sparse tensor: nonzeros by indices within the block, and the layers that it belongs to."""

    tensor: SparseTensor
    shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    duplicates: int


def distribute(tensor: SparseTensor, world: World) -> Block:
    """Sends every nonzero to the rank whose block of the grid it lies in, and sums those of one place.

    tensor: this rank's nonzeros, whichever they are; each mode is cut where the nonzeros are halved.
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
    return Block(summed, tensor.shape, layers, int(world.sum_(torch.tensor(fewer, device=world.device))))


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
    """A rank's place in the grid, the last mode fastest."""
    place = []
    for count in reversed(parts):
        rank, here = divmod(rank, count)
        place.append(here)
    return tuple(reversed(place))
