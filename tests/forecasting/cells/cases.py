"""Cells with options, inputs and states of a size that matters, for the tests of every cell."""

from __future__ import annotations

import itertools
import random
from typing import Any, Literal, get_args, get_origin

import torch
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from polyadic.forecasting.cells import Cell, State
from polyadic.options import Options

MOST_VARIANTS = 10


def choices(field: FieldInfo) -> list[Any]:
    """A few values of an option: every word, yes and no, small whole numbers; its default otherwise."""
    if get_origin(field.annotation) is Literal:
        return list(get_args(field.annotation))
    by_kind: dict[Any, list[Any]] = {bool: [False, True], int: [1, 2, 3]}
    return by_kind.get(field.annotation, [field.default])


def variants(kind: type[Cell]) -> list[Options]:
    """The defaults of a cell's options, and a sample of all combinations of `choices` that the options take."""
    names = list(kind.options.model_fields)
    combinations = list(itertools.product(*(choices(field) for field in kind.options.model_fields.values())))
    chosen = random.Random(0).sample(combinations, min(MOST_VARIANTS, len(combinations)))
    made = [kind.options()]
    for values in chosen:
        try:
            made.append(kind.options(**dict(zip(names, values, strict=True))))
        except ValidationError:
            continue
    return [options for number, options in enumerate(made) if options not in made[:number]]


def perturbed(cell: Cell, batch: int, time: int, inputs: int) -> tuple[Cell, torch.Tensor, State]:
    """The cell with weights of which none is zero, an input (B x T x D) and a state that is not zero."""
    torch.manual_seed(batch + time)
    x = torch.randn(batch, time, inputs)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return cell, x, tuple(0.5 * torch.randn_like(part) for part in cell.initial(x))
