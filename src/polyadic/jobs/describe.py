"""What a model is, in words: its algorithm, its tensors, what was measured, how it was trained."""

from __future__ import annotations

import math
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from polyadic.artifact import DESCRIPTION, read_description
from polyadic.errors import UserError


def describe(model: Path) -> str:
    """Lines of text about a model.tar.gz, or a folder with a model's files; its tensors are not read.

    Raises UserError for what is no model.
    """
    return "\n".join(_lines(_description(model)))


def _description(model: Path) -> Mapping[str, Any]:
    if model.is_dir():
        return read_description(model)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            with tarfile.open(model) as packed:
                member = next((each for each in packed if Path(each.name).name == DESCRIPTION), None)
                file = packed.extractfile(member) if member is not None else None
                if file is not None:
                    (Path(scratch) / DESCRIPTION).write_bytes(file.read())
        except (tarfile.TarError, EOFError, OSError) as error:
            raise UserError(f"{model} cannot be unpacked ({error}): give a model.tar.gz, or its folder") from None
        return read_description(Path(scratch))


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
