"""Samples in files of arrays: an archive with one array per name, or one file of numpy's format per name.

Samples lie along the first mode; the array `label` has one number for each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from polyadic.errors import UserError
from polyadic.formats import DenseFile, Format
from polyadic.readers.samples.columns import LABEL, Array, LabelFault, Samples, faulty
from polyadic.room import refuse_large

BYTES_PER_NUMBER = 4


def groups(files: Mapping[Path, Format]) -> dict[str, dict[str, DenseFile]]:
    """The arrays of files by their names, those that belong together in one group, named as messages call it.

    The arrays of an archive belong together. Of files with one array each those do whose paths differ in the last part
    of the name alone: a/x.npy and a/label.npy, or 1.x.npy and 1.label.npy.
    """
    found: dict[str, dict[str, DenseFile]] = {}
    single: dict[str, dict[str, DenseFile]] = defaultdict(dict)
    for path, format_ in files.items():
        if format_.open_arrays is not None:
            found[path.name] = dict(format_.open_arrays(path))
        elif format_.open_tensor is not None:
            *before, name = path.stem.split(".")
            group = str(path.parent / ".".join([*before, f"*{path.suffix}"]))
            single[group][name] = format_.open_tensor(path)
    return found | {Path(group).name: arrays for group, arrays in single.items()}


def read(
    arrays: Mapping[str, DenseFile], place: str, part: int, parts: int, label_fault: LabelFault = lambda label: None
) -> Samples:
    """The `part`-th of `parts` of the samples of a group.

    Raises UserError for a group without labels or without anything else, arrays of different numbers of samples, and
    numbers that are not finite, each by its sample.
    """
    counts = {name: (file.shape[0] if file.shape else 0) for name, file in arrays.items()}
    if LABEL not in arrays:
        raise UserError(f"{place} has no array {LABEL} (it has {', '.join(sorted(arrays)) or 'none'}): add one")
    if len(arrays) == 1:
        raise UserError(f"{place} has nothing but {LABEL}: add the arrays of what is to be learned from")
    other = next((name for name, count in counts.items() if count != counts[LABEL]), None)
    if other is not None:
        raise UserError(
            f"{place}: {other} has {counts[other]} samples, and {LABEL} {counts[LABEL]}: samples lie along the first "
            "mode of each array, in the same order"
        )
    if len(arrays[LABEL].shape) != 1:
        raise UserError(f"{place}: {LABEL} has shape {tuple(arrays[LABEL].shape)}: give one number for each sample")
    start, stop = (counts[LABEL] * k // parts for k in (part, part + 1))
    tensors = {name: _filled(file, start, stop, np.float32, f"{place}: {name}") for name, file in arrays.items()
               if name != LABEL}  # fmt: skip
    label = _filled(arrays[LABEL], start, stop, np.float64, f"{place}: {LABEL}")
    if (refused := faulty(label, label_fault)) is not None:
        row, told = refused
        raise UserError(f"{place}: {LABEL}, sample {start + row}, is {label[row]:g}: {told}")
    flat = {name: values[:, None] if values.ndim == 1 else values for name, values in tensors.items()}
    return Samples(tensors=flat, label=label)


def _filled(file: DenseFile, start: int, stop: int, dtype: type, place: str) -> Array:
    """Samples [start, stop) of an array; UserError for the first that is not finite."""
    shape = (stop - start, *file.shape[1:])
    refuse_large(float(np.prod(shape)) * np.dtype(dtype).itemsize, place)
    out: Array = np.empty(shape, dtype)
    if out.size:
        with np.errstate(over="ignore"):
            file.fill(out, 0, start, stop)
    if not np.isfinite(out.sum(dtype=np.float64)):
        wrong = np.flatnonzero(~np.isfinite(out.reshape(len(out), -1)).all(1))
        if len(wrong):
            raise UserError(f"{place}, sample {start + wrong[0]}: a number is not finite: mend it, or take it out")
    return out
