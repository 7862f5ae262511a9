"""Is the challenger better? A verdict that may be asked for after every request, and what is missing for one."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polyadic.variants.errors import VariantError, require_share
from polyadic.variants.scores import Clusters, clusters_of, split_scores
from polyadic.variants.sequences import (
    HORIZON,
    START,
    ConfidenceSequence,
    asymptotic,
    checked,
    empirical_bernstein,
    running_moments,
    unit_radius,
)

Values = NDArray[np.float64]
ARM_START = 200
"""Of a split the smaller side needs this many clusters: its few large scores make the normal law come later."""
MOST_REQUESTS = 10**9


class Verdict(StrEnum):
    """What the interval of the difference says of the challenger."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Plan:
    """What is fixed before anyone looks.

    `alpha` is the chance that any verdict of better or worse is wrong, over all challengers and all looks. A
    difference within ± `margin` of mean loss counts as none. `horizon` is the number of clusters at which the interval
    is to be the tightest. `bounds` of the loss, where it has any, give an interval that is exact instead of asymptotic;
    for a split it also needs `floor`, the least propensity that any request may have.
    """

    alpha: float = 0.05
    margin: float = 0.0
    horizon: int = HORIZON
    bounds: tuple[float, float] | None = None
    floor: float = 0.05
    challengers: int = 1

    def __post_init__(self) -> None:
        require_share("alpha", self.alpha)
        require_share("floor", self.floor)
        if not 0 <= self.margin < math.inf:
            raise VariantError(f"margin: got {self.margin}; allowed is a difference of 0 or more")
        if self.challengers < 1:
            raise VariantError(f"challengers: got {self.challengers}; allowed is a number of 1 or more")

    @property
    def level(self) -> float:
        """The level of one challenger's interval: Bonferroni's share of alpha."""
        return self.alpha / self.challengers


