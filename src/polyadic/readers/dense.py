"""The dense files of a channel -> this rank's slab of the tensor that they are together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.formats import DenseFile
from polyadic.readers.head import TensorHead
from polyadic.readers.shares import Holding, agreed, refuse, refuse_order
from polyadic.tensor.dense import Slab, longest, share

CHUNK_ENTRIES = 2**22
"""Entries that are looked at, or that the ranks exchange, together."""


class Piece(NamedTuple):
    """A file of the stack: its name, the first rank of its host, its shape, its place among the host's files."""

    name: str
    host: int
    shape: tuple[int, ...]
    place: int


@dataclass(frozen=True)
class Stack:
    """Files that make one tensor: several files are stacked along mode 0, so that this is the `mode` that they divide.

    `readers` is the rank that reads each row of `mode`, which of a single file may be any.
    """

    pieces: list[Piece]
    shape: tuple[int, ...]
    mode: int
    readers: NDArray[np.int64]

    def parts(self, start: int, stop: int) -> Iterator[tuple[Piece, int, int, int]]:
        """The pieces that hold rows [start, stop): of each where these rows begin and end, and its own first row."""
        ends = list(accumulate(piece.shape[self.mode] for piece in self.pieces))
        for place in range(int(np.searchsorted(ends, start, "right")), len(ends)):
            first = ends[place] - self.pieces[place].shape[self.mode]
            if first >= stop:
                return
            yield self.pieces[place], max(start, first), min(stop, ends[place]), first


def read(
    holding: Holding,
    world: World,
    dtype: torch.dtype,
    min_order: int,
    divided_mode: int | None,
    before: Callable[[TensorHead], None],
) -> Slab:
    """This rank's slab of the tensor, its rows in the order of the ranks; `before` is told what it will be.

    With `divided_mode` each rank has its share of the rows of that mode. Without it the mode is 0 or, of a single file,
    the longest, and a rank whose host has no file may get no rows.
    """
    stack = _stack(holding, world, min_order, divided_mode)
    start, stop = _rows(stack, world)
    entries = math.prod(stack.shape) // max(1, stack.shape[stack.mode]) * (stop - start)
    before(TensorHead(shape=stack.shape, dtype=dtype, entries=entries, ranks=world.size))
    slab = _read(stack, holding, world, dtype)
    return slab if divided_mode is None else _divide(slab, divided_mode, world)


def _read(stack: Stack, holding: Holding, world: World, dtype: torch.dtype) -> Slab:
    start, stop = _rows(stack, world)
    numbers = torch.empty(0, dtype=dtype).numpy().dtype
    local = np.empty([stop - start if n == stack.mode else rows for n, rows in enumerate(stack.shape)], numbers)
    if _moves(stack):
        _exchange(local, stack, holding, world, start)
    else:
        agreed(world, lambda: _fill(local, stack, holding, start, stop))
    return Slab(torch.from_numpy(local).to(world.device), stack.shape, stack.mode, start)


def _moves(stack: Stack) -> bool:
    """Whether rows have to go to other ranks than those that read them."""
    return bool((np.diff(stack.readers) < 0).any())


def _rows(stack: Stack, world: World) -> tuple[int, int]:
    """Where this rank's rows of the stack's mode begin and end."""
    if _moves(stack):
        return share(len(stack.readers), world.rank, world.size)
    first, last = (int(np.searchsorted(stack.readers, world.rank, side)) for side in ("left", "right"))
    return first, last


def _divide(slab: Slab, mode: int, world: World) -> Slab:
    """The same tensor with the rows of `mode` shared evenly; where that moves rows, both slabs are held for a while."""
    start, stop = share(slab.shape[mode], world.rank, world.size)
    if not world.any(slab.mode != mode or slab.rows != slice(start, stop)):
        return slab
    parts = [_part(slab, mode, *share(slab.shape[mode], rank, world.size)) for rank in range(world.size)]
    sent = torch.cat([part.reshape(-1) for part in parts])
    received = world.exchange(sent, [part.numel() for part in parts])
    shapes = [_shape_of_part(slab, rows, mode, start, stop) for rows in world.collect(slab.rows)]
    ends = accumulate(map(math.prod, shapes), initial=0)
    pieces = [received[begin:end].reshape(shape) for (begin, end), shape in zip(pairwise(ends), shapes, strict=True)]
    return Slab(torch.cat(pieces, slab.mode), slab.shape, mode, start)


