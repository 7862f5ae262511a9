"""Evidence from counts: the sequential sample-ratio check, and intervals for rates and quantiles at any look."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polyadic.variants.errors import VariantError, require_share

Values = NDArray[np.float64]
CONCENTRATION = 100.0
"""How many imagined requests stand for the promised shares: many find small deviations late, few large ones soon."""
PRIOR = (0.5, 0.5)
QUANTILE_CONCENTRATION = 20.0


def sample_ratio(
    counts: Mapping[str, float], shares: Mapping[str, float], concentration: float = CONCENTRATION
) -> float:
    """The logarithm of the evidence that counts of requests do not follow the shares; alarm where it is ln(1/alpha).

    ln E = lnΓ(k) - lnΓ(k + n) + Σ [lnΓ(kθ_i + n_i) - lnΓ(kθ_i) - n_i ln θ_i]. Lindon and Malek (arXiv 2011.03567). It
    may be read at any look. A count where the share is 0 is infinite evidence.
    """
    total = sum(shares.values())
    if total <= 0 or min(shares.values()) < 0:
        raise VariantError(f"shares: got {dict(shares)}; allowed are numbers of 0 or more, one of them above 0")
    if any(count and not shares.get(name) for name, count in counts.items()):
        return math.inf
    evidence = math.lgamma(concentration) - math.lgamma(concentration + sum(counts.values()))
    for name, share in shares.items():
        count, theta = counts.get(name, 0), share / total
        if theta:
            prior = concentration * theta
            evidence += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(theta)
    return evidence


def running_sample_ratio(drawn: ArrayLike, shares: ArrayLike, concentration: float = CONCENTRATION) -> Values:
    """`sample_ratio` after each of N requests, with shares that may change from one request to the next.

    `drawn` (N,) is the number of the variant that answered, `shares` (N, K) what was promised at that moment. Each
    request is predicted by the shares times observed over expected counts so far, both with `concentration` imagined
    requests; where the shares never change this is Lindon and Malek's evidence.
    """
    number, theta = np.asarray(drawn, dtype=np.int64), np.asarray(shares, dtype=np.float64)
    if theta.ndim != 2 or len(theta) != len(number):
        raise VariantError(f"got {len(number)} requests and shares of shape {theta.shape}; allowed is a row a request")
    if not len(number):
        return np.zeros(0)
    total = theta.sum(axis=1, keepdims=True)
    if not (np.isfinite(theta).all() and (theta >= 0).all() and (total > 0).all()):
        raise VariantError("shares: got a row that is not of numbers of 0 or more, one of them above 0")
    theta = theta / total
    rows = np.arange(len(number))
    observed = np.zeros_like(theta)
    observed[rows, number] = 1.0
    imagined = concentration * theta  # Of the shares of the moment, which are known before the draw.
    seen, expected = np.cumsum(observed, axis=0) - observed, np.cumsum(theta, axis=0) - theta
    ratio = np.divide(imagined + seen, imagined + expected, out=np.ones_like(theta), where=imagined + expected > 0)
    weighted = theta * ratio
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = ratio[rows, number] / weighted.sum(axis=1)
    growth[theta[rows, number] == 0] = np.inf
    return np.cumsum(np.log(growth))


def rate_interval(
    successes: int, trials: int, alpha: float = 0.05, prior: tuple[float, float] = PRIOR
) -> tuple[float, float]:
    """An interval for the probability of a success that holds at any look, however rare successes are.

    The probabilities p whose evidence B(a + s, b + n - s) / B(a, b) / (p^s (1 - p)^(n - s)) is below 1/alpha.
    """
    require_share("alpha", alpha)
    if not 0 <= successes <= trials:
        raise VariantError(f"got {successes} successes of {trials}; allowed are 0 to {trials}")
    if not trials:
        return 0.0, 1.0
    least = _log_beta(prior[0] + successes, prior[1] + trials - successes) - _log_beta(*prior) + math.log(alpha)

    def inside(p: float) -> bool:
        likelihood = (successes and successes * math.log(p)) + (
            (trials - successes) and (trials - successes) * math.log1p(-p)
        )
        return likelihood > least

    rate = successes / trials
    lower = 0.0 if not successes else _edge(inside, rate, 0.0)
    upper = 1.0 if successes == trials else _edge(inside, rate, 1.0)
    return lower, upper


def quantile_interval(values: ArrayLike, level: float, alpha: float = 0.05) -> tuple[float, float]:
    """An interval for a quantile, such as a latency's p99, that holds at any look and for any distribution.

    How many of n values are at most the quantile is a binomial count of probability `level`; the interval keeps the
    order statistics whose count has evidence below 1/alpha.
    """
    require_share("alpha", alpha)
    require_share("level", level)
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n, prior = len(ordered), (QUANTILE_CONCENTRATION * level, QUANTILE_CONCENTRATION * (1 - level))

    def inside(count: int) -> bool:
        marginal = _log_beta(prior[0] + count, prior[1] + n - count) - _log_beta(*prior)
        return marginal - count * math.log(level) - (n - count) * math.log1p(-level) < -math.log(alpha)

    middle = min(n, round(n * level))
    least = _first(inside, 0, middle)
    most = n - _first(lambda missing: inside(n - missing), 0, n - middle)
    return float(ordered[least - 1]) if least else -math.inf, float(ordered[most]) if most < n else math.inf


def _first(inside: Callable[[int], bool], low: int, high: int) -> int:
    """The least number of low to high that is inside, where all from it to `high` are."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if inside(middle) else (middle + 1, high)
    return high


def _edge(inside: Callable[[float], bool], within: float, outside: float) -> float:
    for _ in range(100):
        middle = (within + outside) / 2
        if not 0 < middle < 1:
            break
        within, outside = (middle, outside) if inside(middle) else (within, middle)
    return outside


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
