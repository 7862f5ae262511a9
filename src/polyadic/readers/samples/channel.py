"""A channel's files -> this rank's samples, whatever their formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.formats import FORMATS, Dealer, Format, opened
from polyadic.jobs.channels import Channel
from polyadic.jobs.job import Job
from polyadic.readers.choice import choose, stated_format
from polyadic.readers.pipes import await_pipe
from polyadic.readers.samples import arrays
from polyadic.readers.samples.columns import FEATURES, Array, Gathering, LabelFault, Pictures, Samples, faulty, in_words
from polyadic.readers.samples.pictures import PictureFiles
from polyadic.readers.shares import Holding, agreed
from polyadic.room import Watch

BYTES_PER_CELL = 64
"""Of a cell of a row, its numbers aside."""


def formats() -> list[Format]:
    """The formats of samples, in the order of their content types; pictures are read where a table names them."""
    known = [each for each in FORMATS.values() if each.read_table or each.open_arrays or each.read_labelled]
    return sorted([*known, FORMATS["npy"]], key=lambda each: each.content_types)


def content_types() -> tuple[str, ...]:
    """The content types of a channel that holds samples."""
    return tuple(content_type for each in formats() for content_type in each.content_types)


def read_samples(
    job: Job[Any],
    channel: str,
    *,
    missing: bool = False,
    feature_shape: Sequence[int] | None = None,
    label_fault: LabelFault = lambda label: None,
) -> Samples:
    """This rank's share of the samples of a channel: a collective, with one verdict on every rank.

    Tables (CSV, JSON Lines, Parquet) have a row per sample: `label`, and columns of lists, texts and numbers; all
    numbers of a row are one vector, `features`; `file` names a picture in the channel, on whatever host it is, whose
    column is `picture`.
    Archives (.npz, .safetensors) and files of one array (.npy) have samples along the first mode. Records (RecordIO)
    have a label and a vector, `features`; in Pipe mode they alone are read, by one rank of a host. feature_shape: what
    each vector `features` is folded to. label_fault: what is wrong with a label, in words, or None.

    Raises UserError for no file, samples that differ in their columns or shapes, those that lack a column (unless
    `missing`), and whatever the formats refuse, with the file and the row.
    """
    source = job.channels[channel]
    chosen = _piped(source, job.world) if source.piped else choose(job, channel, [*formats(), FORMATS["images"]])
    pictures = {path for path, each in chosen.items() if each.name == "images"}
    tables = {path: each for path, each in chosen.items() if path not in pictures}
    holding = Holding.of(source, tables, job.world)
    holding.refuse_differing_hosts(job.world)
    shown = PictureFiles(source.folder, pictures)
    if source.divided and job.world.size > 1:
        shown.borrow(_rows(holding), job.world)
    if source.piped:
        for path in holding.paths:
            await_pipe(path, channel)
    parts = agreed(job.world, lambda: _read(holding, shown, label_fault, missing))
    samples = agreed(job.world, lambda: _joined([_folded(part, feature_shape) for part in parts]))
    _refuse_differing(job, channel, samples)
    return samples


def _piped(source: Channel, world: World) -> dict[Path, Format]:
    """The pipe of a channel, for the rank of a host that reads it; UserError where it holds no records."""
    records = FORMATS["recordio"]
    if source.content_type is not None and stated_format(source, [records]) is None:
        raise UserError(
            f"channel {source.name} has the content type {source.content_type!r}, and in Pipe mode records are read: "
            f"give {records.content_types[0]}, or set the input mode to File or FastFile"
        )
    return dict.fromkeys(source.files, records) if world.local_rank == 0 else {}


def _rows(holding: Holding) -> Iterator[Mapping[str, Any]]:
    """The rows of all tables of this host."""
    for path, format_ in zip(holding.paths, holding.formats, strict=True):
        if format_ is not None and format_.read_table is not None:
            yield from (row for _, row in format_.read_table(path))


def _read(holding: Holding, pictures: PictureFiles, label_fault: LabelFault, missing: bool) -> list[Samples]:
    """The samples of each kind of file."""
    watch = Watch("samples")
    gathering, by_rows = Gathering(pictures.pixels, label_fault, missing=missing), False
    formed = dict[Path, Format]()
    found = list[Samples]()
    row_number = 0
    for path, format_ in zip(holding.paths, holding.formats, strict=True):
        assert format_ is not None
        if format_.read_labelled is not None:
            found += _records(path, format_, Dealer(holding.part, holding.parts), label_fault)
        elif format_.read_table is not None:
            for name, row in format_.read_table(path):
                if row_number % holding.parts == holding.part:
                    gathering.add(row, f"{path.relative_to(pictures.folder).as_posix()}, {name}")
                    watch.add(sum(BYTES_PER_CELL + 4 * _numbers(cell) for cell in row.values()))
                    by_rows = True
                row_number += 1
        else:
            formed[path] = format_
    for place, group in arrays.groups(formed).items():
        found.append(arrays.read(group, place, holding.part, holding.parts, label_fault))
    return [*found, *([gathering.samples()] if by_rows else [])]


def _numbers(cell: Any) -> int:
    """About how many numbers a cell holds."""
    count = 1
    while isinstance(cell, list) and cell:
        count, cell = count * len(cell), cell[0]
    return count


def _records(path: Path, format_: Format, dealer: Dealer, label_fault: LabelFault) -> Iterator[Samples]:
    """The samples of labelled records, dense or sparse."""
    assert format_.read_labelled is not None
    width = None
    with opened(path) as file:
        for rows, label in format_.read_labelled(file, path.name, dealer):
            bare = np.flatnonzero(~np.isfinite(label))
            if len(bare):
                told = "it has no label" if np.isnan(label[bare[0]]) else "its label is not finite"
                raise UserError(f"{path.name}, record {rows.numbers[bare[0]]}: {told}: give each record one")
            if (refused := faulty(label, label_fault)) is not None:
                row, told = refused
                raise UserError(f"{path.name}, record {rows.numbers[row]}: label is {label[row]:g}: {told}")
            wide = rows.widths if width is None else np.append(rows.widths, width)
            width = int(wide[0]) if len(wide) else width
            if (wide != width).any() or (width is not None and width < 1):
                row = int(np.argmax(rows.widths != width)) if (rows.widths != width).any() else 0
                if rows.widths[row] < 1:
                    raise UserError(
                        f"{path.name}, record {rows.numbers[row]}: no shape says how many numbers it has: give the "
                        "shape, or all numbers"
                    )
                raise UserError(
                    f"{path.name}, record {rows.numbers[row]}: it has {rows.widths[row]} numbers where others have "
                    f"{width}: give all of them, or the keys of some and the shape"
                )
            features = np.zeros((len(rows), width or 0), np.float32)
            for number, (columns, values, _) in enumerate(rows.each()):
                if len(columns) and (columns.max() >= features.shape[1] or columns.min() < 0):
                    raise UserError(
                        f"{path.name}, record {rows.numbers[number]}: the key {columns.max()} is beyond its shape, "
                        f"{width}: keys count from 0"
                    )
                np.add.at(features[number], columns, values)
            if not np.isfinite(features).all():
                row = int(np.argmax(~np.isfinite(features).all(1)))
                raise UserError(f"{path.name}, record {rows.numbers[row]}: a number is not finite")
            yield Samples(tensors={FEATURES: features}, label=label)


def _folded(samples: Samples, shape: Sequence[int] | None) -> Samples:
    """The samples with each vector `features` folded to a shape."""
    vectors = samples.tensors.get(FEATURES)
    if shape is None or vectors is None or vectors.shape[1:] == tuple(shape):
        return samples
    if int(np.prod(shape)) != int(np.prod(vectors.shape[1:])):
        raise UserError(
            f"feature_shape is {list(shape)}, {int(np.prod(shape))} numbers, and {FEATURES} has "
            f"{int(np.prod(vectors.shape[1:]))}: the two must agree"
        )
    folded = {**samples.tensors, FEATURES: vectors.reshape(len(vectors), *shape)}
    return replace(samples, tensors=folded, names=())


def _joined(parts: Sequence[Samples]) -> Samples:
    """The samples of several files, one after another."""
    parts = [part for part in parts if len(part)] or list(parts[:1])
    if len(parts) <= 1:
        return parts[0] if parts else Samples()
    kinds = parts[0].kinds
    for part in parts[1:]:
        _refuse_other(part.kinds, kinds)
    if len({isinstance(part.label, list) for part in parts}) > 1:
        raise UserError("labels are numbers in some files and texts in others: write all of them alike")
    absent = {
        name: np.concatenate([part.absent.get(name, np.zeros(len(part), bool)) for part in parts])
        for name in kinds
        if any(name in part.absent for part in parts)
    }
    labels: list[Any] = [part.label for part in parts]
    return Samples(
        tensors={name: np.concatenate([part.tensors[name] for part in parts]) for name in parts[0].tensors},
        pictures={name: _together([part.pictures[name] for part in parts]) for name in parts[0].pictures},
        texts={name: list(chain.from_iterable(part.texts[name] for part in parts)) for name in parts[0].texts},
        label=list(chain.from_iterable(labels)) if isinstance(labels[0], list) else np.concatenate(labels),
        absent=absent,
        names=parts[0].names,
        places=list(chain.from_iterable(part.places for part in parts)) if all(part.places for part in parts) else (),
    )


def _together(pictures: Sequence[Pictures]) -> Pictures:
    before = np.cumsum([0, *(len(each.pixels) for each in pictures)])
    index: list[Array] = [each.index + offset for each, offset in zip(pictures, before, strict=False)]
    return Pictures(np.concatenate([each.pixels for each in pictures]), np.concatenate(index))


def _refuse_other(
    kinds: Mapping[str, tuple[str, tuple[int, ...]]], first: Mapping[str, tuple[str, tuple[int, ...]]]
) -> None:
    """UserError for the first column in which samples differ."""
    for name in sorted(kinds.keys() | first.keys()):
        own, other = kinds.get(name), first.get(name)
        if own != other:
            told = [in_words(*kind) if kind else "missing" for kind in (own, other)]
            raise UserError(f"{name} is {told[0]} in some samples, and {told[1]} in others: all must be alike")


def _refuse_differing(job: Job[Any], channel: str, samples: Samples) -> None:
    """UserError on every rank where no rank has a sample, or two differ in their columns; a collective."""
    told = job.world.collect((len(samples), samples.kinds, isinstance(samples.label, list)))
    held = [(kinds, named) for count, kinds, named in told if count]
    if not held:
        raise UserError(f"channel {channel} holds no samples: its files are empty")
    try:
        for kinds, _ in held[1:]:
            _refuse_other(kinds, held[0][0])
    except UserError as error:
        raise UserError(f"channel {channel}: {error}") from None
    if len({named for _, named in held}) > 1:
        raise UserError(f"channel {channel}: labels are numbers in some files and texts in others: write all alike")