@dataclass(frozen=True)
class Comparison:
    """The challenger's mean loss less the champion's: the interval after each cluster, and what it says now."""

    sequence: ConfidenceSequence
    plan: Plan
    requests: int
    verdict: Verdict
    requests_needed: int | None
    """How many more until a verdict, if the difference stays as it is; None where there is one, or none in sight."""

    @property
    def estimate(self) -> float:
        """The difference so far; NaN before the first request."""
        return float(self.sequence.estimate[-1]) if len(self.sequence) else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The interval now."""
        if not len(self.sequence):
            return -math.inf, math.inf
        return float(self.sequence.lower[-1]), float(self.sequence.upper[-1])


def compare_pairs(
    champion: ArrayLike,
    challenger: ArrayLike,
    plan: Plan = Plan(),
    clusters: Sequence[Hashable] | None = None,
) -> Comparison:
    """Compare two variants that both answered each of N requests: by shadow, or by replay of captured requests.

    Takes the losses of both (N,), smaller is better, in the order of the requests, and optionally the cluster of each
    request. A pair cancels what makes a request hard, so that a few hundred show what takes a split thousands.
    """
    first, second = checked(champion), checked(challenger)
    if len(first) != len(second):
        raise VariantError(f"got {len(first)} and {len(second)} losses; allowed are pairs")
    groups = clusters_of(clusters, len(first))
    reach = None if plan.bounds is None else plan.bounds[1] - plan.bounds[0]
    _require_bounded(plan, first, second)
    return _judged(groups.means(second - first), plan, groups, START, reach)


def compare_split(
    losses: ArrayLike,
    variants: Sequence[str] | NDArray[Any],
    propensities: Mapping[str, ArrayLike],
    champion: str,
    challenger: str,
    plan: Plan = Plan(),
    clusters: Sequence[Hashable] | None = None,
    covariate: ArrayLike | None = None,
) -> Comparison:
    """Compare two variants of which one answered each of N requests, drawn with known propensities that may change.

    Takes the loss of each request (N,), the variant that answered it, for each variant its propensity at the moment
    (N,) or for all (a number), and optionally a cluster and a covariate for each request. Where users are assigned for
    good, the user is the cluster. Requests that one of the two could not have got say nothing of their difference and
    are left out.
    """
    y, names = checked(losses), np.asarray(variants, dtype=object)
    if len(names) != len(y):
        raise VariantError(f"got {len(names)} variants for {len(y)} losses; allowed is one for each")
    p, q = (_propensity(propensities, name, len(y)) for name in (challenger, champion))
    kept = (p > 0) & (q > 0)
    labels = None if clusters is None else [label for label, keep in zip(clusters, kept, strict=True) if keep]
    groups = clusters_of(labels, int(kept.sum()))
    treated, control = (np.array([each == side for each in names[kept]], bool) for side in (challenger, champion))
    p, q = p[kept], q[kept]
    beside = None if covariate is None else checked(covariate)[kept]
    _require_bounded(plan, y)
    scores = split_scores(y[kept], treated, control, (p, q), groups, beside, plan.bounds)
    reach = _reach(plan, p, q)
    return _judged(groups.means(scores), plan, groups, _split_start(groups, treated, control), reach)


def _propensity(propensities: Mapping[str, ArrayLike], name: str, requests: int) -> Values:
    if name not in propensities:
        raise VariantError(f"there is no propensity of {name!r}; known are {', '.join(propensities) or 'none'}")
    return np.broadcast_to(np.asarray(propensities[name], dtype=np.float64), (requests,))


def _require_bounded(plan: Plan, *losses: Values) -> None:
    for each in losses:
        if plan.bounds is not None and len(each) and not plan.bounds[0] <= each.min() <= each.max() <= plan.bounds[1]:
            low, high = plan.bounds
            raise VariantError(
                f"losses lie from {each.min():g} to {each.max():g}; the plan's bounds are {low} and {high}"
            )


def _reach(plan: Plan, p: Values, q: Values) -> float | None:
    """The greatest absolute score of a bounded loss: what it may differ from its prediction, over the floor."""
    if plan.bounds is None:
        return None
    least = min(p.min(initial=1.0), q.min(initial=1.0))
    if least < plan.floor - 1e-9:
        raise VariantError(
            f"a request had a propensity of {least:g}, below the plan's floor of {plan.floor:g}; give a floor that no "
            "propensity goes below, or no bounds"
        )
    return (plan.bounds[1] - plan.bounds[0]) / plan.floor


def _split_start(groups: Clusters, treated: NDArray[np.bool_], control: NDArray[np.bool_]) -> int:
    """After how many clusters both sides have ARM_START of them, or will have at the rate so far."""
    arms = np.minimum(np.cumsum(groups.any(treated)), np.cumsum(groups.any(control)))
    if groups.count and arms[-1] >= ARM_START:
        return max(START, int(np.searchsorted(arms, ARM_START)) + 1)
    smaller = int(arms[-1]) if groups.count else 0
    return max(ARM_START, groups.count + 1, math.ceil(groups.count * ARM_START / max(smaller, 1)))


def _judged(units: Values, plan: Plan, groups: Clusters, start: int, reach: float | None) -> Comparison:
    if reach is None:
        sequence = asymptotic(units, plan.level, plan.horizon, start)
    else:
        sequence = empirical_bernstein(units, -reach, reach, plan.level)
    requests = len(groups.number)
    if not len(units):
        return Comparison(sequence, plan, 0, Verdict.UNDECIDED, None)
    lower, upper = float(sequence.lower[-1]), float(sequence.upper[-1])
    verdict = _verdict(lower, upper, plan.margin)
    missing = None if verdict is not Verdict.UNDECIDED else _units_needed(units, plan, start)
    needed = None if missing is None else math.ceil(missing * requests / len(units))
    return Comparison(sequence, plan, requests, verdict, needed)


def _verdict(lower: float, upper: float, margin: float) -> Verdict:
    if upper < 0:
        return Verdict.BETTER
    if lower > 0:
        return Verdict.WORSE
    return Verdict.EQUIVALENT if margin and -margin <= lower and upper <= margin else Verdict.UNDECIDED


def _units_needed(units: Values, plan: Plan, start: int) -> int | None:
    """How many more values until the interval leaves 0 or lies within the margin, at today's mean and deviation."""
    count, mean = len(units), abs(float(units.mean()))
    deviation = math.sqrt(float(running_moments(units)[1][-1])) if count > 1 else math.inf
    goal = max(mean, plan.margin - mean)
    if not deviation < math.inf or goal <= 0:
        return None
    low, high = max(count + 1, start), MOST_REQUESTS
    if deviation * float(unit_radius(high, plan.level, plan.horizon)) > goal:
        return None
    while low < high:
        middle = (low + high) // 2
        enough = deviation * float(unit_radius(middle, plan.level, plan.horizon)) < goal
        low, high = (low, middle) if enough else (middle + 1, high)
    return low - count
