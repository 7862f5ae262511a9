"""Observed entries that stand for a tensor in a search: all of them, or a sample, the same for any number of ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.decomposition.data import Data
from polyadic.tensor import kernels
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.sparse_share import SparseShare

Array = NDArray[np.float64]

ENTRIES_PER_NUMBER = 20
"""Entries of a sample for each number of the model: fewer know too little of it, more make its steps dear."""
NEARLY_ALL = 0.7
"""A sample that would hold this part of the entries takes all of them."""
LANES = 4
"""Numbers that the kernels of steps take at a time."""
MOST_ROW_NUMBERS = 2**22
"""Of the matrices R x R of all rows, of which every start that descends has two sets: more are no small problem."""
CHUNK_ENTRIES = 2**22
"""Entries that are looked at together."""
ALIKE, ALIKE_ON_A_SAMPLE = 1e-3, 1e-2
"""Parts of the least squared error; that of a sample is off by more than the first from that of the data."""
CG_STEPS, CG_TOLERANCE = 8, 0.3
"""Of a step in a search: far from its end a more exact one gains little."""


@dataclass(frozen=True)
class Entries:
    """M observed entries of a tensor of `shape`, divided by their norm, the same on every rank, on the CPU.

    places: M x N, each number's row in factors that lie one above another. norm: of the entries over that of all that
    were observed. density: M over the number of all entries. part: M over the number of those observed.
    """

    shape: tuple[int, ...]
    places: NDArray[np.int32]
    values: Array
    norm: float
    density: float
    part: float
    missed: float = 0.0

    @staticmethod
    def of(data: Data, rank: int) -> Entries:
        """All observed entries, or a sample where that is enough of them for a model of this rank; a collective."""
        share, world, shape = data.share, data.world, data.share.shape
        observed = observed_entries(data)
        wanted = ENTRIES_PER_NUMBER * rank * sum(shape)
        part = 1.0 if wanted > NEARLY_ALL * observed else wanted / observed
        pieces = [(places, values) for places, values in _pieces(share, data, part)]
        own_places = torch.cat([places for places, _ in pieces])
        own_values = torch.cat([values for _, values in pieces])
        places, values = world.gather_rows(own_places).cpu().numpy(), world.gather_rows(own_values).cpu().numpy()
        order = np.lexsort(places.T[::-1])  # The same order for any number of ranks.
        places, values = places[order], values[order] / data.norm
        norm = float(np.linalg.norm(values))
        edges = np.concatenate([[0], np.cumsum(shape)])[:-1]
        density = len(values) / math.prod(shape)
        stacked = np.ascontiguousarray(places + edges, np.int32)
        return Entries(shape, stacked, values / (norm or 1.0), norm, density, len(values) / observed)

    @property
    def size(self) -> float:
        """The norm of a whole tensor whose entries are like these."""
        return 1 / math.sqrt(self.density)

    @property
    def agreement(self) -> float:
        """The part of the least squared error within which starts have ended alike."""
        return ALIKE if self.part == 1 else ALIKE_ON_A_SAMPLE

    def step_work(self, rank: int) -> float:
        """The multiplications of a step: an image for each of conjugate gradients, and the rows' own matrices."""
        return float(self.places.size) * rank * (2 * CG_STEPS + rank + 4) + sum(self.shape) * rank**3

    def starts(self, rank: int, seed: int, count: int) -> list[list[Array]]:
        """Algebraic starts: none, since slices with unknown entries have no eigenvectors."""
        return []

    def descend(
        self, stack: Array, edges: NDArray[np.int64], l2: float, tolerance: float, steps: int, state: Array
    ) -> bool:
        """Steps on these entries, as `search.Target` has them."""
        ended: bool = kernels.observed.descend(
            self.places, self.values, edges, stack, l2, self.missed, tolerance, steps, CG_STEPS, CG_TOLERANCE, state
        )
        return ended

    def expanded(self, data: Data, factors: list[Tensor]) -> list[Tensor]:
        """This rank's rows of factors of the data over |X| from factors of these entries: I_n x R, float64."""
        scale = self.norm ** (1 / len(factors))
        return [factor.to(data.share.device) * scale for factor in data.held(factors)]


def first_round(entries: float, shape: Sequence[int], rank: int) -> float:
    """About the multiplications of the first round of a search on so many observed entries, or a sample of them."""
    sample = min(entries, ENTRIES_PER_NUMBER * rank * sum(shape) / NEARLY_ALL)
    return 20.0 * sample * len(shape) * rank * (2 * CG_STEPS + rank)


def row_numbers(shape: Sequence[int], rank: int) -> int:
    """Numbers of the matrices of all rows, as the kernels hold them."""
    return sum(shape) * (-(-rank // LANES) * LANES) ** 2


def observed_entries(data: Data) -> int:
    """How many entries were observed; a collective."""
    if isinstance(data.mask, DenseShare):
        return int(data.mask.square())
    assert isinstance(data.share, SparseShare)
    return data.share.nonzeros


def _pieces(share: DenseShare | SparseShare, data: Data, part: float) -> Iterator[tuple[Tensor, Tensor]]:
    """The indices (M x N, int64) and values (M, float64) of the observed entries of this rank that a sample takes."""
    if isinstance(share, SparseShare):
        tensor = share.block.tensor
        starts = torch.tensor([layer.start for layer in share.layers], device=share.device)
        for first in range(0, max(1, len(tensor.values)), CHUNK_ENTRIES):
            some = slice(first, first + CHUNK_ENTRIES)
            yield _taken(tensor.indices[:, some].T.long() + starts, tensor.values[some], share.shape, part)
        return
    assert isinstance(data.mask, DenseShare)
    slab, local = share.slab, share.slab.local.reshape(-1)
    seen = data.mask.slab.local.reshape(-1)
    for first in range(0, max(1, len(local)), CHUNK_ENTRIES):
        flat = first + (seen[first : first + CHUNK_ENTRIES] > 0).nonzero()[:, 0]
        index = torch.stack(torch.unravel_index(flat, slab.local.shape), 1)
        index[:, slab.mode] += slab.start
        yield _taken(index, local[flat], share.shape, part)


def _taken(index: Tensor, values: Tensor, shape: tuple[int, ...], part: float) -> tuple[Tensor, Tensor]:
    if part < 1:
        keys = np.zeros(len(index), np.uint64)
        for column, rows in zip(index.T.cpu().numpy().astype(np.uint64), shape, strict=True):
            keys = _mixed(keys * np.uint64(rows) + column)
        kept = torch.from_numpy(keys < np.uint64(part * 2**64)).to(index.device)
        index, values = index[kept], values[kept]
    return index, values.double()


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers of 64 bits that look random: the finalizer of SplitMix, Steele, Lea and Flood, OOPSLA 2014."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))
