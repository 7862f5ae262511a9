"""Samples divided to train, to choose and to test by; our regression and logistic regression, each at its best choice.

Every choice (form, rank, penalty) is made on a part of the training samples; test samples are scored once.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from polyadic.regression import Product, tensor_regression

Array = NDArray[Any]
Kind = tuple[str, int | tuple[int, ...]]
"""A form of W, and its rank."""
PENALTIES = (1e-3, 1e-2)
INVERSE_PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
VALIDATION_SHARE = 0.2
MOST_DEVIATIONS = 5.0


@dataclass(frozen=True)
class Split:
    """Samples by the names of their views, labels, and the numbers of those to train, to choose and to test by."""

    views: dict[str, Array]
    label: Array
    train: Array
    test: Array
    validation: Array

    @property
    def fitted(self) -> Array:
        """Those to train that are not to choose by."""
        return np.setdiff1d(self.train, self.validation)


def drawn(views: dict[str, Array], label: Array, share: float, seed: int) -> Split:
    """A share of the samples to train."""
    order = np.random.default_rng(seed).permutation(len(label))
    cut = round(share * len(label))
    return held(views, label, order[:cut], order[cut:], seed)


def a_class(views: dict[str, Array], label: Array, count: int, seed: int) -> Split:
    """`count` samples of each class to train, and of these a fifth of each class to choose by."""
    random = np.random.default_rng(seed)
    orders = [random.permutation(np.flatnonzero(label == one)) for one in np.unique(label)]
    train, test = (np.concatenate([order[part] for order in orders]) for part in (slice(count), slice(count, None)))
    held = np.concatenate([order[: round(VALIDATION_SHARE * count)] for order in orders])
    return Split(views, label, train, test, held)


def held(views: dict[str, Array], label: Array, train: Array, test: Array, seed: int) -> Split:
    """A fifth of the samples to train are to choose by."""
    order = np.random.default_rng([seed, 1]).permutation(train)
    return Split(views, label, train, test, order[: round(VALIDATION_SHARE * len(train))])


def ours(split: Split, kinds: Sequence[Kind], outputs: int, seed: int) -> tuple[float, int]:
    """The share of test samples that is wrong, of the form, rank and penalty that are best on those to choose by."""

    def fitted(kind: Kind, wd: float, numbers: Array) -> Any:
        (form, rank), y = kind, torch.from_numpy(split.label[numbers])
        loss = "logistic" if outputs == 1 else "softmax"
        x = _samples(split, numbers, numbers)
        return tensor_regression(
            x, y, rank, weight=form, loss=loss, outputs=outputs, wd=wd, seed=seed, restarts=1, max_sweeps=30,
            stop_tol=1e-4,
        )  # fmt: skip

    def wrong(model: Any, numbers: Array, of: Array) -> float:
        scores = model.scores(_samples(split, of, numbers))
        guess = (scores[:, 0] > 0).long() if outputs == 1 else scores.argmax(1)
        return float((guess.numpy() != split.label[numbers]).mean())

    choices = list(product(kinds, PENALTIES))
    errors = [wrong(fitted(kind, wd, split.fitted), split.validation, split.fitted) for kind, wd in choices]
    kind, wd = choices[int(np.argmin(errors))]
    model = fitted(kind, wd, split.train)
    return wrong(model, split.test, split.train), model.weight.degrees_of_freedom


def _samples(split: Split, by: Array, numbers: Array) -> Any:
    """Samples standardised by some of them: a picture by one deviation, of several views each number by its own."""
    views = list(split.views.values())
    if len(views) == 1:
        pictures, seen = views[0], views[0][by]
        return torch.from_numpy((pictures[numbers] - seen.mean(0)) / seen.std())
    return Product(tuple(_with_one(standardised(view, by)[numbers]) for view in views))


def standardised(view: Array, by: Array) -> Array:
    """Numbers by their deviations, none beyond 5 of them, all together of a mean square of 1; constant ones are 0."""
    mean, deviation = view[by].mean(0), view[by].std(0)
    varies = deviation > 1e-6 * np.abs(view[by]).max(initial=1e-12)
    scaled = np.where(varies, (view - mean) / np.where(varies, deviation, 1), 0)
    bounded: Array = scaled.clip(-MOST_DEVIATIONS, MOST_DEVIATIONS) / np.sqrt(max(varies.sum(), 1))
    return bounded


def _with_one(view: Array) -> torch.Tensor:
    return torch.from_numpy(np.column_stack([np.ones(len(view)), view]))


def logistic(split: Split, names: Sequence[str]) -> float:
    """The share of test samples that logistic regression has wrong, its penalty chosen as ours is."""
    return theirs(split, names, lambda inverse: LogisticRegression(C=inverse, max_iter=5000), INVERSE_PENALTIES)


def theirs(split: Split, names: Sequence[str], make: Callable[[float], Any], inverses: Sequence[float]) -> float:
    """The share of test samples that a model of scikit-learn has wrong, with the best of some inverse penalties."""

    def wrong(inverse: float, numbers: Array, tested: Array) -> float:
        flat = np.hstack([standardised(split.views[name].reshape(len(split.label), -1), numbers) for name in names])
        model = make(inverse).fit(flat[numbers], split.label[numbers])
        return float(1 - model.score(flat[tested], split.label[tested]))

    best = min(inverses, key=lambda inverse: wrong(inverse, split.fitted, split.validation))
    return wrong(best, split.train, split.test)


def percent(errors: Sequence[float]) -> float:
    return 100 * statistics.fmean(errors)
