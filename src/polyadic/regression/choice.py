"""The rank and the penalty of a regression, by samples that it is not fitted to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.regression.fit import Regression, tensor_regression
from polyadic.regression.losses import named
from polyadic.regression.product import Product
from polyadic.tensor.arguments import Dense, dense, real

PENALTIES = (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-5)
"""From strong to weak: each fit begins at the weight of the one before."""
RANKS = (1, 2, 3, 4, 6, 8, 12, 16)
LAST_WITHOUT_GAIN = 2
"""So many ranks in a row that are no better end the search."""
PATH_SWEEPS = 40


@dataclass(frozen=True)
class Choice:
    """The rank and the penalty with the least loss of held samples, and the fit to all samples with these.

    losses: the mean loss of the held samples by rank and penalty, of those that were tried.
    """

    rank: Any
    wd: float
    regression: Regression
    losses: dict[tuple[Any, float], float]


def choose(
    samples: Dense | Product,
    label: Dense,
    *,
    ranks: Sequence[Any] = RANKS,
    penalties: Sequence[float] = PENALTIES,
    validation: tuple[Any, Dense] | None = None,
    held_share: float = 0.2,
    seed: int = 0,
    world: World | None = None,
    **fit: Any,
) -> Choice:
    """The best of several ranks and penalties by samples that are held out, fitted once more to all of them.

    samples, label, world and `fit` are as `tensor_regression` has them. ranks: in rising order; the search ends after
    two in a row that are no better. penalties: of each rank, in falling order, each fit beginning at the one before.
    validation: samples and labels to choose by; without them a share of the samples, drawn from the seed, which the
    last fit has as well. Raises UserError where that leaves no sample on one side.
    """
    world = world or World.alone()
    x = samples if isinstance(samples, Product) else dense(samples, "samples")
    y = dense(label, "label").reshape(-1)
    if validation is None:
        share = real(held_share, "held_share", 0)
        held = torch.rand(len(y), generator=torch.Generator().manual_seed(seed + world.rank)) < share
        parts = (x[~held], y[~held]), (x[held], y[held])
    else:
        given, labels = validation
        shown = given if isinstance(given, Product) else dense(given, "validation")
        parts = (x, y), (shown, dense(labels, "validation labels").reshape(-1))
    if not all(world.any(len(part) > 0) for _, part in parts):
        raise UserError(f"{len(y)} samples are too few to hold {held_share:g} of them out: give validation samples")
    losses: dict[tuple[Any, float], float] = {}
    best, without_gain = (math.inf, ranks[0], penalties[0]), 0
    for rank in ranks:
        own = _path(parts, rank, penalties, seed, world, fit)
        losses |= {(rank, wd): loss for wd, loss in own.items()}
        wd = min(own, key=lambda wd: own[wd])
        without_gain = 0 if own[wd] < best[0] else without_gain + 1
        best = min(best, (own[wd], rank, wd), key=lambda tried: tried[0])
        if without_gain >= LAST_WITHOUT_GAIN:
            break
    _, rank, wd = best
    return Choice(rank, wd, tensor_regression(x, y, rank, wd=wd, seed=seed, world=world, **fit), losses)


def _path(
    parts: Any, rank: Any, penalties: Sequence[float], seed: int, world: World, fit: dict[str, Any]
) -> dict[float, float]:
    """The mean loss of held samples by penalty."""
    (x, y), (held_x, held_y) = parts
    losses, begun = {}, None
    for wd in penalties:
        options = {"max_sweeps": PATH_SWEEPS, "stop_tol": 1e-5, **fit}
        found = tensor_regression(x, y, rank, wd=wd, seed=seed, world=world, init=begun, **options)
        begun = found.weight
        losses[wd] = _held_loss(found, held_x, held_y, world)
    return losses


def _held_loss(found: Regression, x: Any, y: Tensor, world: World) -> float:
    """The mean loss over the held samples of all ranks; a collective."""
    loss = named(found.loss).value(found.scores(x.to(world.device) if isinstance(x, Tensor) else x), y.to(world.device))
    sums = torch.stack([loss.sum().double(), torch.tensor(float(len(y)), dtype=torch.float64, device=world.device)])
    total, count = world.sum_(sums).tolist()
    return float(total / max(count, 1))
