"""The best CP model of a small tensor: many starts at once, of which those that fall behind are dropped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from polyadic.decomposition.cp.newton import stacked, unstacked
from polyadic.tensor.kernels.threads import in_parallel

FIRST_STARTS = 2
"""Starts of the first race, algebraic where the tensor has such."""
LATER_STARTS = 6
"""Starts of each later race, all random."""
MOST_STARTS = 38
"""Starts in all where the caller gives no number."""
ROUND_STEPS = (10, 15, 25, 50, 100, 300)
"""Steps of a round of a race; after each, the worse half of the starts is dropped."""
FEWEST_RACERS = 2
"""So many starts go on to the end."""
AGREEING_STARTS, AGREEING_AT_ONCE = 3, 2
"""The search ends when so many starts have ended alike."""
NEAR_STEPS = 12
"""Steps after which an algebraic start was not near its end."""
ROUND_OFF = 1e-18
"""A squared relative error that tells no more of which model is better."""
EQUAL = 1e-4
"""Starts within this part of the least squared error fit as well as the best."""
LONGEST = 5.0
"""A component that is so many times as long as the tensor is on its way to infinity: starts that agree on it prove
nothing."""
EXACT = 1e-12
"""The squared relative error of an exact model, which no other start can better."""
TOLERANCE = 1e-4
"""A step of a race is slow that lowers the squared error by less than this part: the best is finished afterwards."""
RANDOM_DAMPING, ALGEBRAIC_DAMPING = 0.1, 1e-3
"""The damping of a first step, as a part of the largest number on the diagonal of J^T J."""
RIDGES, RIDGE_STEPS = (1e-2, 1e-3, 1e-4), 25
"""The l2 of the first steps of every second start of a later race, so many for each, where it is more than the fit's;
of every start, where the best so far has a component too long.

A start whose components would grow against each other, without end, finds bounded ones behind them: docs/decisions.md.
"""
PARALLEL_WORK = 2e5
"""Multiplications of a round from which threads are worth their start."""


class Target(Protocol):
    """A small problem that stands for the data: a core of a tensor, or observed entries."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows of each factor."""

    @property
    def missed(self) -> float:
        """The squared error, as a part of |X|², that no model of it can avoid."""

    @property
    def size(self) -> float:
        """The norm of a whole tensor of the kind."""

    @property
    def agreement(self) -> float:
        """Starts have ended alike that end within this part of the least squared error."""

    def step_work(self, rank: int) -> float:
        """The multiplications of one step from one start."""

    def starts(self, rank: int, seed: int, count: int) -> list[list[NDArray[np.float64]]]:
        """Up to `count` starts (J_n x R) that are near a good model."""

    def descend(
        self,
        stack: NDArray[np.float64],
        edges: NDArray[np.int64],
        l2: float,
        tolerance: float,
        steps: int,
        state: NDArray[np.float64],
    ) -> bool:
        """Up to so many damped Gauss-Newton steps, which change stack and state; whether they have ended.

        stack: factors one above another, which begin at the rows `edges`. state: the damping and its growth, the
        squared misfit, and the steps taken.
        """


@dataclass(eq=False)
class Candidate:
    """A model on its way: factors of a core, one above another (sum of J_n x R), and the state of its descent.

    ridged: whether it begins with RIDGES. squares: the squared error over |X|², with what the core has missed.
    """

    stack: NDArray[np.float64]
    state: NDArray[np.float64]
    algebraic: bool
    ridged: bool = False
    squares: float = float("inf")
    ended: bool = False

    def longest(self, edges: NDArray[np.int64]) -> float:
        """The length of the longest component, over |X|."""
        parts = [np.linalg.norm(self.stack[begin:end], axis=0) for begin, end in pairwise(edges)]
        return float(np.prod(parts, axis=0).max())


def search(
    target: Target,
    rank: int,
    *,
    l2: float,
    seed: int,
    restarts: int | None,
    most: int = MOST_STARTS,
    work: float = math.inf,
) -> list[Candidate]:
    """The candidates of all races that reached their end, or the end of the work, the best one first.

    restarts: how many starts there are; where it is None, races go on until enough of them agree that no better model
    is in reach, or `most` have been made. work: multiplications after which no round and no race begins.
    """
    ended, seed = list[Candidate](), seed % 2**63
    made, steps = 0, work / target.step_work(rank)
    while made < (restarts or most) and (not made or steps > 0):
        count = min(FIRST_STARTS if not made else LATER_STARTS, (restarts or most) - made)
        grows = bool(ended) and ended[0].longest(edges_of(target)) > LONGEST * target.size
        starts = _starts(target, rank, seed, made, count, ridged=grows)
        ended = sorted(ended + _race(target, starts, l2, steps), key=lambda candidate: candidate.squares)
        made, steps = made + count, steps - sum(float(start.state[3]) for start in starts)
        if restarts is None and _settled(target, ended):
            break
    return ended


def least_match(target: Target, rank: int, best: Candidate, others: list[Candidate]) -> float:
    """The least cosine of a component of the best candidate and its counterpart in others that fit as well; or 1."""
    edges, least = edges_of(target), 1.0
    for other in others:
        if other.squares > best.squares * (1 + EQUAL) + ROUND_OFF:
            continue
        cosines = np.ones((rank, rank))
        for begin, end in pairwise(edges):
            one, two = (each.stack[begin:end, :rank] for each in (best, other))
            lengths = np.outer(np.linalg.norm(one, axis=0), np.linalg.norm(two, axis=0))
            cosines *= one.T @ two / np.maximum(lengths, np.finfo(float).tiny)
        least = min(least, float(cosines.max(0).min()), float(cosines.max(1).min()))
    return least


