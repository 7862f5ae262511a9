"""Kinds of land by the patch of 9 x 9 pixels and 200 bands around a pixel: Indian Pines, apart in space."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Iterator

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from tensorly.datasets import load_indian_pines

from scripts.bench.measure import OURS, Bound, Case
from scripts.bench.regression_choice import Array, Kind, Split, ours, percent, theirs

SEEDS = 3
HALF, TILE = 4, 10
TRAIN_SHARE = 0.1
CLASSES = 16
KINDS: tuple[Kind, ...] = (("tucker", (1, 1, 8)), ("tucker", (2, 2, 8)))
INVERSES = (1e-4, 1e-2, 1.0)


def run() -> Iterator[Case]:
    """Errors in per cent: of ours, of logistic regression and of a linear support vector machine on vec(X)."""
    splits = [_split(seed) for seed in range(SEEDS)]
    found = [ours(split, KINDS, CLASSES, seed) for seed, split in enumerate(splits)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        regressions = [
            theirs(one, ("patch",), lambda c: LogisticRegression(C=c, max_iter=500), INVERSES) for one in splits
        ]
        machines = [theirs(one, ("patch",), lambda c: LinearSVC(C=c), INVERSES) for one in splits]
    numbers = [count for _, count in found]
    dense = CLASSES * (splits[0].views["patch"][0].size + 1)
    figures = {
        OURS: percent([error for error, _ in found]),
        "logistic regression on vec(X)": percent(regressions),
        "linear support vector machine on vec(X)": percent(machines),
    }
    yield Case(
        key="pines",
        title=f"Indian Pines, 9 x 9 x 200, {len(splits[0].train):,} to train, {len(splits[0].test):,} to test",
        figures=figures,
        spreads={OURS: 100 * statistics.stdev(error for error, _ in found)},
        targets={program: 1.0 for program in figures if program != OURS},
        unit="% wrong",
        bounds=[Bound("numbers of W of those on vec(X)", max(numbers) / dense, 0.05, "value at most")],
        facts={"numbers of W": f"{', '.join(f'{count:,}' for count in numbers)}, of those on vec(X) {dense:,}"},
    ).reported()


def _split(seed: int) -> Split:
    """A tenth of each class to train, in tiles of 10 x 10 pixels; to test what no patch to train has a pixel of.

    A fifth of the tiles to train are to choose by.
    """
    data = load_indian_pines()
    label, image = np.asarray(data.ticks[0]).astype(int), np.asarray(data.tensor, np.float32)
    rows, columns = np.indices(label.shape) // TILE
    tile = rows * (1 + label.shape[1] // TILE) + columns
    random, train = np.random.default_rng(seed), np.zeros(label.shape, bool)
    for kind in range(1, CLASSES + 1):
        own = label == kind
        need = max(5, round(TRAIN_SHARE * own.sum()))
        for one in random.permutation(np.unique(tile[own])):
            cells = np.argwhere(own & (tile == one))[:need]
            train[tuple(cells.T)] = True
            need -= len(cells)
    near = np.zeros(label.shape, bool)
    for row, column in np.argwhere(train):
        near[max(0, row - HALF) : row + HALF + 1, max(0, column - HALF) : column + HALF + 1] = True
    cells = np.concatenate([np.argwhere(train), np.argwhere((label > 0) & ~near)])
    seen = np.arange(train.sum())
    padded = np.pad(image, ((HALF, HALF), (HALF, HALF), (0, 0)), mode="reflect")
    patches = np.stack([padded[row : row + 2 * HALF + 1, column : column + 2 * HALF + 1] for row, column in cells])
    patches = (patches - patches[seen].mean((0, 1, 2))) / patches[seen].std((0, 1, 2))
    tiles = tile[tuple(cells[seen].T)]
    held = random.permutation(np.unique(tiles))[: round(0.2 * len(np.unique(tiles)))]
    validation = seen[np.isin(tiles, held)]
    return Split(
        {"patch": patches}, _zero_based(label[tuple(cells.T)]), seen, np.arange(len(seen), len(cells)), validation
    )


def _zero_based(label: Array) -> Array:
    zero_based: Array = label - 1
    return zero_based
