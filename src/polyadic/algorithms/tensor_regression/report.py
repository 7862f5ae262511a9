"""What a report tells of a model: how right it is, and what each component of its weight looks at.

Shapes: R components, C scores; I_1 .. I_N the modes of a sample.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.algorithms.tensor_regression.encoders.bag import Bag
from polyadic.algorithms.tensor_regression.encoders.category import Category
from polyadic.algorithms.tensor_regression.encoders.raw import Raw
from polyadic.algorithms.tensor_regression.modality import Modality
from polyadic.algorithms.tensor_regression.model import NAME, Model
from polyadic.algorithms.tensor_regression.solved import Solved
from polyadic.regression.weights.cp import CP
from polyadic.reports.regression import Component, RegressionReport, Tested, write_report
from polyadic.reports.regression_figures import View

COEFFICIENTS_SHOWN = 40


def write_model_report(folder: Path, model: Model) -> None:
    """Writes numbers, pictures and a page of a model into a folder."""
    classes = model.labels.classes or ()
    tested = {
        told.channel: Tested(told.measures, told.confusion_KK, told.calibration, told.pairs)
        for told in model.evaluations
    }
    report = RegressionReport(
        name=NAME,
        hyperparameters=model.settings.model_dump(),
        step="sweep" if model.solver == "als" else "epoch",
        history=model.history,
        tested=tested,
        classes=[str(label) for label in classes],
        components=components(model),
        coefficients=coefficients(model),
    )
    write_report(folder, report)


def components(model: Model) -> list[Component]:
    """Of a weight in CP form that als has solved for; of others nothing that stands for itself.

    What is drawn is the weight times the deviation of a row: what it does to scores, in whatever unit the numbers are.
    """
    scorer = model.scorer
    if not isinstance(scorer, Solved) or not isinstance(scorer.weight, CP):
        return []
    weight = scorer.weight.to(torch.device("cpu"), torch.float64)
    each = (model.standardised or model.modalities).each
    told = []
    for r in range(weight.rank):
        columns = [factor[:, r] for factor in weight.factors]
        if len(each) == 1:
            scaled = [column * scale for column, scale in zip(columns, scales_of(each[0], columns), strict=True)]
            views = views_of_modes(each[0], scaled)
        else:
            views = [
                view_of(modality, column[1:] * entries_of(scales_of(modality, [column[1:]])))
                for modality, column in zip(each, columns, strict=True)
            ]
        told.append(Component(weight.outputs_CR[:, r].tolist(), views))
    return told


def scales_of(modality: Modality, columns: list[Tensor]) -> list[Tensor]:
    """The scales of the rows of each mode; of words and categories, which are counts, 1."""
    encoder = modality.encoder
    if isinstance(encoder, Raw):
        return [scale.double() for scale in encoder.scales]
    return [torch.ones(()).double() for _ in columns]


def entries_of(scales: list[Tensor]) -> Tensor:
    """The products of the scales of all modes, flat."""
    whole = torch.ones(1).double()
    for scale in scales:
        whole = torch.outer(whole, scale.flatten()).flatten()
    return whole


def views_of_modes(modality: Modality, columns: list[Tensor]) -> list[View]:
    """Of one tensor: its picture, or a curve for each mode."""
    if len(columns) == 1:
        return [view_of(modality, columns[0])]
    if modality.kind != "picture":
        return [View(f"{modality.name}, mode {mode}", column.numpy()) for mode, column in enumerate(columns)]
    grid = View(modality.name, torch.outer(columns[0], columns[1]).numpy())
    return [grid] + ([View("channels", columns[2].numpy())] if len(columns[2]) > 1 else [])


def view_of(modality: Modality, numbers: Tensor) -> View:
    """The numbers of a whole modality: a picture (over its channels together), words, or a curve."""
    encoder = modality.encoder
    if isinstance(encoder, Bag | Category):
        words = encoder.vocabulary if isinstance(encoder, Bag) else encoder.names
        return View(modality.name, numbers.numpy(), words)
    shaped: NDArray[np.float64] = numbers.numpy().reshape(modality.shape)
    if shaped.ndim == 1:
        return View(modality.name, shaped)
    return View(modality.name, shaped.sum(2) if modality.kind == "picture" else shaped.reshape(len(shaped), -1))


def coefficients(model: Model) -> list[tuple[str, float, float, float]]:
    """The largest entries of W with the interval of each, where refits were asked for."""
    if model.intervals is None or not isinstance(model.scorer, Solved):
        return []
    whole = model.scorer.weight.full().double().cpu()
    low, high = (part.double() for part in model.intervals)
    order = whole.abs().flatten().argsort(descending=True)[:COEFFICIENTS_SHOWN].tolist()
    told = []
    for place in order:
        index = [int(part) for part in np.unravel_index(place, tuple(whole.shape))]
        named = str(index[:-1] if whole.shape[-1] == 1 else index)
        value, least, most = (float(part.flatten()[place]) for part in (whole, low, high))
        told.append((named, value, least, most))
    return told
