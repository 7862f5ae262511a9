"""A channel's files -> the tensor that they hold, dense or sparse, each rank its share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from polyadic.errors import UserError
from polyadic.formats import FORMATS, Format
from polyadic.jobs.channels import ChannelSpec
from polyadic.jobs.job import Job
from polyadic.jobs.memory import Need
from polyadic.readers import dense, sparse
from polyadic.readers.choice import choose
from polyadic.readers.head import TensorHead, admit
from polyadic.readers.shares import Holding, agreed, few
from polyadic.readers.sparse import Labels
from polyadic.tensor.dense import Slab
from polyadic.tensor.sparse import SparseTensor


@dataclass(frozen=True)
class TensorRead:
    """A rank's share of a channel's tensor, and for each mode the labels of its rows, or None.

    names: of the modes, where the columns of a table have names; else empty.
    """

    data: Slab | SparseTensor
    labels: Labels
    names: tuple[str, ...] = ()


def read_tensor(
    job: Job[Any],
    *,
    channel: str = "train",
    dtype: torch.dtype,
    gaps: bool = False,
    min_order: int = 2,
    divided_mode: int | None = None,
    needs: Callable[[TensorHead], Need] | None = None,
) -> TensorRead:
    """The tensor I_1 x ... x I_N of a channel: a collective, with one verdict on every rank.

    Several dense files, and pictures, are stacked along mode 0 in the order of their names over all hosts. Two records
    of a sparse tensor may have the same indices: they are not summed. `gaps` lets NaN stay in a dense tensor.

    With `divided_mode`, rank r of R has the rows [I r // R, I (r + 1) // R) of that mode, whatever the files are, so
    that two channels that are divided by modes of the same length lie alike. Without it a dense tensor is divided as it
    is read with the least traffic, a single file along its longest mode and a stack along mode 0; and the ranks that
    see the same sparse files share their records.

    needs: the memory that a rank needs for such a tensor and what becomes of it, which is reserved before dense entries
    are read, and once the records of a sparse tensor are counted; without it, that of the tensor itself.

    Raises UserError for no file, dense and sparse files in one channel, more memory than there is, what the formats
    refuse, files that do not fit together, fewer than `min_order` modes (or than `divided_mode` needs), entries that
    are infinite, and, unless `gaps`, entries that are NaN.
    """
    holding = Holding.of(job.channels[channel], choose(job, channel, _formats()), job.world)
    min_order = max(min_order, 1 if divided_mode is None else divided_mode + 1)

    def before(head: TensorHead) -> None:
        admit(job, head, needs)

    if _is_sparse(holding, job, channel):
        names = _say_columns(holding, job, channel)
        data, labels = sparse.read(holding, job.world, dtype, min_order, divided_mode, before)
        _say_labels(labels, names, job, channel)
        return TensorRead(data, labels, names)
    slab = dense.read(holding, job.world, dtype, min_order, divided_mode, before)
    dense.refuse_gaps(slab, job.world, gaps, _advice(job, dtype, gaps))
    return TensorRead(slab, (None,) * len(slab.shape))


def dense_suffixes() -> tuple[str, ...]:
    """The suffixes of files that can hold a dense tensor, in the order of their content types."""
    return _suffixes(format_ for format_ in FORMATS.values() if format_.open_tensor is not None)


def sparse_suffixes() -> tuple[str, ...]:
    """The suffixes of files that can hold a sparse tensor, in the order of their content types."""
    return _suffixes(format_ for format_ in FORMATS.values() if format_.read_coordinates is not None)


def _suffixes(formats: Iterable[Format]) -> tuple[str, ...]:
    ordered = sorted(formats, key=lambda format_: format_.content_types)
    return tuple(suffix for format_ in ordered for suffix in format_.suffixes)


def _formats() -> list[Format]:
    """The formats of dense tensors, then those that hold sparse ones alone, in the order of their content types."""
    formats = [format_ for format_ in FORMATS.values() if format_.open_tensor or format_.read_coordinates]
    return sorted(formats, key=lambda format_: (format_.open_tensor is None, format_.content_types))


def tensor_channel(name: str) -> ChannelSpec:
    """A channel that holds a tensor."""
    content_types = tuple(sorted(content_type for format_ in _formats() for content_type in format_.content_types))
    about = "a tensor: dense or sparse, in one file or several, or a folder of pictures"
    return ChannelSpec(name, about, content_types)


def _say_columns(holding: Holding, job: Job[Any], channel: str) -> tuple[str, ...]:
    """The names of the modes of a table, noted with that of its values, so that a column too many is seen.

    A collective: all ranks have the names of the first that has any.
    """
    held = zip(holding.paths, holding.formats, strict=True)
    path, heading = next(((path, format_.heading) for path, format_ in held if format_ is not None), (None, None))
    names = heading(path) if path is not None and heading is not None else None
    if names:
        job.note(f"channel {channel}: the modes are {', '.join(names[:-1])}; the values are those of {names[-1]}")
    return next((tuple(found[:-1]) for found in job.world.collect(names) if found), ())


def _say_labels(labels: Labels, names: tuple[str, ...], job: Job[Any], channel: str) -> None:
    """Notes which modes have labels, since one text among numbers makes labels of all of them."""
    for mode, words in enumerate(labels):
        if words is not None:
            name = f" ({names[mode]})" if names else ""
            texts = [word for word in words if not word.isdecimal()]
            mixed = f", since {texts[0]!r} is no number" if texts and len(texts) < len(words) else ""
            job.note(f"channel {channel}: mode {mode}{name} has {len(words):,} labels{mixed}: ask for its rows by them")


def _is_sparse(holding: Holding, job: Job[Any], channel: str) -> bool:
    """Whether the files of all hosts are sparse; UserError where some are and some are not."""
    held = list(zip(holding.paths, holding.formats, strict=True))
    kinds = agreed(job.world, lambda: [(_holds_coordinates(path, format_), path.name) for path, format_ in held])
    names = defaultdict[bool, list[str]](list)
    for is_sparse, name in {pair: None for pairs in job.world.collect(kinds) for pair in pairs}:
        names[is_sparse].append(name)
    if len(names) == 2:
        raise UserError(
            f"channel {channel} holds dense files ({few(names[False])}) and sparse ones ({few(names[True])}): give "
            f"one kind. Dense are {' '.join(dense_suffixes())}, sparse are {' '.join(sparse_suffixes())}"
        )
    return True in names


def _holds_coordinates(path: Path, format_: Format | None) -> bool:
    assert format_ is not None
    return format_.read_coordinates is not None if format_.is_sparse is None else format_.is_sparse(path)


def _advice(job: Job[Any], dtype: torch.dtype, gaps: bool) -> str:
    """What to do about entries that are no numbers."""
    wide = ". Entries beyond 3.4e38 need dtype=float64" if dtype == torch.float32 else ""
    if gaps:
        return f"an entry is finite, or NaN where it is missing{wide}"
    mask = ", or set missing=mask" if "missing" in type(job.hyperparameters).model_fields else ""
    return f"{job.algorithm} needs every entry. Fill them in, or leave out the rows that hold them{mask}{wide}"
