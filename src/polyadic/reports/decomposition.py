"""A report of a decomposition: its tensors as .npy, pictures of them, and a page with all of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from polyadic.lowrank.indices import Mode
from polyadic.lowrank.model import DecompositionModel
from polyadic.reports import decomposition_figures as figures
from polyadic.reports.page import Picture, document, figure, table, write_page
from polyadic.reports.spectrum import spectra, strongest_first
from polyadic.reports.style import missing_glyphs_ignored


def write_report(folder: Path, model: DecompositionModel) -> None:
    """Writes every tensor as NAME.npy, labels as labels_MODE.txt, pictures, and report.html with the pictures in it.

    A labels_MODE.txt has one label a line, in the order of the rows. A fault in a picture leaves what came before it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensor in model.tensors.items():
        np.save(folder / f"{name}.npy", tensor.detach().cpu().numpy(), allow_pickle=False)
    for mode in model.modes:
        if mode.labels is not None:
            lines = (json.dumps(label, ensure_ascii=False)[1:-1] for label in mode.labels)
            (folder / f"labels_{mode.number}.txt").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    pictures = draw(model)
    for file_name, picture in pictures.items():
        (folder / file_name).write_bytes(picture.png)
    write_page(folder, page(model, pictures))


def draw(model: DecompositionModel) -> dict[str, Picture]:
    """The pictures by their file names: fit.png where there is a history, spectrum.png, factors_0.png, ..."""
    pictures = {}
    with missing_glyphs_ignored():
        if model.history:
            pictures["fit.png"] = Picture("The relative error after each sweep", figures.fit(model.history))
        pictures["spectrum.png"] = Picture("The spectrum of the model", figures.spectrum(spectra(model.tensors)))
        for mode in model.modes:
            pictures[f"factors_{mode.number}.png"] = Picture(
                f"What the model learned of {mode}", _draw_mode(model, mode)
            )
    return pictures


def _draw_mode(model: DecompositionModel, mode: Mode) -> bytes:
    parameters = model.parameters(mode.number)
    row_numbers, columns = figures.sample(mode.rows), parameters.numel() // mode.rows
    order = strongest_first(model.tensors["weights"]) if "weights" in model.tensors else list(range(columns))
    order = order[: figures.COLUMNS_DRAWN]
    rows = parameters if parameters.ndim == 2 else parameters.movedim(1, 0)
    drawn = rows[row_numbers].reshape(len(row_numbers), columns)[:, order].detach().double().cpu().numpy()
    names, kind = _columns(model, parameters, order)
    counted = f"{len(order)} of {columns}" if len(order) < columns else str(columns)
    name = mode.name or f"Mode {mode.number}"
    title = f"{name}: {mode.rows:,} row{'s' * (mode.rows > 1)}, {counted} {kind if columns == 1 else _PLURAL[kind]}"
    title += ", strongest first" if "weights" in model.tensors and columns > 1 else ""
    return figures.factor(
        drawn,
        title=title,
        row_numbers=row_numbers,
        row_count=mode.rows,
        row_labels=mode.labels,
        column_names=names,
        column_kind=kind,
    )


def _columns(model: DecompositionModel, parameters: Tensor, order: Sequence[int]) -> tuple[list[str], str]:
    """The names of the columns that are drawn, and what a column is."""
    if parameters.ndim == 3:
        right = parameters.shape[2]
        return [f"{column // right}, {column % right}" for column in order], _BOND_PAIR
    if len(order) > figures.COLUMNS_DRAWN_AS_LINES:
        return [str(column) for column in order], _COMPONENT
    if "weights" not in model.tensors:
        return [f"component {column}" for column in order], _COMPONENT
    weights = model.tensors["weights"].tolist()
    return [f"component {column}, weight {weights[column]:,.4g}" for column in order], _COMPONENT


def page(model: DecompositionModel, pictures: Mapping[str, Picture]) -> str:
    """An HTML page that needs no other file and no network; pictures by their file names."""
    files = [(f"{name}.npy", _describe(tensor)) for name, tensor in model.tensors.items()]
    labelled = [mode for mode in model.modes if mode.labels is not None]
    files += [(f"labels_{mode.number}.txt", f"the labels of {mode}, in the order of its rows") for mode in labelled]
    parts = [
        table("The model", summarise(model).items()),
        table("Hyperparameters", model.hyperparameters.items()),
        *(figure(file_name, *picture) for file_name, picture in pictures.items()),
        table("Files beside this page", files),
    ]
    return document(f"{model.algorithm} of a {_shape(model)} tensor", parts)


def summarise(model: DecompositionModel) -> dict[str, str]:
    """The figures of the fit by their names, in words: algorithm, shape, ranks, errors, time."""
    entries = math.prod(mode.rows for mode in model.modes)
    numbers = sum(tensor.numel() for tensor in model.tensors.values())
    summary = {
        "algorithm": model.algorithm,
        "shape": _shape(model),
        "ranks": _ranks(model.tensors),
        "relative error": f"{model.relative_error:.6g}",
        "numbers": f"{numbers:,} for {entries:,} entries, 1 for {entries / numbers:,.3g}",
    }
    if model.history:
        summary["sweeps"] = f"{len(model.history):,}"
    if model.seconds is not None:
        summary["seconds"] = f"{model.seconds:,.3g}"
    return summary | {name: f"{value:.6g}" for name, value in model.metrics.items()}


def _shape(model: DecompositionModel) -> str:
    return " x ".join(f"{mode.rows:,}" for mode in model.modes)


def _ranks(tensors: Mapping[str, Tensor]) -> str:
    if "weights" in tensors:
        return str(len(tensors["weights"]))
    if "core" in tensors:
        return " x ".join(map(str, tensors["core"].shape))
    return ", ".join(str(tensors[f"core_{n}"].shape[2]) for n in range(len(tensors) - 1))


def _describe(tensor: Tensor) -> str:
    return f"{' x '.join(map(str, tensor.shape))}, {str(tensor.dtype).removeprefix('torch.')}"


_COMPONENT, _BOND_PAIR = "component", "pair of bond indices"
_PLURAL = {_COMPONENT: "components", _BOND_PAIR: "pairs of bond indices"}