def edges_of(target: Target) -> NDArray[np.int64]:
    """The rows at which the factors begin in a stack, and their end (N + 1)."""
    return np.concatenate([[0], np.cumsum(target.shape)])


def affordable(target: Target, rank: int, work: float) -> bool:
    """Whether the first round of a search keeps within so many multiplications."""
    return FIRST_STARTS * ROUND_STEPS[0] * target.step_work(rank) <= work


def polish(
    whole: Target, factors: list[Tensor], l2: float, stop_tol: float, steps: int
) -> tuple[list[Tensor], float, int]:
    """The factors after up to `steps` steps on small data, which `whole` holds; the squares, and the steps taken."""
    stack, edges = stacked(factors)
    candidate = Candidate(stack, np.array([-ALGEBRAIC_DAMPING, 2.0, 0.0, 0.0]), algebraic=True)
    _descend(whole, [candidate], l2, steps, 2 * stop_tol)
    return unstacked(stack, edges, factors[0].shape[1]), candidate.squares, int(candidate.state[3])


def _settled(target: Target, ended: list[Candidate]) -> bool:
    """Whether the best candidate is exact, or enough others have found the same.

    Two algebraic starts are enough where both began near their end: the tensor is nearly of the rank. Those that began
    further away are of one kind, and count as one. Where the best has a component too long, no number is enough.
    """
    if ended[0].squares < EXACT:
        return True
    if ended[0].longest(edges_of(target)) > LONGEST * target.size:
        return False
    near = [candidate for candidate in ended if candidate.squares <= ended[0].squares * (1 + target.agreement)]
    algebraic = [candidate for candidate in near if candidate.algebraic]
    at_once = [candidate for candidate in algebraic if candidate.state[3] <= NEAR_STEPS]
    different = len(near) - len(algebraic) + min(1, len(algebraic))
    return len(at_once) >= AGREEING_AT_ONCE or different >= AGREEING_STARTS


def _starts(target: Target, rank: int, seed: int, made: int, count: int, *, ridged: bool) -> list[Candidate]:
    """`count` candidates after the first `made`: most of the first ones algebraic, the others random.

    ridged: whether all random ones begin with RIDGES, and not every second of the later ones alone.
    """
    algebraic = [] if made else target.starts(rank, seed, count)
    candidates = [_candidate(factors, ALGEBRAIC_DAMPING, algebraic=True) for factors in algebraic]
    for number in range(made + len(candidates), made + count):
        random = np.random.default_rng((seed, number, 1))  # Trailing zeros would give the stream of the seed alone.
        size = (target.size / rank**0.5) ** (1 / len(target.shape))
        factors = [random.standard_normal((rows, rank)) * (size / rows**0.5) for rows in target.shape]
        with_ridge = ridged or (made > 0 and number % 2 > 0)
        candidates.append(_candidate(factors, RANDOM_DAMPING, algebraic=False, ridged=with_ridge))
    return candidates


def _candidate(
    factors: list[NDArray[np.float64]], damping: float, *, algebraic: bool, ridged: bool = False
) -> Candidate:
    return Candidate(stacked(factors)[0], np.array([-damping, 2.0, 0.0, 0.0]), algebraic, ridged)


def _race(target: Target, starts: list[Candidate], l2: float, most: float) -> list[Candidate]:
    """Descends from every start, with fewer of them after each round; those that are left at the end.

    most: steps, of all starts together, after which no round but the first begins.
    """
    racers, ridged = starts, [start for start in starts if start.ridged]
    if most < len(ridged) * len(RIDGES) * RIDGE_STEPS:
        ridged = []
    for ridge in RIDGES:
        ridge /= target.size**2
        if ridged and ridge > l2:
            _descend(target, ridged, ridge, RIDGE_STEPS)
    for start in ridged:
        start.ended = False
    for number, steps in enumerate(ROUND_STEPS):
        going = [candidate for candidate in racers if not candidate.ended]
        if not going or (number and sum(float(start.state[3]) for start in starts) > most):
            break
        _descend(target, going, l2, steps)
        kept = max(FEWEST_RACERS, len(racers) // 2)
        racers = sorted(racers, key=lambda candidate: candidate.squares)[:kept]
        if racers[0].ended and (racers[0].squares < EXACT or _settled(target, [each for each in racers if each.ended])):
            break
    return racers


def _descend(target: Target, going: list[Candidate], l2: float, steps: int, tolerance: float = TOLERANCE) -> None:
    """Up to `steps` steps of every candidate, side by side."""
    edges = edges_of(target)

    def descend(begin: int, end: int) -> None:
        for candidate in going[begin:end]:
            candidate.ended = target.descend(candidate.stack, edges, l2, tolerance, steps, candidate.state)
            candidate.squares = target.missed + candidate.state[2]

    rank = going[0].stack.shape[1]
    if len(going) == 1 or steps * len(going) * target.step_work(rank) < PARALLEL_WORK:
        descend(0, len(going))
    else:
        in_parallel(descend, list(range(len(going) + 1)))
