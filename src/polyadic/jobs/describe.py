"""What a model is, in words: its algorithm, its tensors, what was measured, how it was trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from polyadic.artifact import DESCRIPTION, opened, read_description


def describe(model: str | Path) -> str:
    """Lines of text about a model.tar.gz, or a folder with one or with its files; its tensors are not read.

    Raises UserError for what is no model.
    """
    with opened(model, (DESCRIPTION,)) as folder:
        return "\n".join(_lines(read_description(folder)))


def _lines(description: Mapping[str, Any]) -> Iterator[str]:
    shapes: Mapping[str, list[int]] = description["shapes"]
    yield f"{description['algorithm']}, {sum(map(math.prod, shapes.values())):,} numbers in {len(shapes)} tensors"
    versions = ", ".join(f"{name} {number}" for name, number in description.get("versions", {}).items())
    yield f"made by {versions}"
    for title, values in (
        ("tensors", {name: " x ".join(map(str, shape)) or "a number" for name, shape in shapes.items()}),
        ("metrics", {name: f"{value:.6g}" for name, value in description["metrics"].items()}),
        ("hyperparameters", description["hyperparameters"]),
    ):
        if values:
            width = max(map(len, values))
            yield f"{title}:"
            yield from (f"  {name:<{width}}  {value}" for name, value in values.items())
