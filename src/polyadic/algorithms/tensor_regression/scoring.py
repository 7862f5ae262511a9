"""How right a model is on samples with labels: measures by Linear Learner's names, confusion and calibration.

Shapes: B samples of this rank, C scores, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.algorithms.tensor_regression.batches import BATCH_SAMPLES, Data
from polyadic.distributed import World
from polyadic.regression.losses import Loss

MORE_IS_BETTER = (
    "r2",
    "binary_classification_accuracy",
    "binary_f_beta",
    "roc_auc_score",
    "multiclass_accuracy",
    "macro_f_beta",
)
"""Measures of which more is better; of the others, objective_loss, rmse and absolute_loss, less is."""
BINS = 10
MOST_DRAWN = 2000
"""Samples of a rank whose labels and scores a report draws."""


@dataclass(frozen=True)
class Evaluation:
    """measures: by name. confusion_KK: how often a sample of a class (row) was told to be of another (column).

    calibration: of each bin of probabilities how many there were, their mean, and how often they came true. pairs: some
    labels and what was told of them (n x 2); the last three are None where labels are numbers, the last one else.
    """

    channel: str
    measures: dict[str, float]
    confusion_KK: NDArray[np.int64] | None = None
    calibration: NDArray[np.float64] | None = None
    pairs: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))


def evaluate(
    channel: str,
    scores: Callable[..., Tensor],
    data: Data,
    loss: Loss,
    unit: float,
    classes: int | None,
    world: World,
) -> Evaluation:
    """The measures of all ranks' samples; a collective.

    scores: B x C, of the tensors that `Inputs.take` gives. unit: what the loss measures numbers in. classes: K; None
    where labels are numbers.
    """
    device, told = world.device, list[Tensor]()
    for first in range(0, len(data), BATCH_SAMPLES):
        batch = data.inputs.take(slice(first, first + BATCH_SAMPLES))
        told.append(scores(*(part.to(device) for part in batch)).double().cpu())
    outputs = max(world.collect(told[0].shape[1] if told else 0))
    own = torch.cat(told) if told else torch.zeros(0, outputs, dtype=torch.float64)
    label = torch.from_numpy(data.label_B.astype(np.float64))
    weight = torch.from_numpy(data.weight_B.astype(np.float64))
    values = weight * loss.value(own / unit, label / unit) * unit**loss.degree if len(own) else weight
    objective, total = world.sum_(torch.stack([values.sum(), weight.sum()]).to(device)).tolist()
    measures = {"objective_loss": objective / max(total, 1e-300)}
    if classes is None:
        return _of_numbers(channel, measures, own, label, loss, world)
    return _of_classes(channel, measures, own, label, classes, world)


def _of_numbers(
    channel: str, measures: dict[str, float], own: Tensor, label: Tensor, loss: Loss, world: World
) -> Evaluation:
    answer = mean_of(own, loss)[:, 0] if len(own) else torch.zeros(0).double()
    error = answer - label
    parts = torch.stack(
        [error.square().sum(), error.abs().sum(), label.sum(), torch.tensor(float(len(label))).double()]
    )
    squares, absolute, total, count = world.sum_(parts.to(world.device)).tolist()
    count = max(count, 1)
    spread = float(world.sum_((label - total / count).square().sum().reshape(1).to(world.device)))
    measures |= {"rmse": math.sqrt(squares / count), "absolute_loss": absolute / count}
    if spread > 0:
        measures["r2"] = 1 - squares / spread
    pairs = torch.stack([label, answer], 1)[:MOST_DRAWN].numpy()
    return Evaluation(channel, measures, pairs=pairs)


def mean_of(score_BC: Tensor, loss: Loss) -> Tensor:
    """The labels that scores tell."""
    return score_BC.exp() if loss.name == "poisson" else score_BC


def _of_classes(
    channel: str, measures: dict[str, float], own: Tensor, label: Tensor, classes: int, world: World
) -> Evaluation:
    p_BK = probabilities(own)
    told = p_BK.argmax(1)
    confusion = torch.bincount(label.long() * classes + told, minlength=classes**2).reshape(classes, classes)
    confusion = world.sum_(confusion.double().to(world.device)).cpu()
    right, count = float(confusion.diagonal().sum()), max(float(confusion.sum()), 1.0)
    precision = confusion.diagonal() / confusion.sum(0).clamp_min(1)
    recall = confusion.diagonal() / confusion.sum(1).clamp_min(1)
    f_K = 2 * precision * recall / (precision + recall).clamp_min(1e-300)
    if own.shape[1] == 1:
        measures |= {"binary_classification_accuracy": right / count, "binary_f_beta": float(f_K[1])}
        both = world.gather_rows(torch.cat([own, label[:, None]], 1).to(world.device)).cpu()
        measures["roc_auc_score"] = _area(both[:, 0], both[:, 1])
    else:
        measures |= {"multiclass_accuracy": right / count, "macro_f_beta": float(f_K[confusion.sum(1) > 0].mean())}
    sure = p_BK[:, 1] if own.shape[1] == 1 else p_BK.amax(1)
    came = label == 1 if own.shape[1] == 1 else told == label
    place = (sure * BINS).long().clamp(0, BINS - 1)
    columns = (torch.ones_like(sure), sure, came.double())
    bins = torch.stack([torch.bincount(place, column, BINS).double() for column in columns], 1)
    bins = world.sum_(bins.to(world.device)).cpu()
    bins[:, 1:] /= bins[:, :1].clamp_min(1)
    return Evaluation(channel, measures, confusion.long().numpy(), bins.numpy())


def probabilities(score_BC: Tensor) -> Tensor:
    """Of each class: B x K."""
    if score_BC.shape[1] > 1:
        return score_BC.softmax(1)
    p_B1 = score_BC.sigmoid()
    return torch.cat([1 - p_B1, p_B1], 1)


def _area(score_B: Tensor, label_B: Tensor) -> float:
    """The area under the ROC curve: how often a sample of class 1 has the greater score, ties counting half."""
    _, rank = torch.unique(score_B, return_inverse=True)
    counts = torch.bincount(rank)
    middle = torch.cumsum(counts, 0) - (counts - 1) / 2
    ones = float((label_B == 1).sum())
    zeros = len(label_B) - ones
    if not ones or not zeros:
        return math.nan
    return float((middle[rank][label_B == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))
