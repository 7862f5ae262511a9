"""Columns of an unfolding drawn by the leverage scores of the rows that make them.

CP-ARLS-LEV: Larsen and Kolda, "Practical leverage-based sampling for low-rank tensor decomposition", SIMAX 2022.
Shapes: S sampled columns, each a tuple of rows of the N - 1 modes beside the unfolded one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.tensor.columns import Rows


@dataclass(frozen=True)
class Sample:
    """Columns of an unfolding, of which one may occur several times.

    index (N - 1 x S): the rows of the other modes that make each; weights (S, float64): theirs in the squared residual.
    """

    index: Tensor
    weights: Tensor


def draw(rows: list[Rows], samples: int, seed: tuple[int, int, int]) -> Sample:
    """A sample of columns, each drawn with the product of the probabilities of its rows.

    rows: the probabilities of the rows of each other mode. seed: the sample is a function of it.
    Every column with a probability above 1 / samples is taken once, with weight 1; let P be their total probability.
    To them come `samples` random draws without those that hit such a column: of the s draws that remain, one of a
    column with probability p has weight (1 - P) / (s p).
    """
    likely, mass = _likely(rows, 1 / samples)
    number = ((seed[0] * 1_000_003 + seed[1]) * 1_000_003 + seed[2]) % 2**63
    random = torch.Generator().manual_seed(number)
    uniform = torch.rand(len(rows), samples, generator=random, dtype=torch.float64)
    chance = torch.ones(samples, dtype=torch.float64, device=likely.device)
    index = torch.stack([mode_rows.draw(places, chance) for mode_rows, places in zip(rows, uniform, strict=True)])
    rare = (chance <= 1 / samples).nonzero().flatten()
    weights = max(0.0, 1 - mass) / (max(1, len(rare)) * chance[rare])
    return Sample(torch.cat([likely, index[:, rare]], 1), torch.cat([weights.new_ones(likely.shape[1]), weights]))


def _likely(rows: list[Rows], least: float) -> tuple[Tensor, float]:
    """The columns with probabilities above `least` (N - 1 x L, L <= 1 / least), and their total probability."""
    index, chance = rows[0].likelier(least)
    index = index[None]
    for mode_rows in rows[1:]:
        order, falling = mode_rows.likelier(least)
        counts = torch.searchsorted(-falling, -least / chance)
        prefix = torch.repeat_interleave(torch.arange(len(chance), device=chance.device), counts)
        place = torch.arange(len(prefix), device=chance.device) - (counts.cumsum(0) - counts)[prefix]
        index = torch.cat([index[:, prefix], order[place][None]])
        chance = chance[prefix] * falling[place]
    return index, float(chance.sum())
