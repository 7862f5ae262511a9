"""Starts of a CP fit from eigenvectors: two mixtures of slices that share their factors determine these.

Mixtures S_1 = A D_1 B^T and S_2 = A D_2 B^T with A and B of full column rank give S_1 S_2^-1 = A D_1 D_2^-1 A^-1: the
simultaneous diagonalisation of Leurgans, Ross and Abel, SIAM J. Matrix Anal. Appl. 1993. It is exact where the tensor
has rank R, whatever the angles between the components, and a start where there is noise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

MOST_MODES = 7
"""Modes up to which all 3^N ways to split them are looked at."""


class _Split(NamedTuple):
    """Three groups of modes, of which the first two have `rank` rows or more, and the third has the slices."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    slices: tuple[int, ...]


def algebraic_starts(core: Array, rank: int, seed: int, count: int) -> list[list[Array]]:
    """Up to `count` lists of factors (J_n x R) of a core J_1 x ... x J_N; none where no two groups of modes carry R.

    Each is of other random mixtures of slices.
    """
    split = _split(core.shape, rank)
    if split is None:
        return []
    random = np.random.default_rng(seed)
    try:
        starts = _starts(core, split, rank, random, count)
    except np.linalg.LinAlgError:  # No mixture of slices is of full rank.
        return []
    return [factors for factors in starts if all(bool(np.isfinite(factor).all()) for factor in factors)]


@cache
def _split(shape: tuple[int, ...], rank: int) -> _Split | None:
    """The way to split the modes into three groups whose first two are smallest; None where there is none."""
    if rank == 1 or not 3 <= len(shape) <= MOST_MODES:
        return None

    def ways() -> Iterator[tuple[int, _Split]]:
        for labels in itertools.product(range(3), repeat=len(shape)):
            groups = [tuple(mode for mode, label in enumerate(labels) if label == group) for group in range(3)]
            rows = [math.prod(shape[mode] for mode in group) for group in groups]
            if all(groups) and min(rows[:2]) >= rank and rows[2] > 1 and groups[0] < groups[1]:
                yield rows[0] * rows[1], _Split(*groups)

    return min(ways(), default=(0, None))[1]


def _starts(core: Array, split: _Split, rank: int, random: np.random.Generator, count: int) -> list[list[Array]]:
    """The factors that `count` pairs of mixtures give."""
    rows = [math.prod(core.shape[mode] for mode in group) for group in split]
    cube = core.transpose([*split.first, *split.second, *split.slices]).reshape(rows)
    left = _leading(cube.reshape(rows[0], -1), rank)
    right = _leading(cube.swapaxes(0, 1).reshape(rows[1], -1), rank)
    small = np.matmul(right.T, (left.T @ cube.reshape(rows[0], -1)).reshape(rank, *rows[1:])).reshape(-1, rows[2])
    deep = min(rank, rows[2])
    pairs = np.linalg.qr(random.standard_normal((count, deep, 2)))[0]
    mixtures = (small @ _leading(small.T, deep)) @ pairs
    first, second = (mixtures[:, :, place].reshape(count, rank, rank) for place in range(2))
    eigenvalues, columns = np.linalg.eig(np.linalg.solve(second.swapaxes(1, 2), first.swapaxes(1, 2)).swapaxes(1, 2))
    # A complex pair spans the same plane as its real and its imaginary part.
    own = np.where(eigenvalues.imag[:, None] < 0, columns.imag, columns.real)
    other = np.linalg.solve(own, second).swapaxes(1, 2)
    other = other / np.maximum(np.linalg.norm(other, axis=1, keepdims=True), 1e-300)
    products = (own[:, :, None] * other[:, None]).reshape(count, rank**2, rank)
    gram = (own.swapaxes(1, 2) @ own) * (other.swapaxes(1, 2) @ other)
    depth = np.linalg.solve(gram, products.swapaxes(1, 2) @ small).swapaxes(1, 2)
    factors: list[Array] = [core] * core.ndim
    for group, grouped in zip(split, (left @ own, right @ other, depth), strict=True):
        for mode, factor in zip(group, _ungrouped(grouped, [core.shape[mode] for mode in group]), strict=True):
            factors[mode] = factor
    return [[factor[start] for factor in factors] for start in range(count)]


def _leading(matrix: Array, count: int) -> Array:
    """The leading left singular vectors of a matrix.

    By torch, which keeps to its caller's threads: numpy's wake up for 50 rows, and take ten times as long beside
    another busy process.
    """
    vectors: Array = torch.linalg.eigh(torch.from_numpy(matrix @ matrix.T))[1][:, -count:].numpy()
    return vectors


def _ungrouped(grouped: Array, rows: Sequence[int]) -> list[Array]:
    """Factors (B x J_n x R) whose Khatri-Rao product is nearest to `grouped` (B x prod J_n x R), column by column."""
    factors = []
    for size in rows[:-1]:
        matrices = grouped.swapaxes(1, 2).reshape(len(grouped), grouped.shape[2], size, -1)
        left, values, right = np.linalg.svd(matrices, full_matrices=False)
        factors.append(left[..., 0].swapaxes(1, 2))
        grouped = (right[..., 0, :] * values[..., :1]).swapaxes(1, 2)
    return [*factors, grouped]
