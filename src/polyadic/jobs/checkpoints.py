"""The state of a fit at a step, and the place where such states are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Snapshot:
    """The state of a fit at a step: tensors and numbers by their names."""

    step: int
    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, float]


class Checkpoints(Protocol):
    """A place where snapshots are kept; it may be one that keeps nothing."""

    def due(self) -> bool:
        """Whether enough time has passed since the last snapshot."""

    def save(self, snapshot: Snapshot) -> None:
        """Keeps a snapshot, whole or not at all."""

    def latest(self) -> Snapshot | None:
        """The newest snapshot that is whole; None where there is none."""
