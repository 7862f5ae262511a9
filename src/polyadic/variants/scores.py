"""One number for each request whose mean is the difference of two variants, and one for each cluster of requests."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polyadic.variants.errors import VariantError
from polyadic.variants.sequences import checked

Values = NDArray[np.float64]
FIT_FROM = 10
"""Fewer clusters than this fit no line: before it the covariate is not used."""


@dataclass(frozen=True)
class Clusters:
    """To which cluster each of N requests belongs: numbers (N,) in the order in which clusters first appear.

    What belongs together, such as one series on one day or one user, is one fact, not as many as it has requests.
    """

    number: NDArray[np.int64]
    count: int

    def means(self, values: Values) -> Values:
        """The mean of each cluster (C,) of one value for each request (N,)."""
        sizes = np.bincount(self.number, minlength=self.count).astype(np.float64)
        return np.bincount(self.number, values, self.count).astype(np.float64) / sizes

    def sums_before(self, values: Values) -> Values:
        """For each request (N,) the sum over the requests of all earlier clusters."""
        total = np.bincount(self.number, values, self.count).astype(np.float64)
        before: Values = (np.cumsum(total) - total)[self.number]
        return before

    def any(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """For each cluster (C,) whether one of its requests has the flag (N,)."""
        return np.bincount(self.number, flags, self.count) > 0


def clusters_of(labels: Sequence[Hashable] | None, requests: int) -> Clusters:
    """The clusters of requests with these labels; each request is one of its own where there are no labels."""
    if labels is None:
        return Clusters(np.arange(requests), requests)
    if len(labels) != requests:
        raise VariantError(f"got {len(labels)} clusters for {requests} requests; allowed is one for each")
    order: dict[Hashable, int] = {}
    numbers = [order.setdefault(label, len(order)) for label in labels]
    return Clusters(np.array(numbers, dtype=np.int64), len(order))


def split_scores(
    losses: ArrayLike,
    challenger: ArrayLike,
    champion: ArrayLike,
    propensities: tuple[ArrayLike, ArrayLike],
    clusters: Clusters,
    covariate: ArrayLike | None = None,
    bounds: tuple[float, float] | None = None,
) -> Values:
    """Inverse-propensity scores (N,): their mean is the challenger's mean loss less the champion's.

    s = 1{challenger} (y - m) / p - 1{champion} (y - m) / q, for losses y (N,), flags of who answered (N,), and the
    propensities p and q (N,) that held at the moment. m is what the earlier clusters alone predict: their mean loss,
    and with a covariate (N,), such as the loss of a seasonal naive forecast, the least-squares line on it. The better
    it predicts, the narrower the interval; whatever it is, the mean stays right, as long as p and q were known before.
    It is kept within the bounds of the loss where there are any.
    """
    y = checked(losses)
    p, q = (np.broadcast_to(np.asarray(each, dtype=np.float64), y.shape) for each in propensities)
    if len(y) and not (min(p.min(), q.min()) > 0 and (p + q).max() <= 1 + 1e-6):
        raise VariantError("propensities: got one of 0, or a pair above 1; leave out requests that only one could get")
    prediction = past_prediction(y, clusters, covariate)
    residual = y - (prediction if bounds is None else np.clip(prediction, *bounds))
    treated, control = (np.asarray(each, dtype=bool) for each in (challenger, champion))
    scores: Values = np.where(treated, residual / p, 0.0) - np.where(control, residual / q, 0.0)
    return scores


def past_prediction(losses: ArrayLike, clusters: Clusters, covariate: ArrayLike | None = None) -> Values:
    """What the earlier clusters predict of each request's loss (N,), from its covariate where there is one."""
    y = checked(losses)
    count = clusters.sums_before(np.ones_like(y))
    known = np.maximum(count, 1.0)
    mean_y = clusters.sums_before(y) / known
    if covariate is None:
        return mean_y
    x = checked(covariate)
    if len(x) != len(y):
        raise VariantError(f"got {len(x)} covariates for {len(y)} requests; allowed is one for each")
    mean_x = clusters.sums_before(x) / known
    variance = clusters.sums_before(x * x) / known - mean_x**2
    covariance = clusters.sums_before(x * y) / known - mean_x * mean_y
    usable = (clusters.number >= FIT_FROM) & (variance > 1e-12 * np.maximum(mean_x**2, 1e-300))
    slope = np.divide(covariance, variance, out=np.zeros_like(y), where=usable)
    prediction: Values = mean_y + slope * (x - mean_x)
    return prediction
