"""What speaks for each of several ranks: the core consistency, and whether halves of the data have the same factors.

All ranks are searched on one core of the data, or on one sample of their observed entries, so that they cost little
more than one; none of them is finished on the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from polyadic.decomposition.cp.compression import Core
from polyadic.decomposition.cp.consistency import CONSISTENT_PERCENT, core_consistency
from polyadic.decomposition.cp.find import Found, Plan, Small, searched, small
from polyadic.decomposition.data import Data
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import Slab, longest
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.sparse_share import SparseShare

SIMILAR = 0.85
"""Components of so much congruence or more are similar: Lorenzo-Seva and ten Berge, Methodology 2006."""

STARTS = 8
"""Of each search: a rank that is too high may have as many ends as starts."""
EFFORT = 0.25
"""The part of the work of a fit's search that each of them may take."""
LEANING, NEARER = 0.5, 0.5
"""Where another component of the other half is nearer than this to one, its counterpart is to be at most so many times
as far from it."""
LEAST_AGREED = 0.5
"""Halves that agree by less than this agree on nothing: those of noise do as much."""
NEARLY = 0.99
"""Ranks on whose components halves agree by this part of the best, or more, are as good."""
FEWEST_ROWS = 4
"""Of the longest mode: a half of one row is a matrix."""


@dataclass(frozen=True)
class Trial:
    """What a rank comes to: its relative error on what stands for the data, and what speaks for it.

    consistency: in percent. split_half: the least congruence of a component of one half of the data and its counterpart
    in the other; None where there are no halves to compare, or the consistency tells enough.
    """

    rank: int
    relative_error: float
    consistency: float
    split_half: float | None

    @property
    def holds(self) -> bool:
        """Whether a model of this rank is trilinear, and is found in each half of the data."""
        return self.consistency >= CONSISTENT_PERCENT and (self.split_half is None or self.split_half >= SIMILAR)


def trials(data: Data, ranks: Sequence[int], *, l2: float, seed: int) -> Iterator[Trial] | None:
    """What each rank comes to; None where searches would take longer than fits of the data. A collective.

    Halves are every second row of the longest mode: Harshman and De Sarbo, in Law et al., Research Methods for
    Multimode Data Analysis, 1984. A matrix has none, since its factors are never unique.
    """
    top = max(ranks)
    whole = small(data, top, seed)
    if whole is None:
        return None
    parts = halves(data) if len(data.share.shape) > 2 else []
    targets = [(part, target) for part in parts if (target := small(part, top, seed)) is not None]
    return _tried(data, whole, targets if len(targets) == 2 else [], ranks, l2, seed)


def highest(tried: Iterable[Trial]) -> Trial:
    """The trial of the highest rank that holds. tried: one or more, ranks rising.

    Where none does, that on which halves agree most, or nearly so; the first one where they agree on none at all.
    """
    first, *others = tried
    trials = [first, *others]
    if any(trial.holds for trial in trials):
        return next(trial for trial in reversed(trials) if trial.holds)
    consistent = [trial for trial in trials if trial.consistency >= CONSISTENT_PERCENT and trial.split_half is not None]
    best = NEARLY * max((trial.split_half or 0.0 for trial in consistent), default=0.0)
    some = consistent if best >= LEAST_AGREED else []
    return next((trial for trial in reversed(some) if (trial.split_half or 0.0) >= best), first)


def _tried(
    data: Data, whole: Small, parts: list[tuple[Data, Small]], ranks: Sequence[int], l2: float, seed: int
) -> Iterator[Trial]:
    for rank in ranks:
        plan, found = Plan(rank, False, l2, None, seed, STARTS, EFFORT), Found()
        model = _model(searched(data, whole, plan, found), data)
        if isinstance(whole, Core):
            inner = _model(found.factors, None)
            consistency = data.world.from_first(core_consistency(Data.of(whole.tensor), inner))
        else:
            whole_model = replace(model, weights=model.weights * data.norm)
            consistency = data.world.from_first(core_consistency(data, whole_model))
        split_half = None
        trilinear = consistency >= CONSISTENT_PERCENT
        if trilinear and parts and all(_may_be_unique(part.share.shape, rank) for part, _ in parts):
            both = [_model(searched(part, target, plan, Found()), part) for part, target in parts]
            split_half = congruence(both[0], both[1], _divided(data))
        yield Trial(rank, found.error, consistency, None if split_half is None else data.world.from_first(split_half))


