"""Confidence sequences: intervals for a mean that hold at every look at once, however often one looks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polyadic.variants.errors import VariantError, require_share

Values = NDArray[np.float64]
HORIZON = 2000
"""The number of values at which the interval is the tightest that it can be; to be fixed before one looks."""
START = 100
"""Fewer values than this do not yet follow the central limit theorem: the interval is infinite."""


@dataclass(frozen=True)
class ConfidenceSequence:
    """After each of N values the mean so far and an interval: three arrays (N,).

    With probability 1 - alpha all the intervals hold, those at all of the looks together.
    """

    estimate: Values
    lower: Values
    upper: Values

    def __len__(self) -> int:
        return len(self.estimate)

    def excludes(self, value: float) -> int | None:
        """After how many values the interval excluded `value` for the first time, or None."""
        outside = (self.lower > value) | (self.upper < value)
        return int(outside.argmax()) + 1 if outside.any() else None


def asymptotic(
    values: ArrayLike, alpha: float = 0.05, horizon: int = HORIZON, start: int = START
) -> ConfidenceSequence:
    """The asymptotic confidence sequence of a mean, for values (N,) of finite variance that need no bound.

    mean ± sd sqrt(2 (t r + 1) / (t² r) log(sqrt(t r + 1) / alpha)), with r from `mixture_variance`, and infinite before
    `start` values. Where the mean drifts, the interval is for the mean of the means so far. Waudby-Smith, Arbour,
    Sinha, Kennedy and Ramdas (arXiv 2103.06476), equation 9. Raises VariantError for values that are not finite.
    """
    series = checked(values)
    require_share("alpha", alpha)
    count = np.arange(1, len(series) + 1)
    mean, variance = running_moments(series)
    with np.errstate(invalid="ignore"):
        radius = np.sqrt(variance) * unit_radius(count, alpha, horizon)
    radius[: max(start, 2) - 1] = np.inf
    return ConfidenceSequence(mean, mean - radius, mean + radius)


def unit_radius(count: ArrayLike, alpha: float, horizon: int = HORIZON) -> Values:
    """The half width of the asymptotic sequence after `count` values of variance 1."""
    t, r = np.asarray(count, dtype=np.float64), mixture_variance(alpha, horizon)
    radius: Values = np.sqrt(2 * (t * r + 1) / (t * t * r) * np.log(np.sqrt(t * r + 1) / alpha))
    return radius


def mixture_variance(alpha: float, horizon: int) -> float:
    """rho² = (-2 ln alpha + ln(1 - 2 ln alpha)) / horizon: nearly the tightest interval after `horizon` values."""
    if horizon < 1:
        raise VariantError(f"horizon: got {horizon}; allowed is a number of values of 1 or more")
    return (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / horizon


def always_valid_p(values: ArrayLike, horizon: int = HORIZON, alpha: float = 0.05, start: int = START) -> float:
    """The p-value of a mean of 0 after all of the values, valid at any look; 1 before `start` values.

    min(1, sqrt(t r + 1) exp(-r t² m² / (2 s² (t r + 1)))); it is below alpha where the sequence of that alpha and
    horizon excludes 0.
    """
    series = checked(values)
    if len(series) < max(start, 2):
        return 1.0
    t, r = len(series), mixture_variance(alpha, horizon)
    mean, variance = float(series.mean()), float(series.var(ddof=1))
    if variance == 0:
        return 1.0 if mean == 0 else 0.0
    log_p = 0.5 * math.log(t * r + 1) - r * t * t * mean * mean / (2 * variance * (t * r + 1))
    return math.exp(min(0.0, log_p))


def empirical_bernstein(values: ArrayLike, low: float, high: float, alpha: float = 0.05) -> ConfidenceSequence:
    """The empirical Bernstein confidence sequence of a mean, for values (N,) within [low, high]; exact at any N.

    It is for a mean that does not change: where the mean drifts, the interval lags behind, and may not hold the mean so
    far.

    Scaled to [0, 1]: l_t = min(1/2, sqrt(2 ln(2/alpha) / (s²_{t-1} t ln(1 + t)))); centre Σ l X / Σ l; radius
    (ln(2/alpha) + Σ (X - m_{t-1})² (-ln(1 - l) - l)) / Σ l, where m and s² are running mean and variance that begin
    with one imagined value at 1/2 and a variance of 1/4. Waudby-Smith and Ramdas (2024), theorem 2. Raises
    VariantError for values outside the bounds.
    """
    series = checked(values)
    require_share("alpha", alpha)
    if not -math.inf < low < high < math.inf:
        raise VariantError(f"bounds: got {low} and {high}; allowed are two numbers, the lower first")
    if len(series) and not low <= series.min() <= series.max() <= high:
        found = f"{series.min():g} to {series.max():g}"
        raise VariantError(f"the values lie from {found}; allowed by the given bounds is {low:g} to {high:g}")
    x, t = (series - low) / (high - low), np.arange(1, len(series) + 1)
    mean = (0.5 + np.cumsum(x)) / (t + 1)
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (t + 1)
    mean_before, variance_before = np.r_[0.5, mean[:-1]], np.r_[0.25, variance[:-1]]
    bets = np.minimum(0.5, np.sqrt(2 * math.log(2 / alpha) / (variance_before * t * np.log1p(t))))
    total = np.cumsum(bets)
    penalty = np.cumsum((x - mean_before) ** 2 * (-np.log1p(-bets) - bets))
    centre, radius = np.cumsum(bets * x) / total, (math.log(2 / alpha) + penalty) / total
    scaled = np.cumsum(x) / t, np.maximum(centre - radius, 0.0), np.minimum(centre + radius, 1.0)
    return ConfidenceSequence(*(low + (high - low) * each for each in scaled))


def bernstein_radius(count: ArrayLike, variance: float, alpha: float) -> Values:
    """The half width of the empirical Bernstein sequence after `count` values of a variance, on the scale from 0 to 1.

    The sums over the bets are integrals; it is a forecast, within some per cent.
    """
    wanted = np.asarray(count, dtype=np.float64)
    grid = np.geomspace(1.0, max(float(wanted.max()), 2.0), 4000)
    bets = np.minimum(0.5, np.sqrt(2 * math.log(2 / alpha) / (max(variance, 1e-12) * grid * np.log1p(grid))))
    steps = np.diff(grid, prepend=0.0)
    total = np.cumsum(steps * bets)
    penalty = np.cumsum(steps * variance * (-np.log1p(-bets) - bets))
    return np.interp(wanted, grid, (math.log(2 / alpha) + penalty) / total)


def running_moments(series: Values) -> tuple[Values, Values]:
    """Mean and variance (divided by t - 1) after each value; two arrays (N,), the first variance is infinite."""
    if not len(series):
        return series, series
    t, shift = np.arange(1, len(series) + 1), series.mean()
    centred = series - shift  # Of large numbers that differ little, squares would lose the difference.
    mean = np.cumsum(centred) / t
    variance = np.maximum(np.cumsum(centred**2) - t * mean**2, 0.0) / np.maximum(t - 1, 1)
    variance[0] = np.inf
    return mean + shift, variance


def checked(values: ArrayLike) -> Values:
    """The values as an array (N,) of float64; a VariantError where one is not finite."""
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise VariantError(f"got values of shape {series.shape}; allowed is one row of numbers")
    if not np.isfinite(series).all():
        raise VariantError(f"value {int((~np.isfinite(series)).argmax())} is not finite; leave such requests out")
    return series
