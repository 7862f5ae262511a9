"""A report of a regression: how right it is, what its components look at, and a page with all of it.

Shapes: C scores or classes, R components.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from polyadic.reports import regression_figures as figures
from polyadic.reports.page import Picture, document, figure, table, write_page
from polyadic.reports.regression_figures import View

WORDS_SHOWN = 8


@dataclass(frozen=True)
class Component:
    """Of one component: its weight in each score (C), and what it looks at in each modality or mode."""

    weights: Sequence[float]
    views: Sequence[View]


@dataclass(frozen=True)
class Tested:
    """How right the model is on a channel: measures by name, and what pictures are drawn of; None for what is not."""

    measures: Mapping[str, float]
    confusion: NDArray[np.int64] | None = None
    calibration: NDArray[np.float64] | None = None
    pairs: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))


@dataclass(frozen=True, kw_only=True)
class RegressionReport:
    """All that a report tells. history: by sweep or epoch, in training and validation. classes: names, or none.

    coefficients: of small weights each entry by its place, with its interval in refits to samples drawn anew.
    """

    name: str
    hyperparameters: Mapping[str, object]
    step: str
    history: Sequence[tuple[float, float | None]]
    tested: Mapping[str, Tested]
    classes: Sequence[str] = ()
    components: Sequence[Component] = ()
    coefficients: Sequence[tuple[str, float, float, float]] = ()


def write_report(folder: Path, report: RegressionReport) -> None:
    """Writes evaluation.json, components.json, the pictures as .png, and last of all report.html."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "evaluation.json", {channel: _numbers(tested) for channel, tested in report.tested.items()})
    if report.components:
        _write(folder / "components.json", [_described(component) for component in report.components])
    pictures = draw(report)
    for file_name, picture in pictures.items():
        (folder / file_name).write_bytes(picture.png)
    write_page(folder, page(report, pictures))


def draw(report: RegressionReport) -> dict[str, Picture]:
    """The pictures by their file names, as far as there is something to show."""
    pictures = {}
    last = next((report.tested[name] for name in ("test", "validation", "train") if name in report.tested), None)
    if report.components:
        caption = "What each component looks at: red where more raises it, blue where more lowers it"
        shown = [(figures.weighed(part.weights, report.classes), part.views) for part in report.components]
        pictures["components.png"] = Picture(caption, figures.components(shown))
    if last is not None and last.confusion is not None and len(report.classes) <= figures.MOST_CLASSES:
        caption = "How often a sample of a class (row) was told to be of another (column)"
        pictures["confusion.png"] = Picture(caption, figures.confusion(last.confusion, report.classes))
    if last is not None and last.calibration is not None:
        caption = "How often what was told with a probability came true"
        pictures["calibration.png"] = Picture(caption, figures.calibration(last.calibration))
    if last is not None and len(last.pairs):
        pictures["labels.png"] = Picture("Labels, and what was told", figures.pairs(last.pairs))
    if any(math.isfinite(value) for value, _ in report.history):
        caption = f"The mean loss after each {report.step}"
        pictures["loss.png"] = Picture(caption, figures.history(report.history, report.step))
    return pictures


def page(report: RegressionReport, pictures: Mapping[str, Picture]) -> str:
    """An HTML page that needs no other file and no network."""
    channels = list(report.tested)
    names = list(dict.fromkeys(name for tested in report.tested.values() for name in tested.measures))
    measures = [
        (name, *(f"{report.tested[channel].measures.get(name, math.nan):.4g}" for channel in channels))
        for name in names
    ]
    coefficients = [
        (place, f"{value:.4g}", f"{low:.4g} to {high:.4g}") for place, value, low, high in report.coefficients
    ]
    parts = [
        table("Measures", measures, ("measure", *channels)),
        *(figure(file_name, *picture) for file_name, picture in pictures.items()),
        table("Coefficients, the largest first", coefficients, ("entry", "value", "95 % of refits")),
        table("Hyperparameters", report.hyperparameters.items()),
    ]
    return document(report.name, parts)


def _numbers(tested: Tested) -> dict[str, Any]:
    told: dict[str, Any] = {"measures": dict(tested.measures)}
    if tested.confusion is not None:
        told["confusion"] = tested.confusion.tolist()
    if tested.calibration is not None:
        told["calibration"] = [
            {"count": int(count), "probability": mean, "came_true": share}
            for count, mean, share in tested.calibration.tolist()
        ]
    return told


def _described(component: Component) -> dict[str, Any]:
    views = {}
    for view in component.views:
        if view.words is not None:
            views[view.name] = {word: float(value) for value, word in view.top_words(WORDS_SHOWN)}
        else:
            views[view.name] = np.asarray(view.values).tolist()
    return {"weights": list(component.weights), "looks_at": views}


def _write(path: Path, value: object) -> None:
    path.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