def _part(slab: Slab, mode: int, start: int, stop: int) -> Tensor:
    """What this rank has of rows [start, stop) of `mode`."""
    own = slab.rows if slab.mode == mode else slice(0, slab.shape[mode])
    begin, end = (min(max(row, own.start), own.stop) - own.start for row in (start, stop))
    return slab.local.narrow(mode, begin, end - begin)


def _shape_of_part(slab: Slab, rows: slice, mode: int, start: int, stop: int) -> list[int]:
    """The shape of what a rank that holds `rows` of the slab's mode has of rows [start, stop) of `mode`."""
    shape = list(slab.shape)
    shape[slab.mode], shape[mode] = rows.stop - rows.start, stop - start
    if slab.mode == mode:
        shape[mode] = max(0, min(rows.stop, stop) - max(rows.start, start))
    return shape


def _stack(holding: Holding, world: World, min_order: int, divided_mode: int | None) -> Stack:
    """What the files are together, and which rank reads which rows."""
    host = world.rank - world.local_rank
    first, stop = share(len(holding.paths), world.local_rank, world.local_size)

    def heads() -> list[Piece]:
        """The ranks of a host share the reading of its files' heads."""
        return [Piece(holding.names[n], host, _open(holding, n).shape, n) for n in range(first, stop)]

    pieces = [piece for of_rank in world.collect(agreed(world, heads)) for piece in of_rank]
    hosts = world.collect(host)
    if holding.divided:
        pieces.sort()
        members = [[rank for rank, other in enumerate(hosts) if other == piece.host] for piece in pieces]
    else:
        pieces = _alike(pieces)
        members = [list(holding.holders)] * len(pieces)
    shape = _shape(pieces, min_order)
    mode = 0 if len(pieces) > 1 else longest(shape) if divided_mode is None else divided_mode
    return Stack(pieces, shape, mode, _readers([piece.shape[mode] for piece in pieces], members))


def _alike(pieces: list[Piece]) -> list[Piece]:
    """The pieces of the first host; UserError where those of another host are different."""
    hosts = {piece.host: list[tuple[str, tuple[int, ...]]]() for piece in pieces}
    for piece in pieces:
        hosts[piece.host].append((piece.name, piece.shape))
    first = next(iter(hosts.values()))
    for other in hosts.values():
        if other != first:
            shapes = [[shape for _, shape in held][:5] for held in (first, other)]
            raise UserError(
                f"the hosts hold different tensors, of shapes {shapes[0]} and {shapes[1]}: give each host the same "
                "files, or divide the channel between them (ShardedByS3Key)"
            )
    return [piece for piece in pieces if piece.host == pieces[0].host]


def _shape(pieces: list[Piece], min_order: int) -> tuple[int, ...]:
    """The shape of the stack; UserError where files do not fit together, and for fewer modes than `min_order`."""
    first = pieces[0]
    for other in pieces:
        if other.shape[1:] != first.shape[1:]:
            raise UserError(
                f"{first.name} is {_by(first.shape)} and {other.name} is {_by(other.shape)}: files are stacked along "
                "mode 0, so their other modes must agree (of pictures: height, width and channels)"
            )
    refuse_order(len(first.shape), min_order)
    return (sum(piece.shape[0] for piece in pieces), *first.shape[1:])


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a number"


