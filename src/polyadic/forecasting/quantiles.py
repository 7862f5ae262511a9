"""Quantiles of the Gamma and of the Poisson distribution, where torch has only their cumulative functions.

Shapes: every argument is a double tensor, all of one shape; p lies in [1e-7, 1 - 1e-7].
"""

from __future__ import annotations

import torch
from torch import Tensor

NEWTON_STEPS = 7
SMALLEST_LOG = -50.0
"""Below this log x the start is the quantile to the last digit, and the incomplete Gamma function underflows."""
SLACK_COUNTS = 8
"""The largest error of the approximate Poisson quantile; HALVINGS halvings take an interval of twice that to 1."""
HALVINGS = 4


def log_gamma_quantile(shape: Tensor, p: Tensor) -> Tensor:
    """log x (...) with P(Gamma(shape) <= x) = p, for shape and p of shape ... .

    log P is concave in t = log x, so that Newton's steps rise to the root from any t below it. They begin at the root
    of x^shape / Gamma(shape + 1) = p, which lies below and is exact where x is small; or else near the root. For a
    shape of 1 or more, that is the cube of Wilson and Hilferty (1931); for a smaller one, it is the x at which the
    tail x^(shape - 1) exp(-x) / Gamma(shape) is 1 - p.
    """
    start = (p.log() + torch.lgamma(shape + 1)) / shape
    ninth = 1 / (9 * shape)
    cube = 1 - ninth + torch.special.ndtri(p) * ninth.sqrt()
    start = torch.where((shape >= 1) & (cube > 0.05), shape.log() + 3 * cube.log(), start)
    tail = -torch.log1p(-p) - torch.lgamma(shape)
    start = torch.where((shape < 1) & (tail > 2), (tail + (shape - 1) * tail.log()).log(), start)
    t = start
    for _ in range(NEWTON_STEPS):
        x = t.exp()
        reached = torch.special.gammainc(shape, x)
        slope = (shape * t - x - torch.lgamma(shape)).exp() / reached
        t = t + ((p.log() - reached.log()) / slope).clamp(-1, 1)
    return torch.where(start < SMALLEST_LOG, start, t)


def poisson_quantile(mean: Tensor, p: Tensor) -> Tensor:
    """The smallest k (...) with P(Poisson(mean) <= k) >= p, for mean and p of shape ... .

    A bisection around the approximation of Cornish and Fisher (1938).
    """
    z: Tensor = torch.special.ndtri(p)
    about = (mean + z * mean.sqrt() + (z.square() - 1) / 6).floor()
    low, high = (about - SLACK_COUNTS).clamp_min(-1), (about + SLACK_COUNTS).clamp_min(0)
    for _ in range(HALVINGS):
        middle = ((low + high) / 2).floor().clamp_min(0)
        enough = torch.special.gammaincc(middle + 1, mean) >= p
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return high
