"""What a decomposition shows of itself: its tensors as .npy, pictures of them, and one page that holds it all."""

from __future__ import annotations

import base64
import html
import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from polyadic.algorithms import _figures as figures
from polyadic.algorithms._spectrum import spectra, strongest_first

if TYPE_CHECKING:
    from polyadic.algorithms._decomposition import DecompositionModel

PAGE = "report.html"


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
    waiting = folder / f".{PAGE}.partial"
    waiting.write_text(page(model, pictures), encoding="utf-8")
    os.replace(waiting, folder / PAGE)


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
    title = f"{model.name} of a {_shape(model)} tensor"
    shown = "".join(_figure(name, about, picture) for name, (about, picture) in pictures.items())
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n</head>\n<body>\n'
        f"<h1>{html.escape(title)}</h1>\n{_table('The model', facts(model).items())}"
        f"{_table('Hyperparameters', model.hyperparameters.items())}{shown}"
        f"{_table('Files beside this page', ((f'{name}.npy', _tensor(one)) for name, one in model.tensors.items()))}"
        "</body>\n</html>\n"
    )


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


def _table(caption: str, rows: Iterable[tuple[str, object]]) -> str:
    cells = "".join(
        f'<tr><th scope="row">{html.escape(str(name))}</th><td>{html.escape(str(value))}</td></tr>\n'
        for name, value in rows
    )
    return f"<table>\n<caption>{html.escape(caption)}</caption>\n<tbody>\n{cells}</tbody>\n</table>\n" if cells else ""


def _figure(name: str, about: str, picture: bytes) -> str:
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    return (
        f'<figure>\n<img src="{source}" alt="{html.escape(about)}">\n'
        f"<figcaption>{html.escape(about)} ({html.escape(name)})</figcaption>\n</figure>\n"
    )


_PLURAL = {"component": "components", "pair of bond indices": "pairs of bond indices"}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#22272e;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem}table{border-collapse:collapse;margin:1.5rem 0;width:100%}"
    "caption{text-align:left;font-weight:600;padding:.25rem 0}"
    "th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-top:1px solid #e6e8eb}"
    "th{font-weight:400;color:#6e7781;width:16rem}td{font-variant-numeric:tabular-nums;overflow-wrap:anywhere}"
    "figure{margin:2rem 0}img{max-width:100%;height:auto}figcaption{color:#6e7781;font-size:.875rem}"
)
