"""What an answer cost, now that the truth is known: one number for each request, smaller is better.

A value that is not known is NaN and counts nowhere; where none is known the loss is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polyadic.variants.errors import VariantError, require_share

Values = NDArray[np.float64]
SUM_TOLERANCE = 1e-3


def scaled_pinball(quantiles: Mapping[float, ArrayLike], actuals: ArrayLike, scale: float) -> float:
    """The pinball loss of a forecast's quantiles, averaged over levels and steps, in units of `scale`.

    Takes a forecast (H,) for each level and the actuals (H,). 2 max(τ (y - f), (τ - 1)(y - f)) / scale; with the level
    0.5 alone it is MASE. `scale` is usually `seasonal_naive_error`. Gneiting (2011).
    """
    if not quantiles:
        raise VariantError("quantiles: got none; ask the model for some, such as 0.1, 0.5 and 0.9")
    y = _row(actuals)
    levels = np.array([require_share("level", level) for level in quantiles])[:, None]
    error_LH = y - np.array([_like(forecast, y, f"quantile {level}") for level, forecast in quantiles.items()])
    loss_LH = 2 * np.maximum(levels * error_LH, (levels - 1) * error_LH)
    return _known_mean(loss_LH.ravel()) / _positive(scale)


def mase(forecast: ArrayLike, actuals: ArrayLike, scale: float) -> float:
    """The mean absolute error of a forecast (H,) in units of `scale`. Hyndman and Koehler (2006)."""
    y = _row(actuals)
    return _known_mean(np.abs(y - _like(forecast, y, "forecast"))) / _positive(scale)


def coverage(low: ArrayLike, high: ArrayLike, actuals: ArrayLike) -> float:
    """The share of the actuals (H,) within an interval (H,) each; to be near its nominal share, not small."""
    y = _row(actuals)
    below, above = _like(low, y, "low"), _like(high, y, "high")
    unknown = np.isnan(y) | np.isnan(below) | np.isnan(above)
    return _known_mean(np.where(unknown, np.nan, (below <= y) & (y <= above)))


def seasonal_naive(history: ArrayLike, season: int, horizon: int) -> Values:
    """For each of `horizon` steps the last known value at the same place of the season; NaN where there is none."""
    past = _row(history)
    if len(past) >= season and not np.isnan(past[-season:]).any():
        return np.resize(past[-season:], horizon)
    forecast = np.full(horizon, np.nan)
    for place in range(min(season, horizon)):
        first = (len(past) + place) % season
        known = past[first::season]
        known = known[~np.isnan(known)]
        if len(known):
            forecast[place::season] = known[-1]
    return forecast


def seasonal_naive_error(history: ArrayLike, season: int) -> float:
    """The mean absolute difference of values one season apart: the denominator of MASE; NaN where there is none."""
    past = _row(history)
    if season < 1:
        raise VariantError(f"season: got {season}; allowed is a number of steps of 1 or more")
    return _known_mean(np.abs(past[season:] - past[:-season])) if len(past) > season else float("nan")


def squared_error(predicted: ArrayLike, actuals: ArrayLike) -> float:
    """The mean squared error of entries (N,) of a tensor."""
    y = _row(actuals)
    return _known_mean((y - _like(predicted, y, "entries")) ** 2)


def ranking_loss(ranked: Sequence[int], gains: Mapping[int, float]) -> float:
    """1 - NDCG: what is lost of the gain by a ranking, from 0 (the best order) to 1 (none of what was wanted).

    Takes the indices as ranked, the best first, and the gain of each index that was wanted, such as bought or played.
    DCG = Σ gain / log2(1 + place). Järvelin and Kekäläinen (2002).
    """
    if not ranked:
        raise VariantError("ranked: got no index; ask for the top 1 or more")
    wanted = {index: gain for index, gain in gains.items() if gain}
    if any(not gain > 0 for gain in wanted.values()):
        raise VariantError("gains: got one below 0; allowed are gains of 0 or more")
    if not wanted:
        return float("nan")
    discount = 1 / np.log2(np.arange(2, len(ranked) + 2))
    best = np.sort(np.array(list(wanted.values())))[::-1][: len(ranked)]
    gained = np.array([wanted.pop(index, 0.0) for index in ranked])  # A row that is ranked twice gains once.
    return 1 - float(gained @ discount) / float(best @ discount[: len(best)])


def held_out_loss(mixture: ArrayLike, topics: ArrayLike, rest: ArrayLike) -> float:
    """Minus the mean log likelihood of a document's other words, given the topics found in its first ones.

    Takes the mixture (K,), the topics' word probabilities (K, V) and the counts (V,) of the rest of the document:
    -Σ_v n_v log Σ_k θ_k φ_kv / Σ n. Wallach, Murray, Salakhutdinov and Mimno (2009), document completion. A word that
    no topic of the mixture knows has infinite loss.
    """
    theta, phi, counts = np.asarray(mixture, float), np.asarray(topics, float), np.asarray(rest, float)
    if theta.ndim != 1 or phi.ndim != 2 or phi.shape != (len(theta), len(counts)):
        raise VariantError(
            f"got a mixture {theta.shape}, topics {phi.shape} and counts {counts.shape}; allowed are K, K x V, V"
        )
    if (counts < 0).any():
        raise VariantError("rest: got a count below 0; allowed are counts of 0 or more")
    if abs(theta.sum() - 1) > SUM_TOLERANCE or np.abs(phi.sum(axis=1) - 1).max(initial=0.0) > SUM_TOLERANCE:
        raise VariantError("got a mixture or a topic that does not sum to 1; allowed are probabilities")
    if not counts.any():
        return float("nan")
    seen = counts > 0
    with np.errstate(divide="ignore"):
        return float(-(counts[seen] @ np.log(theta @ phi[:, seen])) / counts.sum())


def _row(values: ArrayLike) -> Values:
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1:
        raise VariantError(f"got values of shape {row.shape}; allowed is one row of numbers")
    return row


def _like(values: ArrayLike, actuals: Values, what: str) -> Values:
    row = _row(values)
    if len(row) < len(actuals):
        raise VariantError(f"{what}: got {len(row)} values for {len(actuals)} actuals; allowed are as many or more")
    return row[: len(actuals)]


def _positive(scale: float) -> float:
    if not 0 < scale < float("inf"):
        raise VariantError(f"scale: got {scale}; allowed is a number above 0, such as the seasonal naive error")
    return scale


def _known_mean(values: Values) -> float:
    total = float(np.add.reduce(values))
    if not np.isnan(total) and len(values):
        return total / len(values)
    known = values[~np.isnan(values)]
    return float(np.add.reduce(known) / len(known)) if len(known) else float("nan")
