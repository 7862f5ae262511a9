"""Simulated traffic: requests of lognormal difficulty, models with their own noise, a seasonal naive beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Traffic:
    """N requests: the losses that champion, challenger and seasonal naive have, or would have had."""

    champion: Values
    challenger: Values
    naive: Values


def traffic(chance: np.random.Generator, requests: int, better: float = 0.0, noise: float = 0.2) -> Traffic:
    """Requests whose difficulty multiplies every model's loss; the challenger's is smaller by the share `better`."""
    difficulty = np.exp(chance.standard_normal(requests))

    def losses(factor: float) -> Values:
        return factor * difficulty * np.exp(noise * chance.standard_normal(requests))

    return Traffic(losses(1.0), losses(1.0 - better), losses(1.3))


def naive_z_rejects(scores: Values, start: int = 100) -> bool:
    """Whether somebody who looks after every request, and stops at p < 0.05 of the usual test, claims a difference."""
    count = np.arange(1, len(scores) + 1)
    mean = np.cumsum(scores) / count
    deviation = np.sqrt(np.maximum(np.cumsum(scores**2) / count - mean**2, 1e-300))
    return bool((np.abs(mean) > 1.96 * deviation / np.sqrt(count))[start:].any())
