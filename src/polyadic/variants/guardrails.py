"""What a better model must not cost: errors and slow answers, each watched at a level of its own, at every look."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polyadic.variants.errors import VariantError
from polyadic.variants.mixtures import quantile_interval, rate_interval

ALPHA = 0.01
QUANTILE = 0.99


@dataclass(frozen=True)
class Guardrail:
    """One quantity of both variants with its interval, and whether the challenger's is surely worse."""

    name: str
    champion: float
    challenger: float
    champion_interval: tuple[float, float]
    challenger_interval: tuple[float, float]
    violated: bool


def errors(
    champion: tuple[int, int], challenger: tuple[int, int], tolerance: float = 0.0, alpha: float = ALPHA
) -> Guardrail:
    """The share of failed requests, each side as (failed, requests).

    Violated where the least that the challenger's share can be is above the most of the champion's by more than
    `tolerance`, at whatever look, with a chance of at most alpha where that is not so.
    """
    old, new = (rate_interval(failed, requests, alpha / 2) for failed, requests in (champion, challenger))
    rate, new_rate = (failed / requests if requests else math.nan for failed, requests in (champion, challenger))
    return Guardrail("errors", rate, new_rate, old, new, new[0] > old[1] + tolerance)


def latency(
    champion: ArrayLike,
    challenger: ArrayLike,
    limit: float | None = None,
    tolerance: float = 0.1,
    level: float = QUANTILE,
    alpha: float = ALPHA,
) -> Guardrail:
    """A quantile, usually the p99, of the seconds that answers took; both (N,) in any order.

    Violated where the challenger's is surely above `limit` seconds, or without a limit above the champion's by more
    than the share `tolerance`.
    """
    if any(np.isnan(np.asarray(each, dtype=np.float64)).any() for each in (champion, challenger)):
        raise VariantError("seconds: got one that is not a number; leave such requests out")
    share = alpha / 2 if limit is None else alpha
    old, new = (quantile_interval(each, level, share) for each in (champion, challenger))
    most = old[1] * (1 + tolerance) if limit is None else limit
    return Guardrail(
        f"p{100 * level:g}", _quantile(champion, level), _quantile(challenger, level), old, new, new[0] > most
    )


def _quantile(values: ArrayLike, level: float) -> float:
    seconds = np.asarray(values, dtype=np.float64)
    return float(np.quantile(seconds, level, method="higher")) if len(seconds) else math.nan
