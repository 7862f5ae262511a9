"""Is the challenger better? A verdict that may be asked for after every request, and what is missing for one."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polyadic.variants.errors import VariantError, require_share
from polyadic.variants.scores import Clusters, clusters_of, past_prediction, split_scores
from polyadic.variants.sequences import (
    HORIZON,
    START,
    ConfidenceSequence,
    asymptotic,
    bernstein_radius,
    checked,
    empirical_bernstein,
    running_moments,
    unit_radius,
)

Values = NDArray[np.float64]
ARM_START = 250
"""Of a split the smaller side needs this many clusters: its few large scores make the normal law come later."""
EVENTS = 30
"""Clusters that are unlike the most frequent value, of pairs in all and of a split on each side: a sale, a fault."""
ROUNDING = 1e-12
MOST_UNITS = 10**9
LOOKS = 2000
"""Numbers of clusters that are tried for how many it takes: each is about a hundredth more than the one before."""


class Verdict(StrEnum):
    """What the interval of the difference says of the challenger."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Plan:
    """What is fixed before anyone looks.

    `alpha` is the chance that any verdict of better or worse is wrong, over all looks and all `tests`: challengers, and
    the ways in which each of them is compared. A difference within ± `margin` of mean loss, or within `relative_margin`
    of the champion's mean loss, counts as none. `horizon` is the number of clusters at which the interval is to be the
    tightest. `bounds` of the loss, where it has any, give an interval that is exact for a mean that does not change,
    instead of asymptotic; for a split it also needs `floor`, the least propensity that any request may have.
    """

    alpha: float = 0.05
    margin: float = 0.0
    relative_margin: float = 0.0
    horizon: int = HORIZON
    bounds: tuple[float, float] | None = None
    floor: float = 0.05
    tests: int = 1

    def __post_init__(self) -> None:
        require_share("alpha", self.alpha)
        require_share("floor", self.floor)
        for margin in (self.margin, self.relative_margin):
            if not 0 <= margin < math.inf:
                raise VariantError(f"margin: got {margin}; allowed is a difference of 0 or more")
        if self.tests < 1 or not 1 <= self.horizon < math.inf:
            raise VariantError(f"got tests {self.tests}, horizon {self.horizon}; allowed are numbers of 1 or more")

    @property
    def level(self) -> float:
        """The level of one interval: Bonferroni's share of alpha."""
        return self.alpha / self.tests


@dataclass(frozen=True)
class Comparison:
    """The challenger's mean loss less the champion's: the interval after each cluster, and what it says now."""

    sequence: ConfidenceSequence
    plan: Plan
    requests: int
    champion: float
    """Its mean loss over the same clusters; NaN before the first."""
    verdict: Verdict
    requests_needed: int | None
    """How many more until a verdict, if the difference stays as it is; None where there is one, or none in sight."""

    @property
    def margin(self) -> float:
        """The difference that counts as none."""
        relative = self.plan.relative_margin
        return self.plan.margin + (relative * abs(self.champion) if relative and math.isfinite(self.champion) else 0.0)

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
    _require_bounded(plan, first, second)
    reach = None if plan.bounds is None else plan.bounds[1] - plan.bounds[0]
    differences = second - first
    start = max(START, _enough(groups.any(_unlike_most(differences)), EVENTS))
    champion_mean = float(groups.means(first).mean()) if groups.count else math.nan
    units = _rounded(groups.means(differences), max(_size(first), _size(second)))
    return _judged(units, plan, len(first), start, reach, champion_mean)


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
    for what, given in (("variants", names), ("clusters", clusters), ("covariates", covariate)):
        if given is not None and len(given) != len(y):  # type: ignore[arg-type]
            raise VariantError(f"got {len(given)} {what} for {len(y)} losses; allowed is one for each")  # type: ignore[arg-type]
    p, q = (_propensity(propensities, name, len(y)) for name in (challenger, champion))
    kept = (p > 0) & (q > 0)
    labels = None if clusters is None else [label for label, keep in zip(clusters, kept, strict=True) if keep]
    groups = clusters_of(labels, int(kept.sum()))
    treated, control = (np.array([each == side for each in names[kept]], bool) for side in (challenger, champion))
    p, q, y = p[kept], q[kept], y[kept]
    beside = None if covariate is None else checked(covariate)[kept]
    _require_bounded(plan, y)
    reach = _reach(plan, p, q)
    scores = split_scores(y, treated, control, (p, q), groups, beside, plan.bounds)
    champion_mean = _champion_mean(y, control, q, groups, beside)
    # Before the first cluster nothing is known of the losses: its own score would be the loss itself.
    units = _rounded(groups.means(scores)[1:], _size(y))
    return _judged(units, plan, len(y), _split_start(groups, treated, control, y), reach, champion_mean)


