"""Sparse tensors for the benchmarks: made ones, and real ones from ../shared/data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from polyadic.formats import tns
from polyadic.tensor.sparse import SparseTensor
from scripts.bench.measure import UnavailableError

DATA = Path(__file__).parents[3] / "shared" / "data"
SHAPE = (2_000, 10_000, 20_000)


def zipf(nonzeros: int, shape: tuple[int, ...] = SHAPE, exponent: float = 0.7, seed: int = 0) -> SparseTensor:
    """Uniform values where every mode's rows are drawn by Zipf's law, each mode in an order of its own."""
    random = np.random.default_rng(seed)
    index = []
    for rows in shape:
        weights = 1 / np.arange(1, rows + 1) ** exponent
        index.append(random.permutation(rows)[random.choice(rows, nonzeros, p=weights / weights.sum())])
    values = torch.from_numpy(random.random(nonzeros, np.float32))
    return SparseTensor(torch.from_numpy(np.stack(index).astype(np.int32)), values, shape).coalesce()[0]


def events(nonzeros: int, components: int, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> SparseTensor:
    """Counts of events of `components` kinds: each kind has rows of its own in each mode, drawn by Zipf's law.

    Logs of who did what and where look like this: a fibre holds few nonzeros. Events are drawn until there are about
    as many nonzeros as asked for.
    """
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(components, 2.0))
    rows = [[random.permutation(n)[: n // 10] for _ in range(components)] for n in shape]
    weights = [1 / np.arange(1, n // 10 + 1) for n in shape]
    keys, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    while len(keys) < nonzeros:
        drawn = []
        for kind, number in enumerate(random.multinomial(max(nonzeros // 4, nonzeros - len(keys)), shares)):
            places = [random.choice(len(w), number, p=w / w.sum()) for w in weights]
            index = [mode[kind][place] for mode, place in zip(rows, places, strict=True)]
            drawn.append(np.ravel_multi_index(index, shape))
        new, new_counts = np.unique(np.concatenate(drawn), return_counts=True)
        keys, place = np.unique(np.concatenate([keys, new]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts, new_counts]))
    coordinates = np.stack(np.unravel_index(keys, shape)).astype(np.int32)
    return SparseTensor(torch.from_numpy(coordinates), torch.from_numpy(counts.astype(np.float32)), shape)


def planted(
    nonzeros: int, components: int, shape: tuple[int, ...] = SHAPE, noise: float = 0.5, seed: int = 0
) -> SparseTensor:
    """A sum of `components` outer products of sparse log-normal columns, every nonzero off by a normal part of it."""
    random = np.random.default_rng(seed)
    unit = (nonzeros / components / 40) ** (1 / (len(shape) - 1))
    sizes = [40, int(unit * 0.9), int(unit / 0.9)]
    index, values = [], []
    for _ in range(components):
        rows = [np.sort(random.choice(n, size, replace=False)) for n, size in zip(shape, sizes, strict=True)]
        columns = [random.lognormal(0, 0.7, size) for size in sizes]
        grid = np.meshgrid(*rows, indexing="ij")
        index.append(np.stack([mode.ravel() for mode in grid]).astype(np.int32))
        values.append(np.einsum("i,j,k->ijk", *columns).ravel())
    noisy = np.concatenate(values)
    noisy *= 1 + noise * random.standard_normal(len(noisy))
    return SparseTensor(
        torch.from_numpy(np.concatenate(index, 1)), torch.from_numpy(noisy.astype(np.float32)), shape
    ).coalesce()[0]


def read_tns(name: str) -> SparseTensor:
    """A FROSTT file of ../shared/data. Raises UnavailableError where it is absent."""
    path = DATA / name
    if not path.exists():
        raise UnavailableError(f"{name} is not in ../shared/data")
    file = tns.read_coordinates(path, 0, 1)
    values = torch.from_numpy(file.values.astype(np.float32))
    return SparseTensor(torch.from_numpy(file.indices.astype(np.int32)), values, file.rows).coalesce()[0]