def _readers(rows: list[int], members: list[list[int]]) -> NDArray[np.int64]:
    """For each row of a stack the rank that reads it. `members` are the ranks that share the rows of each piece."""
    groups = np.repeat([group[0] for group in members], rows)
    readers = np.empty(len(groups), np.int64)
    for group in {group[0]: group for group in members}.values():
        places = np.flatnonzero(groups == group[0])
        for part, rank in enumerate(group):
            readers[places[slice(*share(len(places), part, len(group)))]] = rank
    return readers


def _fill(local: NDArray[Any], stack: Stack, holding: Holding, start: int, stop: int) -> None:
    """Reads rows [start, stop) of the stack into `local`."""
    before = (slice(None),) * stack.mode
    for piece, low, high, first in stack.parts(start, stop):
        out = local[(*before, slice(low - start, high - start))]
        _open(holding, piece.place).fill(out, stack.mode, low - first, high - first)


def _exchange(local: NDArray[Any], stack: Stack, holding: Holding, world: World, start: int) -> None:
    """Fills `local`, rows of mode 0 from `start` on, where files of several hosts alternate in the order of names.

    Each rank reads its own files' rows and sends them to the ranks that they belong to, a few at a time. All ranks
    take part in every step, so a fault is kept until the end.
    """
    fault = None
    bounds = [share(len(stack.readers), rank, world.size)[1] for rank in range(world.size)]
    step = max(1, CHUNK_ENTRIES // max(1, math.prod(local.shape[1:])))
    for first in range(0, len(stack.readers), step):
        readers = stack.readers[first : first + step]
        mine = first + np.flatnonzero(readers == world.rank)
        sent = np.zeros((len(mine), *local.shape[1:]), local.dtype)
        try:
            if fault is None:
                _gather(sent, mine, stack, holding)
        except UserError as error:
            fault = str(error)
        counts = np.bincount(np.searchsorted(bounds, mine, "right"), minlength=world.size)
        received = world.exchange(torch.from_numpy(sent).to(world.device), counts.tolist()).cpu().numpy()
        wanted = np.arange(max(first, start), min(first + len(readers), start + len(local)))
        local[wanted[np.argsort(readers[wanted - first], kind="stable")] - start] = received
    refuse(world, fault)


def _gather(out: NDArray[Any], rows: NDArray[np.int64], stack: Stack, holding: Holding) -> None:
    """Reads the given rows of the stack, in runs of neighbours."""
    for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
        if len(run):
            place = int(np.searchsorted(rows, run[0]))
            _fill(out[place : place + len(run)], stack, holding, int(run[0]), int(run[-1]) + 1)


def _open(holding: Holding, place: int) -> DenseFile:
    format_ = holding.formats[place]
    assert format_ is not None and format_.open_tensor is not None
    return format_.open_tensor(holding.paths[place])


def refuse_gaps(slab: Slab, world: World, gaps: bool, advice: str) -> None:
    """UserError for entries that are infinite, and unless `gaps` for those that are NaN."""
    count, first = _gaps(slab, gaps)
    if not world.any(count > 0):
        return
    of_ranks = world.collect((count, first))
    total, where = sum(count for count, _ in of_ranks), next(first for _, first in of_ranks if first is not None)
    kind = "infinite" if gaps else "NaN or infinite"
    raise UserError(f"the tensor holds {total} entries that are {kind}, the first at index {where}: {advice}")


def _gaps(slab: Slab, gaps: bool) -> tuple[int, list[int] | None]:
    """How many entries of a slab are no numbers, and the index of the first; looked at a few at a time."""
    count, first = 0, None
    flat = slab.local.reshape(-1)
    for start in range(0, len(flat), CHUNK_ENTRIES):
        chunk = flat[start : start + CHUNK_ENTRIES]
        bad = chunk.isinf() if gaps else ~chunk.isfinite()
        count_of_chunk = int(bad.sum())
        if count_of_chunk and first is None:
            place = np.unravel_index(start + int(bad.nonzero()[0]), slab.local.shape)
            first = [int(row) + (slab.start if mode == slab.mode else 0) for mode, row in enumerate(place)]
        count += count_of_chunk
    return count, first