def _may_be_unique(shape: Sequence[int], rank: int) -> bool:
    """Whether factors in general position are the only ones: Kruskal, Linear Algebra and its Applications 1977.

    A half may be too small for that at a rank that the whole supports.
    """
    return rank == 1 or sum(min(rows, rank) for rows in shape) >= 2 * rank + len(shape) - 1


def halves(data: Data) -> list[Data]:
    """The even and the odd rows of the longest mode; none where a half would hold little. A collective."""
    if data.share.shape[_divided(data)] < FEWEST_ROWS:
        return []
    try:
        return [_half(data, odd) for odd in (0, 1)]
    except UserError:  # Of a half that is all zero, or has no row.
        return []


def congruence(one: CPTensor, other: CPTensor, divided: int) -> float:
    """The least congruence of matched components, the product of their columns' cosines in all modes but one.

    0 where one is nearly as near to the counterpart of another.
    """
    from scipy.optimize import linear_sum_assignment  # Here, so that the library's import is not its.

    cosines = np.ones((one.rank, one.rank))
    for mode, (left, right) in enumerate(zip(one.factors, other.factors, strict=True)):
        if mode != divided:
            columns = [(factor / factor.norm(dim=0).clamp_min(1e-300)).double().cpu() for factor in (left, right)]
            cosines *= (columns[0].T @ columns[1]).numpy()
    # A sign may stand in the divided mode, whose rows are others.
    sizes = np.abs(cosines)
    rows, places = linear_sum_assignment(-sizes)
    matched = sizes[rows, places]
    sizes[rows, places] = 0.0
    # A component in two parts is found in both halves, but the parts are as near to each other.
    others = np.maximum(sizes.max(0)[places], sizes.max(1)[rows])
    apart = (others < LEANING) | (1 - matched <= NEARER * (1 - others))
    return float(np.where(apart, matched, 0.0).min())


def _divided(data: Data) -> int:
    share = data.share
    return share.slab.mode if isinstance(share, DenseShare) else longest(share.shape)


def _half(data: Data, odd: int) -> Data:
    share, mode = data.share, _divided(data)
    shape = list(share.shape)
    shape[mode] = (shape[mode] + 1 - odd) // 2
    if isinstance(share, SparseShare):
        tensor = share.block.tensor
        index = tensor.indices + torch.tensor([[layer.start] for layer in share.layers], device=share.device).int()
        kept = index[mode] % 2 == odd
        index = index[:, kept]
        index[mode] //= 2
        part: SparseTensor | Slab = SparseTensor(index, tensor.values[kept], tuple(shape))
    else:
        slab = share.slab
        first = min((odd - slab.start) % 2, slab.local.shape[mode])
        local = _with_gaps(data).narrow(mode, first, slab.local.shape[mode] - first)
        every = torch.arange(0, local.shape[mode], 2, device=share.device)
        rows = local.index_select(mode, every).contiguous()
        part = Slab(rows, tuple(shape), mode, (slab.start + 1 - odd) // 2)
    return Data.of(part, data.world, observed=data.mask is not None)


def _with_gaps(data: Data) -> Tensor:
    """The slab's entries, NaN where they are unknown."""
    assert isinstance(data.share, DenseShare)
    local = data.share.slab.local
    return local.masked_fill(data.mask.slab.local == 0, torch.nan) if isinstance(data.mask, DenseShare) else local


def _model(factors: list[Tensor], data: Data | None) -> CPTensor:
    """The model of factors, with weights of 1; whole where they are a rank's rows of data."""
    model = CPTensor(torch.ones(factors[0].shape[1], dtype=torch.float64, device=factors[0].device), factors, 0.0)
    return model if data is None else data.whole(model)
