"""Samples of a tensor's entries that are the same for any number of ranks, each of which has its part of them.

Uniform over all entries of a dense tensor, or over the nonzeros of a sparse one. Where absent entries are zeros and
their loss has no sum in closed form, half of a sample are entries drawn from all, taken to be zeros; since some of
these are not, a nonzero counts f(x, m) - f(0, m): the semi-stratified samples of Kolda and Hong, "Stochastic gradients
for large-scale tensor decomposition", SIMODS 2020, section 4. Unlike stratified ones, they need no look-up of each
zero among the nonzeros, which here lie on other ranks. A sample as large as what it is drawn from is all of it, once.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from polyadic.decomposition.data import Data
from polyadic.decomposition.gcp.loss import Loss
from polyadic.distributed import World
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.sparse_share import SparseShare

NUMBERED_NONZEROS = 2**22
"""So many nonzeros of all ranks are numbered together: one rank sees all of their keys."""
LARGEST_KEY = 2**62
MIXERS = (0x5851F42D4C957F2D, 0x14057B7EF767814F)
"""Odd multipliers that scatter the bits of a key."""


class Sample(NamedTuple):
    """This rank's part of a sample of S entries.

    places: their indices, N x S; x (S): the data; weight (S): how many entries each stands for; beyond (S): 1 where
    only what a nonzero costs beyond a zero counts.
    """

    places: Tensor
    x: Tensor
    weight: Tensor
    beyond: Tensor

    def split(self, size: int) -> list[Sample]:
        """The same sample in pieces of `size` entries."""
        return [Sample(*parts) for parts in zip(*(torch.split(values, size, -1) for values in self), strict=True)]


class Sampler(Protocol):
    """A share of a tensor that samples of its entries are drawn from."""

    def draw(self, samples: int, seed: tuple[int, int, int]) -> Sample:
        """This rank's part of the sample of a seed."""


def sampler(data: Data, loss: Loss) -> Sampler:
    """The sampler of a tensor, dense or sparse."""
    if isinstance(data.share, SparseShare):
        return NonzeroSampler(data.share) if data.share.observed or loss.zeros else SemiStratified(data.share)
    return Uniform(data.share, data.mask if isinstance(data.mask, DenseShare) else None)


class Uniform:
    """Entries of a dense tensor; those that were not observed weigh nothing."""

    def __init__(self, share: DenseShare, mask: DenseShare | None) -> None:
        self._slab, self.device = share.slab, share.device
        self._seen = None if mask is None else mask.slab.local.reshape(-1)

    def draw(self, samples: int, seed: tuple[int, int, int]) -> Sample:
        """Those of the sampled entries that lie in this rank's slab."""
        slab = self._slab
        index, weight = _anywhere(slab.shape, samples, _generator(seed))
        index = index.to(self.device)
        held = index[slab.mode] - slab.start
        index = index[:, (held >= 0) & (held < slab.local.shape[slab.mode])]
        place = torch.zeros_like(index[0])
        for mode, rows in enumerate(slab.local.shape):
            place = place * rows + index[mode] - (slab.start if mode == slab.mode else 0)
        x = slab.local.reshape(-1).index_select(0, place)
        weights = torch.full_like(x, weight)
        return Sample(index, x, weights if self._seen is None else weights * self._seen[place], torch.zeros_like(x))


