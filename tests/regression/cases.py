"""Weights of every form, labels for every loss, and planted regressions, for the tests of regressions."""

from __future__ import annotations

import torch
from torch import Tensor

from polyadic.regression.weights import WEIGHTS, Weight

SHAPES = ((7,), (5, 4), (4, 3, 5), (3, 2, 4, 3), (3, 2, 2, 2, 3))


def drawn_weight(name: str, shape: tuple[int, ...], outputs: int = 1, rank: int = 2, seed: int = 0) -> Weight:
    """A random weight, float64."""
    ranks = WEIGHTS[name].ranks_of(rank, shape, outputs)
    return WEIGHTS[name].random(shape, ranks, outputs, torch.Generator().manual_seed(seed))


def labels(loss: str, score_BC: Tensor, seed: int = 0) -> Tensor:
    """Labels that a loss takes, drawn as it thinks of them."""
    generator = torch.Generator().manual_seed(seed)
    if loss == "softmax":
        return torch.multinomial(score_BC.softmax(1), 1, generator=generator)[:, 0].double()
    score_B = score_BC[:, 0]
    if loss == "logistic":
        return torch.bernoulli(score_B.sigmoid(), generator=generator)
    if loss == "poisson":
        return torch.poisson(score_B.clamp(max=3).exp(), generator=generator)
    return score_B + 0.1 * torch.randn(len(score_B), generator=generator, dtype=score_B.dtype)


def planted(
    name: str, shape: tuple[int, ...], samples: int, *, noise: float = 0.0, rank: int = 2, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Normal samples, the labels 3 + <W, X> with noise, and W, of norm 1."""
    generator = torch.Generator().manual_seed(seed)
    weight = drawn_weight(name, shape, rank=rank, seed=seed)
    full = weight.full()[..., 0]
    full = full / full.norm()
    x = torch.randn(samples, *shape, generator=generator, dtype=torch.float64)
    errors = torch.randn(samples, generator=generator, dtype=torch.float64)
    return x, 3 + x.flatten(1) @ full.flatten() + noise * errors, full
