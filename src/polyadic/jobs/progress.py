"""Where an iterative fit stands -> a snapshot, and back: a dataclass of tensors, lists of them, numbers and a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from polyadic.jobs.checkpoints import Snapshot
from polyadic.lowrank.model import in_order, numbered
from polyadic.tensor.cp_tensor import CPTensor

P = TypeVar("P")
Rows = Callable[[list[Tensor]], list[Tensor]]


def same(factors: list[Tensor]) -> list[Tensor]:
    """The rows of a fit whose factors are whole on every rank."""
    return factors


def freeze(progress: Any, step: int, whole: Rows = same) -> Snapshot:
    """A snapshot of a fit's progress; `whole` makes whole factors of the rows that a rank holds (a collective)."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, float] = {}
    for one in fields(progress):
        value = getattr(progress, one.name)
        if isinstance(value, Tensor):
            tensors[one.name] = value
        elif isinstance(value, list):
            tensors |= numbered(one.name, whole(value) if one.name == "factors" else value)
        elif isinstance(value, CPTensor):
            tensors |= {f"{one.name}_weights": value.weights, **numbered(f"{one.name}_factors", whole(value.factors))}
            numbers[f"{one.name}_relative_error"] = value.relative_error
        elif isinstance(value, int | float):
            numbers[one.name] = value
    return Snapshot(step, tensors, numbers)


def thaw(kind: type[P], snapshot: Snapshot, device: torch.device, held: Rows = same) -> P:
    """The progress that a snapshot was made of; `held` takes a rank's rows of whole factors."""
    tensors = {name: tensor.to(device) for name, tensor in snapshot.tensors.items()}
    values: dict[str, Any] = {}
    for one in fields(kind):  # type: ignore[arg-type]  # P is a dataclass, which no bound can say.
        name = one.name
        if name in snapshot.numbers:
            number = snapshot.numbers[name]
            values[name] = int(number) if one.type == "int" else number
        elif name in tensors:
            values[name] = tensors[name]
        elif f"{name}_weights" in tensors:
            factors = held(in_order(f"{name}_factors", tensors))
            values[name] = CPTensor(tensors[f"{name}_weights"], factors, snapshot.numbers[f"{name}_relative_error"])
        elif f"{name}_0" in tensors:
            rows = in_order(name, tensors)
            values[name] = held(rows) if name == "factors" else rows
    return kind(**values)
