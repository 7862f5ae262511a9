"""The sparse files of a channel -> this rank's part of the records, and the labels of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.formats import Coordinates, Gatherer, Labelled
from polyadic.readers.head import TensorHead
from polyadic.readers.shares import Holding, refuse, refuse_order
from polyadic.tensor.dense import share
from polyadic.tensor.sparse import SparseTensor

Labels: TypeAlias = tuple[tuple[str, ...] | None, ...]


ROWS_PER_NONZERO = 10
"""A mode with more rows than this times the nonzeros has rows that are not used."""


class Head(NamedTuple):
    """What must agree between files: the order, and which modes have labels."""

    name: str
    order: int
    labelled: frozenset[int]
    empty: bool


def read(
    holding: Holding,
    world: World,
    dtype: torch.dtype,
    min_order: int,
    divided_mode: int | None,
    before: Callable[[TensorHead], None],
) -> tuple[SparseTensor, Labels]:
    """This rank's records, whose indices mean the same on every rank, and the labels that the indices point into.

    `before` is told what they are, before anything is made of as many rows as the tensor has.

    With `divided_mode` a rank has the records of its share of the rows of that mode; without it, those that it read.
    """
    holding.refuse_differing_hosts(world)
    files = _records(holding, world)
    heads = [
        Head(name, records.order, _labelled(records), not len(records.values))
        for name, records in zip(holding.names, files, strict=True)
    ]
    order, labelled = _common([head for of_rank in world.collect(heads) for head in of_rank])
    refuse_order(order, min_order)
    local = files.pop() if len(files) == 1 else _join(files, order, labelled)
    labels = _unite(local, world, labelled)
    largest = map(max, zip(*world.collect(local.rows), strict=True))
    shape = tuple(rows if words is None else len(words) for rows, words in zip(largest, labels, strict=True))
    before(_head(local, shape, labels, world, dtype))
    values = torch.from_numpy(local.values).to(dtype)
    refuse(world, None if bool(values.isfinite().all()) else f"a value is too large for {dtype}: set dtype=float64")
    indices, values = torch.from_numpy(local.indices).to(world.device), values.to(world.device)
    if divided_mode is not None:
        indices, values = _divide(indices, values, shape[divided_mode], divided_mode, world)
    return SparseTensor(indices, values, shape), labels


def _head(local: Coordinates, shape: tuple[int, ...], labels: Labels, world: World, dtype: torch.dtype) -> TensorHead:
    counts = world.collect(len(local.values))
    unused = tuple(
        mode for mode, rows in enumerate(shape) if labels[mode] is None and rows > ROWS_PER_NONZERO * sum(counts)
    )
    return TensorHead(
        shape=shape,
        dtype=dtype,
        entries=max(counts),
        sparse=True,
        ranks=world.size,
        records=sum(counts),
        barely_used=unused,
    )


def _divide(indices: Tensor, values: Tensor, rows: int, mode: int, world: World) -> tuple[Tensor, Tensor]:
    """The indices (N x M) and values (M) of the records whose row of `mode` is in this rank's share of `rows`."""
    ends = torch.tensor([share(rows, rank, world.size)[1] for rank in range(world.size)], device=values.device)
    owners = torch.searchsorted(ends, indices[mode].long(), right=True)
    order = owners.argsort(stable=True)
    counts = owners.bincount(minlength=world.size).tolist()
    received = world.exchange(indices.T[order], counts)
    return received.T.contiguous(), world.exchange(values[order], counts)


def _records(holding: Holding, world: World) -> list[Coordinates]:
    """This rank's part of each file. A mode that is of labels on one rank, or in one file, is so everywhere."""
    labelled = frozenset[int]()
    while True:
        files, fault = list[Coordinates](), None
        try:
            files = [_part(holding, place, labelled) for place in range(len(holding.paths))]
        except UserError as error:
            fault = str(error)
        seen = labelled.union(*world.collect(labelled.union(*map(_labelled, files))))
        if seen == labelled:
            refuse(world, fault)
            return files
        labelled = seen


def _part(holding: Holding, place: int, labelled: frozenset[int]) -> Coordinates:
    format_ = holding.formats[place]
    assert format_ is not None and format_.read_coordinates is not None
    return format_.read_coordinates(holding.paths[place], holding.part, holding.parts, labelled)


def _labelled(records: Coordinates) -> frozenset[int]:
    """The modes that have labels."""
    return frozenset(mode for mode, words in enumerate(records.labels) if words is not None)


def _common(heads: list[Head]) -> tuple[int, frozenset[int]]:
    """The order and the modes with labels that all files have; UserError that names two that differ."""
    first = next((head for head in heads if not head.empty), heads[0])
    for other in heads:
        if other.order != first.order:
            raise UserError(
                f"{first.name} has {first.order} indices per record and {other.name} has {other.order}: the files of a "
                "channel hold parts of one tensor"
            )
        if other.labelled != first.labelled and not other.empty:
            mode = min(other.labelled ^ first.labelled)
            names, numbers = (first, other) if mode in first.labelled else (other, first)
            raise UserError(
                f"mode {mode} has labels in {names.name} and numbers in {numbers.name}: write both the same way"
            )
    return first.order, first.labelled


def _join(files: list[Coordinates], order: int, labelled: frozenset[int]) -> Coordinates:
    """The records of several files together; without a file, no records. Empties `files`."""
    gatherer, shapes = Gatherer(order, labelled), [records.shape for records in files]
    rows = tuple(map(max, zip(*(records.rows for records in files), strict=True)))
    while files:
        records = files.pop(0)
        pairs = zip(records.indices, records.labels, strict=True)
        gatherer.add([index if words is None else Labelled(words, index) for index, words in pairs], records.values)
    return gatherer.join(rows if any(shapes) else None)


def _unite(local: Coordinates, world: World, labelled: frozenset[int]) -> Labels:
    """The labels of all ranks in sorted order; the indices of `local` are made to point into them."""
    labels: list[tuple[str, ...] | None] = [None] * local.order
    for mode in sorted(labelled):
        own = local.labels[mode] or ()
        words = sorted(set().union(*world.collect(own)))
        place = {word: number for number, word in enumerate(words)}
        moved = np.array([place[word] for word in own], np.int32)
        local.indices[mode] = moved[local.indices[mode]]
        labels[mode] = tuple(words)
    return tuple(labels)
