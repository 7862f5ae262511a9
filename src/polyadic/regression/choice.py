"""The rank, the penalty and the smoothness of a regression, by samples that it is not fitted to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.regression.als import State
from polyadic.regression.coarse import LONG
from polyadic.regression.fit import Regression, tensor_regression
from polyadic.regression.given import Given, form_and_loss
from polyadic.regression.product import Product
from polyadic.tensor.arguments import Dense, real

PENALTIES = (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-5)
"""From strong to weak: each fit begins at the weight of the one before."""
WAYS = ((0.0, False), (16.0, False), (16.0, True))
"""Smoothness, and whether W is flat between edges."""
RANKS = (1, 2, 3, 4, 6, 8, 12, 16)
LAST_WITHOUT_GAIN = 2
"""So many ranks in a row that are no better end the search, and so many penalties that of a rank."""
HELD_SHARE = 0.2
PATH_SWEEPS, PATH_TOL = 40, 1e-5
"""Where a fit that is compared ends, unless others are given."""
COPIED_NUMBERS = 2**25
"""Of samples that are divided by copies; larger ones are divided by weights, at the cost of passes over all of them."""


@dataclass(frozen=True)
class Choice:
    """What has the least loss of held samples: rank, penalty, smoothness and edges; and the fit to all with these.

    losses: the mean loss of the held samples by rank, penalty, smoothness and edges, of those that were tried.
    """

    rank: Any
    wd: float
    smoothness: float
    edges: bool
    regression: Regression
    losses: dict[tuple[Any, float, float, bool], float]


def choose(
    samples: Dense | Product,
    label: Dense,
    *,
    ranks: Sequence[Any] = RANKS,
    penalties: Sequence[float] = PENALTIES,
    ways: Sequence[tuple[float, bool]] | None = None,
    validation: tuple[Any, Dense] | None = None,
    held_share: float = HELD_SHARE,
    seed: int = 0,
    world: World | None = None,
    **fit: Any,
) -> Choice:
    """The best of several ranks, penalties and ways to be smooth by samples held out, fitted once more to all.

    samples, label, world and `fit` are as `tensor_regression` has them. ranks: in rising order; the search ends after
    two in a row that are no better. penalties: of each rank, in falling order, each fit beginning at the one before;
    two in a row that are no better end these too.
    ways: smoothness and edges, each with all ranks; None for (0, False), (16, False) and (16, True) where a mode has 16
    rows or more and samples can be copied, else the first.
    validation: samples and labels to choose by; without them a share of the samples, drawn from the seed, which the
    last fit has as well. Where `after_sweep` says stop, the best fit so far is returned, to the samples that it was
    compared on. Raises UserError where that leaves no sample on one side.
    """
    world = world or World.alone()
    if ways is not None:
        ways = [_way(way) for way in ways]
    chosen = {"init", "wd", "smoothness", "edges"}
    if 0 in (len(ranks), len(penalties), 1 if ways is None else len(ways)) or chosen & fit.keys():
        raise UserError(
            "choose tries ranks, penalties and ways: give one or more of each, and no wd, smoothness, edges or init"
        )
    _, loss, outputs = form_and_loss(
        fit.get("weight", "cp"), fit.get("loss", "squared"), fit.get("outputs", 1), isinstance(samples, Product)
    )
    every = Given.of(samples, label, fit.pop("sample_weight", None), loss, outputs, world)
    held = None if validation is None else Given.of(*validation, None, loss, outputs, world, "validation ")
    parts = _divided(every, held, real(held_share, "held_share", 0), seed, world)
    search = _Search(parts, penalties, seed, world, fit)
    for smoothness, edges in ways_tried(every.samples, world) if ways is None else ways:
        search.ranks(ranks, smoothness, edges)
    (rank, wd, smoothness, edges), regression = search.best
    if not search.stopped:
        fitted = search.fit(every, rank, wd, smoothness, edges)
        regression = regression if search.stopped else fitted
    return Choice(rank, wd, smoothness, edges, regression, search.losses)


def _way(way: Any) -> tuple[float, bool]:
    """A smoothness, and whether there are edges; UserError for anything else."""
    if not isinstance(way, Sequence) or len(way) != 2 or not isinstance(way[1], bool):
        raise UserError(f"ways holds {way}: give pairs of a smoothness and of whether there are edges, as (16, True)")
    return real(way[0], "the smoothness of a way", 0), way[1]


class _Search:
    """The losses of held samples by what was tried, and the fit with the least of them.

    stopped: whether `after_sweep` has ended the search.
    """

    def __init__(
        self, parts: Sequence[Given], penalties: Sequence[float], seed: int, world: World, options: dict[str, Any]
    ) -> None:
        self._own, self._held = parts
        self._penalties, self._seed, self._world = penalties, seed, world
        self._options = dict(options)
        self._after_sweep = self._options.pop("after_sweep", lambda _: True)
        self._least = math.inf
        self.losses: dict[tuple[Any, float, float, bool], float] = {}
        self.best: tuple[tuple[Any, float, float, bool], Regression]
        self.stopped = False

    def fit(self, given: Given, rank: Any, wd: float, smoothness: float, edges: bool, **more: Any) -> Regression:
        """A fit to samples."""
        return tensor_regression(
            given.samples, given.label_B, rank, wd=wd, smoothness=smoothness, edges=edges, seed=self._seed,
            sample_weight=given.weight_B, world=self._world, after_sweep=self._watched, **{**more, **self._options},
        )  # fmt: skip

    def ranks(self, ranks: Sequence[Any], smoothness: float, edges: bool) -> None:
        """Tries ranks, until two in a row are no better."""
        without_gain, least = 0, math.inf
        for rank in ranks:
            if self.stopped or without_gain >= LAST_WITHOUT_GAIN:
                return
            loss = self._path(rank, smoothness, edges)
            without_gain, least = 0 if loss < least else without_gain + 1, min(loss, least)

    def _path(self, rank: Any, smoothness: float, edges: bool) -> float:
        """Tries penalties, each fit beginning at the one before, until two in a row are no better; the least loss."""
        begun, without_gain, least = None, 0, math.inf
        for wd in self._penalties:
            shorter = {"max_sweeps": PATH_SWEEPS, "stop_tol": PATH_TOL}
            found = self.fit(self._own, rank, wd, smoothness, edges, init=begun, **shorter)
            begun, loss = found.weight, _held_loss(found, self._held, self._world)
            self.losses[tuple(rank) if isinstance(rank, list) else rank, wd, smoothness, edges] = loss
            if loss < self._least or len(self.losses) == 1:
                self._least, self.best = loss, ((rank, wd, smoothness, edges), found)
            without_gain, least = 0 if loss < least else without_gain + 1, min(loss, least)
            if self.stopped or without_gain >= LAST_WITHOUT_GAIN:
                break
        return least

    def _watched(self, state: State) -> bool:
        self.stopped = self.stopped or not self._after_sweep(state)
        return not self.stopped


def _divided(every: Given, held: Given | None, share: float, seed: int, world: World) -> list[Given]:
    """The samples to fit to, and those to choose by: others that are given, or a share drawn from the seed."""
    if held is not None:
        parts = [every, held]
        if held.samples.shape[1:] != every.samples.shape[1:]:
            raise UserError(f"validation samples have shape {tuple(held.samples.shape)}: give such as are fitted to")
    else:
        drawn = torch.rand(len(every.label_B), generator=torch.Generator().manual_seed(seed + world.rank)) < share
        large = not isinstance(every.samples, Product) and every.samples.numel() > COPIED_NUMBERS
        part = _counted if large else _part
        parts = [part(every, chosen.to(every.label_B.device)) for chosen in (~drawn, drawn)]
    if not all(_total(part, world) > 0 for part in parts):
        raise UserError(f"{len(every.label_B)} samples are too few to hold {share:g} of them out: give validation")
    return parts


def ways_tried(samples: Tensor | Product, world: World) -> tuple[tuple[float, bool], ...]:
    """What is tried where nothing is given; a collective."""
    small = not isinstance(samples, Product) and samples.numel() <= COPIED_NUMBERS
    return WAYS if all(world.collect(small)) and max(samples.shape[1:]) >= LONG else WAYS[:1]


def _total(part: Given, world: World) -> float:
    """The samples of all ranks that count; a collective."""
    own = float(len(part.label_B)) if part.weight_B is None else float(part.weight_B.sum())
    return float(world.sum_(torch.tensor([own], dtype=torch.float64, device=world.device)))


def _part(given: Given, chosen: Tensor) -> Given:
    """Some of the samples."""
    weight_B = None if given.weight_B is None else given.weight_B[chosen]
    return Given(given.samples[chosen], given.label_B[chosen], weight_B)


def _counted(given: Given, chosen: Tensor) -> Given:
    """The same by weights of 0, so that large samples are not copied."""
    weight_B = chosen.double() if given.weight_B is None else given.weight_B * chosen
    return Given(given.samples, given.label_B, weight_B)


def _held_loss(found: Regression, held: Given, world: World) -> float:
    """The mean loss over the held samples of all ranks, infinite where it is no number; a collective."""
    loss = found.losses(held.samples, held.label_B)
    weight_B = torch.ones_like(loss) if held.weight_B is None else held.weight_B
    total, count = world.sum_(torch.stack([(loss * weight_B).sum(), weight_B.sum()])).tolist()
    mean = float(total / max(count, 1e-300))
    return math.inf if math.isnan(mean) else mean
