"""The model as files: model.json says what it is, model.safetensors holds its tensors; both are data, never code."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from polyadic.errors import UserError

FORMAT = 1
DESCRIPTION, TENSORS = "model.json", "model.safetensors"


@dataclass(frozen=True)
class Artifact:
    """An algorithm's name and hyperparameters, the tensors it learned, and its figures.

    metadata: what else the algorithm needs to predict, such as the labels of rows; in model.json it is called `facts`.
    metrics: what was measured. Both are JSON values.
    """

    algorithm: str
    hyperparameters: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes both files, the description last: where it is, the model is whole."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        waiting = folder / f".{TENSORS}.partial"
        waiting.write_bytes(save(tensors))
        os.replace(waiting, folder / TENSORS)
        description = {
            "format": FORMAT,
            "algorithm": self.algorithm,
            "hyperparameters": self.hyperparameters,
            "facts": self.metadata,
            "metrics": self.metrics,
            "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()},
            "versions": {
                "polyadic": version("polyadic"),
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }
        waiting = folder / f".{DESCRIPTION}.partial"
        waiting.write_bytes(orjson.dumps(description, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY) + b"\n")
        os.replace(waiting, folder / DESCRIPTION)

    @staticmethod
    def read(folder: Path) -> Artifact:
        """The artifact in a folder, whatever else lies there."""
        description = read_description(folder)
        try:
            tensors = load_file(folder / TENSORS)
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{TENSORS} in {folder} cannot be read ({error}): the archive was cut short or altered. "
                "Copy the training job's model.tar.gz again"
            ) from None
        shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
        if shapes != description["shapes"]:
            raise UserError(f"{TENSORS} in {folder} is not the one that {DESCRIPTION} describes: the two are mixed up")
        return Artifact(
            algorithm=description["algorithm"],
            hyperparameters=description["hyperparameters"],
            tensors=tensors,
            metadata=description["facts"],
            metrics=description["metrics"],
        )


def read_description(folder: Path) -> dict[str, Any]:
    """What model.json in a folder says; UserError where there is none, or none of this format."""
    path = folder / DESCRIPTION
    if not path.is_file():
        names = ", ".join(sorted(entry.name for entry in folder.glob("*"))[:10]) if folder.is_dir() else ""
        raise UserError(
            f"no {DESCRIPTION} in {folder} (found: {names or 'nothing'}): "
            "give the model.tar.gz of a finished Polyadic training job"
        )
    try:
        description: dict[str, Any] = orjson.loads(path.read_bytes())
        known, wanted = description["format"], {"algorithm", "hyperparameters", "facts", "metrics", "shapes"}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise UserError(f"{path} is not a model's description: it was cut short or altered") from None
    if known != FORMAT or not wanted <= description.keys():
        raise UserError(f"{path} has format {known}: this version reads format {FORMAT}")
    return description
