"""What is known of a channel's tensor before it is taken into memory, and whether there is room for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from polyadic.jobs.job import Job
from polyadic.jobs.memory import Need, refuse_beyond, reserve
from polyadic.tensor.densify import MOST_ENTRIES

INDEX_BYTES = 4
"""Of an index of a sparse tensor."""


@dataclass(frozen=True, kw_only=True)
class TensorHead:
    """The shape of a tensor, and how much of it this rank will hold.

    shape: I_1, ..., I_N. entries: of this rank; of a sparse tensor the records that it has read, of the rank with the
    most. ranks: how many share the tensor. records: of a sparse tensor over all ranks. barely_used: its modes that have
    far more rows than there are records.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    entries: int
    sparse: bool = False
    ranks: int = 1
    records: int = 0
    barely_used: tuple[int, ...] = ()

    @property
    def bytes(self) -> float:
        """Of this rank's part."""
        width = self.dtype.itemsize + (INDEX_BYTES * len(self.shape) if self.sparse else 0)
        return float(self.entries) * width

    @property
    def whole_entries(self) -> float:
        """Of the tensor over all ranks, zeros among them."""
        return float(math.prod(self.shape))

    @property
    def dense_bytes(self) -> float:
        """Of this rank's part of the tensor with its zeros, of which there are never more (tensor/densify.py)."""
        with_zeros = min(self.whole_entries, MOST_ENTRIES) / self.ranks
        return (with_zeros if self.sparse else float(self.entries)) * self.dtype.itemsize

    def factor_bytes(self, columns: float) -> float:
        """Of a factor of so many columns for every mode, whole."""
        return float(sum(self.shape)) * columns * self.dtype.itemsize


def admit(job: Job[Any], head: TensorHead, needs: Callable[[TensorHead], Need] | None) -> None:
    """Reserves the memory for a tensor and what becomes of it; says which modes hardly use their rows. A collective.

    Raises UserError where there is not enough.
    """
    need = Need({"tensor": head.bytes}, "leave out rows") if needs is None else needs(head)
    hints = []
    for mode in head.barely_used:
        hint = f"mode {mode} has {head.shape[mode]:,} rows, of which at most {head.records:,} are used"
        hints.append(f". {hint[0].upper()}{hint[1:]}: number these from 0, or write them as text, which is numbered")
        job.note(
            f"warning: {hint}: every row costs memory and time. Number those that are used from 0, or write them as "
            "text (labels), which is numbered as it comes"
        )
    if job.world.device.type != "cpu":
        read = Need({"tensor, on its way to the GPU": head.bytes}, "leave out rows")
        refuse_beyond(job, read, device=torch.device("cpu"))
    reserve(job, need, "".join(hints))
