"""The parameters of distributions that several likelihoods make of raw outputs and uniforms in the same way."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

SMALLEST_SCALE = 1e-3
"""Of a distribution, as a share of the window's scale: a constant series would drive the likelihood to infinity."""


def location_and_scale(raw: Tensor) -> tuple[Tensor, Tensor]:
    """mu and sigma > 0 (... each) of raw outputs (... x 2 or more)."""
    return raw[..., 0], softplus(raw[..., 1]) + SMALLEST_SCALE


def opposites(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Two independent uniforms (... each) that become 1 less themselves where v becomes v + 1/2 (mod 1)."""
    u, v = u.double(), v.double()
    first, second = (torch.where(turn < 0.5, turn, 1.5 - turn) for turn in (v, (u + v) % 1))
    return first.clamp(1e-7, 1 - 1e-7), second.clamp(1e-7, 1 - 1e-7)
