"""The model as files: model.json says what it is, model.safetensors holds its tensors; both are data, never code."""

from __future__ import annotations

import os
import platform
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
DESCRIPTION, TENSORS, ARCHIVE = "model.json", "model.safetensors", "model.tar.gz"


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
    def read(model: str | Path) -> Artifact:
        """The artifact of a model.tar.gz, or of a folder that holds one or its files, whatever else lies there.

        Raises UserError for what is no model.
        """
        with opened(model) as folder:
            return Artifact._of(folder)

    @staticmethod
    def _of(folder: Path) -> Artifact:
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


@contextmanager
def opened(model: str | Path, names: tuple[str, ...] = (DESCRIPTION, TENSORS)) -> Iterator[Path]:
    """The folder with a model's files: `model` itself, or where those `names` of an archive lie until it is left.

    Raises UserError for what is no folder and no archive.
    """
    path = Path(model)
    if path.is_dir() and ((path / DESCRIPTION).exists() or not (path / ARCHIVE).is_file()):
        yield path
        return
    archive = path / ARCHIVE if path.is_dir() else path
    with tempfile.TemporaryDirectory() as scratch:
        try:
            with tarfile.open(archive) as packed:
                for member in packed:
                    file = packed.extractfile(member) if Path(member.name).name in names else None
                    if file is not None:
                        with (Path(scratch) / Path(member.name).name).open("wb") as unpacked:
                            shutil.copyfileobj(file, unpacked, 2**20)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            reason = "it is no tar archive" if isinstance(error, tarfile.ReadError) else str(error)
            raise UserError(
                f"{archive} cannot be unpacked ({reason}): give the model.tar.gz of a training job, or its folder"
            ) from None
        except OSError as error:
            raise UserError(f"{archive} cannot be read: {error.strerror or error}") from None
        if not (Path(scratch) / DESCRIPTION).exists():
            raise UserError(f"{archive} holds no {DESCRIPTION}: give the model.tar.gz of a training job, or its folder")
        yield Path(scratch)


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
