"""What a decomposition shows of itself: its tensors as .npy, pictures of them, and one page that holds it all."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from polyadic.reports import decomposition_figures as figures
from polyadic.reports.page import document, figure, table, write_page
from polyadic.reports.spectrum import spectra, strongest_first

if TYPE_CHECKING:
    from polyadic.lowrank.model import DecompositionModel


def write_report(folder: Path, model: DecompositionModel) -> None:
    """Writes every tensor as NAME.npy, the pictures as .png, and report.html with the pictures in it, that one last.

    The .npy files come first: a fault in a picture leaves them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensor in model.tensors.items():
        np.save(folder / f"{name}.npy", tensor.detach().cpu().numpy(), allow_pickle=False)
    pictures = draw(model)
    for name, (_, picture) in pictures.items():
        (folder / name).write_bytes(picture)
    write_page(folder, page(model, pictures))


def draw(model: DecompositionModel) -> dict[str, tuple[str, bytes]]:
    """The pictures by their file names, each with what it shows."""
    drawn = {}
    with warnings.catch_warnings():
        # A label in a script that the font lacks is drawn as boxes; the log need not name every one of them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        if model.history:
            drawn["fit.png"] = "The relative error after each sweep", figures.fit(model.history)
        drawn["spectrum.png"] = "The spectrum of the model", figures.spectrum(spectra(model.tensors))
        for mode in range(len(model.modes)):
            drawn[f"factors_{mode}.png"] = f"What the model learned of mode {mode}", _draw_mode(model, mode)
    return drawn


def _draw_mode(model: DecompositionModel, number: int) -> bytes:
    mode, parameters = model.modes[number], model.parameters(number)
    places, width = figures.sample(mode.rows), parameters.numel() // mode.rows
    order = strongest_first(model.tensors["weights"]) if "weights" in model.tensors else list(range(width))
    order = order[: figures.COMPONENTS_DRAWN]
    rows = parameters if parameters.ndim == 2 else parameters.movedim(1, 0)
    picked = rows[places].reshape(len(places), width)[:, order].detach().double().cpu().numpy()
    names, columns = _columns(model, parameters, order)
    shown = f"{len(order)} of {width}" if len(order) < width else str(width)
    counted = columns if width == 1 else _PLURAL[columns]
    title = f"Mode {number}: {mode.rows:,} row{'s' * (mode.rows > 1)}, {shown} {counted}"
    title += ", strongest first" if "weights" in model.tensors and width > 1 else ""
    return figures.factor(picked, title, names, columns, mode.rows, places, mode.labels)


def _columns(model: DecompositionModel, parameters: Tensor, order: Sequence[int]) -> tuple[list[str], str]:
    """The names of the columns that are drawn, and what a column is."""
    if parameters.ndim == 3:
        right = parameters.shape[2]
        return [f"{one // right}, {one % right}" for one in order], "pair of bond indices"
    if len(order) > figures.AS_LINES:
        return [str(one) for one in order], "component"
    if "weights" not in model.tensors:
        return [f"component {one}" for one in order], "component"
    weights = model.tensors["weights"].tolist()
    return [f"component {one}, weight {weights[one]:,.4g}" for one in order], "component"


def page(model: DecompositionModel, pictures: Mapping[str, tuple[str, bytes]]) -> str:
    """One HTML page that needs no other file and no network."""
    parts = [
        table("The model", facts(model).items()),
        table("Hyperparameters", model.hyperparameters.items()),
        *(figure(name, about, picture) for name, (about, picture) in pictures.items()),
        table("Files beside this page", ((f"{name}.npy", _tensor(one)) for name, one in model.tensors.items())),
    ]
    return document(f"{model.name} of a {_shape(model)} tensor", parts)


def facts(model: DecompositionModel) -> dict[str, str]:
    """What is known of the fit, in words."""
    entries = math.prod(mode.rows for mode in model.modes)
    numbers = sum(tensor.numel() for tensor in model.tensors.values())
    found = {
        "algorithm": model.name,
        "shape": _shape(model),
        "ranks": _ranks(model.tensors),
        "relative error": f"{model.relative_error:.6g}",
        "numbers": f"{numbers:,} for {entries:,} entries, 1 for {entries / numbers:,.3g}",
    }
    if model.history:
        found["sweeps"] = f"{len(model.history):,}"
    if model.seconds is not None:
        found["seconds"] = f"{model.seconds:,.3g}"
    return found | {name: f"{value:.6g}" for name, value in model.metrics.items()}


def _shape(model: DecompositionModel) -> str:
    return " x ".join(f"{mode.rows:,}" for mode in model.modes)


def _ranks(tensors: Mapping[str, Tensor]) -> str:
    if "weights" in tensors:
        return str(len(tensors["weights"]))
    if "core" in tensors:
        return " x ".join(map(str, tensors["core"].shape))
    return ", ".join(str(tensors[f"core_{n}"].shape[2]) for n in range(len(tensors) - 1))


def _tensor(tensor: Tensor) -> str:
    return f"{' x '.join(map(str, tensor.shape))}, {str(tensor.dtype).removeprefix('torch.')}"


_PLURAL = {"component": "components", "pair of bond indices": "pairs of bond indices"}
