"""The sparse files of a channel -> this rank's part of the records, and the labels of rows."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.formats import SparseFormat, by_suffix
from polyadic.formats._coordinates import Coordinates, Gatherer, Labelled
from polyadic.readers.shares import Holding, refuse
from polyadic.tensor.sparse import SparseTensor

Labels: TypeAlias = tuple[tuple[str, ...] | None, ...]


class Head(NamedTuple):
    """What must agree between files: the order, and which modes have labels."""

    name: str
    order: int
    labelled: frozenset[int]
    empty: bool


def read(holding: Holding, world: World, dtype: torch.dtype) -> tuple[SparseTensor, Labels]:
    """This rank's records, their indices such as mean the same on every rank, and the labels they point into."""
    _refuse_differing_hosts(holding, world)
    found = _records(holding, world)
    heads = [
        Head(name, one.order, _labelled(one), not len(one.values))
        for name, one in zip(holding.names, found, strict=True)
    ]
    order, labelled = _common([head for some in world.collect(heads) for head in some])
    local = found.pop() if len(found) == 1 else _join(found, order, labelled)
    labels = _unite(local, world, labelled)
    largest = map(max, zip(*world.collect(local.rows), strict=True))
    shape = tuple(rows if words is None else len(words) for rows, words in zip(largest, labels, strict=True))
    values = torch.from_numpy(local.values).to(dtype)
    refuse(world, None if bool(values.isfinite().all()) else f"a value is too large for {dtype}: set dtype=float64")
    indices = torch.from_numpy(local.indices)
    return SparseTensor(indices.to(world.device), values.to(world.device), shape), labels


def _refuse_differing_hosts(holding: Holding, world: World) -> None:
    """UserError where the hosts of a replicated channel hold files of different names."""
    held = [names for names in world.collect(holding.names) if names]
    other = next((names for names in held if names != held[0]), None)
    if not holding.divided and other is not None:
        raise UserError(
            f"the hosts hold different files ({', '.join(held[0][:3])} and {', '.join(other[:3])}): give each host the "
            "same, or divide the channel between them (ShardedByS3Key)"
        )


def _records(holding: Holding, world: World) -> list[Coordinates]:
    """This rank's part of each file. A mode that is of labels on one rank, or in one file, is so everywhere."""
    labelled = frozenset[int]()
    while True:
        found, fault = list[Coordinates](), None
        try:
            found = [_part(path, holding, labelled) for path in holding.paths]
        except UserError as error:
            fault = str(error)
        seen = labelled.union(*world.collect(labelled.union(*map(_labelled, found))))
        if seen == labelled:
            refuse(world, fault)
            return found
        labelled = seen


def _part(path: Path, holding: Holding, labelled: frozenset[int]) -> Coordinates:
    kind = by_suffix(path.name)
    assert isinstance(kind, SparseFormat)
    return kind.read_coordinates(path, holding.part, holding.parts, labelled)


def _labelled(found: Coordinates) -> frozenset[int]:
    return frozenset(mode for mode, words in enumerate(found.labels) if words is not None)


def _common(heads: list[Head]) -> tuple[int, frozenset[int]]:
    """The order and the modes with labels that all files have; UserError that names two that differ."""
    first = next((head for head in heads if not head.empty), heads[0])
    for other in heads:
        if other.order != first.order:
            raise UserError(
                f"{first.name} has {first.order} indices a record and {other.name} has {other.order}: the files of a "
                "channel hold parts of one tensor"
            )
        if other.labelled != first.labelled and not other.empty:
            mode = min(other.labelled ^ first.labelled)
            names, numbers = (first, other) if mode in first.labelled else (other, first)
            raise UserError(
                f"mode {mode} has labels in {names.name} and numbers in {numbers.name}: write both the same way"
            )
    return first.order, first.labelled


def _join(found: list[Coordinates], order: int, labelled: frozenset[int]) -> Coordinates:
    """The records of several files as one; of none, no records. Empties `found`."""
    gatherer, shapes = Gatherer(order, labelled), [one.shape for one in found]
    rows = tuple(map(max, zip(*(one.rows for one in found), strict=True)))
    while found:
        one = found.pop(0)
        pairs = zip(one.indices, one.labels, strict=True)
        gatherer.add([index if words is None else Labelled(words, index) for index, words in pairs], one.values)
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
