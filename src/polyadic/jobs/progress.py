"""The progress of an iterative fit -> a snapshot, and back.

The progress is a dataclass whose fields are tensors, lists of tensors, numbers, and a CP tensor or None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from polyadic.jobs.checkpoints import Snapshot
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.numbered_names import in_order, numbered

P = TypeVar("P")
Rows = Callable[[list[Tensor]], list[Tensor]]

FACTORS = ("factors", "previous")
"""The fields whose tensors are this rank's rows of factors."""


def same(factors: list[Tensor]) -> list[Tensor]:
    """The rows of a fit whose factors are whole on every rank (`whole` and `held` of such a fit)."""
    return factors


def freeze(progress: Any, step: int, whole: Rows = same) -> Snapshot:
    """A snapshot of a fit's progress.

    whole: makes whole factors (I_n x R) of the rows that this rank holds; a collective.
    """
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, float] = {}
    for field in fields(progress):
        value = getattr(progress, field.name)
        if isinstance(value, Tensor):
            tensors[field.name] = value
        elif isinstance(value, list):
            tensors |= numbered(field.name, whole(value) if field.name in FACTORS and value else value)
        elif isinstance(value, CPTensor):
            tensors |= {
                f"{field.name}_weights": value.weights,
                **numbered(f"{field.name}_factors", whole(value.factors)),
            }
            numbers[f"{field.name}_relative_error"] = value.relative_error
        elif isinstance(value, int | float):
            numbers[field.name] = value
    return Snapshot(step, tensors, numbers)


def thaw(kind: type[P], snapshot: Snapshot, device: torch.device, held: Rows = same) -> P:
    """The progress that a snapshot was made of.

    held: takes this rank's rows of whole factors (I_n x R).
    """
    tensors = {name: tensor.to(device) for name, tensor in snapshot.tensors.items()}
    values: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]  # P is a dataclass, which no bound can say.
        name = field.name
        if name in snapshot.numbers:
            number = snapshot.numbers[name]
            values[name] = int(number) if field.type == "int" else number
        elif name in tensors:
            values[name] = tensors[name]
        elif f"{name}_weights" in tensors:
            factors = held(in_order(f"{name}_factors", tensors))
            values[name] = CPTensor(tensors[f"{name}_weights"], factors, snapshot.numbers[f"{name}_relative_error"])
        elif f"{name}_0" in tensors:
            rows = in_order(name, tensors)
            values[name] = held(rows) if name in FACTORS else rows
    return kind(**values)