def _champion_mean(y: Values, control: NDArray[np.bool_], q: Values, groups: Clusters, beside: Values | None) -> float:
    """The champion's mean loss over the clusters, by the same weighing as the difference."""
    if not groups.count:
        return math.nan
    prediction = past_prediction(y, groups, beside)
    return float(groups.means(prediction + np.where(control, (y - prediction) / q, 0.0)).mean())


def _propensity(propensities: Mapping[str, ArrayLike], name: str, requests: int) -> Values:
    if name not in propensities:
        raise VariantError(f"there is no propensity of {name!r}; known are {', '.join(propensities) or 'none'}")
    values = np.asarray(propensities[name], dtype=np.float64)
    if values.shape not in ((), (requests,)):
        raise VariantError(f"got propensities of {name!r} of shape {values.shape}; allowed is a number, or {requests}")
    if not ((values >= 0) & (values <= 1)).all():
        raise VariantError(
            f"a propensity of {name!r} is not a number from 0 to 1; leave out requests whose is not known"
        )
    return np.broadcast_to(values, (requests,))


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


def _split_start(groups: Clusters, treated: NDArray[np.bool_], control: NDArray[np.bool_], y: Values) -> int:
    """After how many clusters both sides have ARM_START of them, and EVENTS, or will have at the rate so far."""
    unlike = _unlike_most(y)
    waits = [_enough(groups.any(side), ARM_START) for side in (treated, control)]
    waits += [_enough(groups.any(side & unlike), EVENTS) for side in (treated, control)]
    return max(START, *waits)


def _unlike_most(values: Values) -> NDArray[np.bool_]:
    """Which values are not the most frequent one: of rare events, such as sales, those alone tell something."""
    found, counts = np.unique(values, return_counts=True)
    return values != found[counts.argmax()] if len(found) and counts.max() > 1 else np.ones(len(values), bool)


def _enough(flags: NDArray[np.bool_], wanted: int) -> int:
    """After how many clusters as many have the flag as are wanted, or will have at the rate so far."""
    count = int(flags.sum())
    if count >= wanted:
        return int(np.searchsorted(np.cumsum(flags), wanted)) + 1
    return max(len(flags) + 1, math.ceil(len(flags) * wanted / max(count, 1)))


def _size(values: Values) -> float:
    return float(np.abs(values).max(initial=0.0))


def _rounded(units: Values, size: float) -> Values:
    """The values without what rounding alone has left of a difference."""
    return np.where(np.abs(units) <= ROUNDING * size, 0.0, units)


def _judged(
    units: Values, plan: Plan, requests: int, start: int, reach: float | None, champion_mean: float
) -> Comparison:
    if reach is None:
        sequence = asymptotic(units, plan.level, plan.horizon, start)
    else:
        sequence = empirical_bernstein(units, -reach, reach, plan.level)
    known = Comparison(sequence, plan, requests, champion_mean, Verdict.UNDECIDED, None)
    if not len(units):
        return known
    verdict = _verdict(known)
    missing = None if verdict is not Verdict.UNDECIDED else _units_needed(units, known, start, reach)
    needed = None if missing is None else math.ceil(missing * requests / len(units))
    return replace(known, verdict=verdict, requests_needed=needed)


def _verdict(known: Comparison) -> Verdict:
    """Better first, for whoever is better need not be equivalent; of worse and equivalent the margin decides."""
    (lower, upper), margin = known.interval, known.margin
    if not lower <= known.estimate <= upper:
        return Verdict.UNDECIDED  # The exact interval of a mean that has changed is about its past.
    if upper < 0:
        return Verdict.BETTER
    if margin and -margin <= lower and upper <= margin:
        return Verdict.EQUIVALENT
    return Verdict.WORSE if lower > 0 else Verdict.UNDECIDED


def _units_needed(units: Values, known: Comparison, start: int, reach: float | None) -> int | None:
    """How many more values until the interval leaves 0 or lies within the margin, at today's mean and deviation."""
    count, mean, plan = len(units), abs(float(units.mean())), known.plan
    variance = float(running_moments(units)[1][-1])
    goal = max(mean, known.margin - mean)
    if not 0 < variance < math.inf or goal <= 0:
        return None
    after = np.unique(np.geomspace(max(count + 1, start), MOST_UNITS, LOOKS).astype(np.int64))
    if reach is None:
        radius = math.sqrt(variance) * unit_radius(after, plan.level, plan.horizon)
    else:
        radius = 2 * reach * bernstein_radius(after, variance / (2 * reach) ** 2, plan.level)
    enough = np.flatnonzero(radius < goal)
    return int(after[enough[0]]) - count if len(enough) else None
