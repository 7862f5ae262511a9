"""The relative error of a Tucker model |X - Y| / |X|, mostly without forming Y."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from polyadic.decomposition.data import overflow
from polyadic.decomposition.precision import TRUSTED_ROUND_OFFS
from polyadic.decomposition.tucker.progress import Progress
from polyadic.distributed import World
from polyadic.tensor.dense import Slab, longest
from polyadic.tensor.products import multi_mode_product

BLOCK_ENTRIES = 2**18
"""Entries that are reconstructed at a time."""


def relative_error(progress: Progress, slab: Slab, world: World, norm: float, explained: float) -> float:
    """|X - Y| / |X|, the same number on every rank.

    norm: |X|. explained: |X|² - |X - Y|² as the sweep knows it; where its round-off would hide the error, Y is
    reconstructed. Raises UserError where the sums overflow.
    """
    left = norm**2 - explained
    if world.any(left < TRUSTED_ROUND_OFFS * torch.finfo(slab.local.dtype).eps * norm**2):
        factors = [factor.double() for factor in progress.factors]
        left = world.sum_(_residual(slab.local, progress.core.double(), factors)).item()
    if not math.isfinite(left):
        raise overflow(slab.local.dtype)
    # One rank's word: a fit must stop on all of them at once, though their hardware may round differently.
    return world.from_first(math.sqrt(left) / norm)


def _residual(local: Tensor, core: Tensor, factors: list[Tensor]) -> Tensor:
    """|X - Y|² over this rank's slab in float64, no more than a small block of Y at a time."""
    if local.numel() <= BLOCK_ENTRIES:
        return (local.double() - multi_mode_product(core, factors)).square().sum()
    mode = longest(local.shape)
    parts = zip(local.tensor_split(2, mode), factors[mode].tensor_split(2), strict=True)
    return sum(
        (_residual(part, core, [*factors[:mode], rows, *factors[mode + 1 :]]) for part, rows in parts),
        core.new_zeros(()),
    )