class NonzeroSampler:
    """The nonzeros of a sparse tensor; where absent entries are zeros, what they cost beyond zeros in their places."""

    def __init__(self, share: SparseShare) -> None:
        block, self.total, self._beyond = share.block, share.nonzeros, float(not share.observed)
        first = torch.tensor([layer.start for layer in block.layers], device=share.device)
        index = block.tensor.indices + first[:, None]
        order, self._numbers = numbers(index, self.total, share.world)
        self._places, self._values = index.to(torch.int32).index_select(1, order), block.tensor.values[order]

    def draw(self, samples: int, seed: tuple[int, int, int]) -> Sample:
        """Those of the sampled nonzeros that this rank has."""
        return self.nonzeros(samples, _generator(seed))

    def nonzeros(self, samples: int, random: torch.Generator) -> Sample:
        """This rank's part of so many nonzeros, drawn by their numbers."""
        everything = self.total <= samples
        drawn = torch.arange(self.total) if everything else torch.randint(self.total, (samples,), generator=random)
        # In order, a look-up goes through memory once.
        drawn = torch.sort(drawn.to(self._numbers.device)).values
        place = torch.searchsorted(self._numbers, drawn).clamp(max=max(0, len(self._numbers) - 1))
        place = place[self._numbers[place] == drawn] if len(self._numbers) else place[:0]
        x = self._values.index_select(0, place)
        weight = torch.full_like(x, 1 if everything else self.total / samples)
        return Sample(self._places.index_select(1, place).long(), x, weight, torch.full_like(x, self._beyond))


class SemiStratified(NonzeroSampler):
    """The nonzeros of a sparse tensor, and entries from anywhere as its zeros."""

    def __init__(self, share: SparseShare) -> None:
        super().__init__(share)
        self._shape, self._world, self._like = share.shape, share.world, share.block.tensor.values

    def draw(self, samples: int, seed: tuple[int, int, int]) -> Sample:
        """Those of the sampled nonzeros that this rank has, and its share of the zeros: any rank may take any."""
        random, world = _generator(seed), self._world
        nonzeros = self.nonzeros(samples // 2, random)
        index, weight = _anywhere(self._shape, samples - samples // 2, random)
        count = index.shape[1]
        index = index[:, count * world.rank // world.size : count * (world.rank + 1) // world.size]
        zeros = self._like.new_zeros(index.shape[1])
        parts = (index.to(zeros.device), zeros, torch.full_like(zeros, weight), zeros)
        return Sample(*(torch.cat(both, -1) for both in zip(nonzeros, parts, strict=True)))


def numbers(index: Tensor, total: int, world: World) -> tuple[Tensor, Tensor]:
    """An order of this rank's nonzeros (N x M), and the number of each among those of all ranks: M, M.

    total: the nonzeros of all ranks. The numbers follow from a hash of the indices, which is the same whichever rank
    has a nonzero: the keys of all ranks are compared range by range, and each range holds about as many.
    """
    key, order = torch.sort(_hash(index))
    own, before = [], 0
    ranges = -(-total // NUMBERED_NONZEROS)
    edges = torch.tensor([LARGEST_KEY // ranges * n for n in range(1, ranges)], dtype=torch.int64, device=key.device)
    for part in torch.tensor_split(key, torch.searchsorted(key, edges).cpu()):
        keys_of_all = torch.sort(world.gather_rows(part)).values
        own.append(before + torch.searchsorted(keys_of_all, part))
        before += len(keys_of_all)
    return order, torch.cat(own)


def _hash(index: Tensor) -> Tensor:
    """A number below 2^62 for each column, as good as random: multiply and mix the high bits into the low ones."""
    key = torch.zeros_like(index[0], dtype=torch.int64)
    for row in index:
        for mixer in MIXERS:
            key = (key ^ row) * mixer
            key = key ^ ((key >> 32) & 0xFFFFFFFF)
    return key & (LARGEST_KEY - 1)


def _anywhere(shape: tuple[int, ...], samples: int, random: torch.Generator) -> tuple[Tensor, float]:
    """Indices of entries drawn from all (N x S) and the number that each stands for, or all of them."""
    total = math.prod(shape)
    if total <= samples:
        return torch.stack(torch.unravel_index(torch.arange(total), shape)), 1.0
    return torch.stack([torch.randint(rows, (samples,), generator=random) for rows in shape]), total / samples


def _generator(seed: tuple[int, int, int]) -> torch.Generator:
    return torch.Generator().manual_seed(((seed[0] * 1_000_003 + seed[1]) * 1_000_003 + seed[2]) % 2**63)
