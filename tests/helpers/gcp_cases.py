"""Tensors with known factors for the generalized losses, and shares of them for a rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyadic.decomposition.gcp.losses import LOSSES
from polyadic.distributed import World
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import Slab, longest, reconstruct, share
from polyadic.tensor.sparse import SparseTensor

LOSS_NAMES = list(LOSSES)
FORMS = ["dense", "masked", "zeros", "observed"]
"""Of a tensor: dense, dense with NaN, sparse with zeros, and sparse with missing entries."""


def normal(shape: Sequence[int], rank: int, seed: int = 0, noise: float = 0.0) -> tuple[Tensor, list[Tensor]]:
    """A tensor of normal factors, with noise of so many times its standard deviation."""
    random = torch.Generator().manual_seed(seed)
    factors = [torch.randn(rows, rank, generator=random, dtype=torch.float64) for rows in shape]
    tensor = reconstruct(torch.ones(rank, dtype=torch.float64), factors)
    spread = torch.randn(tensor.shape, generator=random, dtype=torch.float64) * tensor.std()
    return tensor + noise * spread, factors


def means(shape: Sequence[int], rank: int, seed: int = 0, mean: float = 1.0) -> tuple[Tensor, list[Tensor]]:
    """A positive tensor of this mean; most rows of a factor lean to few of its columns."""
    random = torch.Generator().manual_seed(seed)
    factors = [torch.rand(rows, rank, generator=random, dtype=torch.float64) ** 3 + 0.01 for rows in shape]
    tensor = reconstruct(torch.ones(rank, dtype=torch.float64), factors)
    return tensor * (mean / tensor.mean()), factors


def data(loss: str, shape: Sequence[int], rank: int, seed: int = 0) -> Tensor:
    """Data such as the loss is for, around a model of this rank."""
    random = torch.Generator().manual_seed(seed + 100)
    if loss == "bernoulli-logit":
        return torch.bernoulli(torch.sigmoid(normal(shape, rank, seed)[0]), generator=random)
    if loss == "poisson":
        return torch.poisson(means(shape, rank, seed)[0], generator=random)
    if loss == "gamma":
        tensor = means(shape, rank, seed)[0]
        return tensor * (0.5 + torch.rand(tensor.shape, generator=random, dtype=torch.float64))
    return normal(shape, rank, seed, noise=0.3)[0]


def gaps(shape: Sequence[int], seed: int = 0) -> Tensor:
    """Which entries were observed: about two in three."""
    return torch.rand(list(shape), generator=torch.Generator().manual_seed(seed + 200)) < 0.67


def part(tensor: Tensor, form: str, world: World) -> dict[str, Any]:
    """Arguments for this rank's share of a tensor in one of the forms."""
    seen = gaps(tensor.shape)
    if form in ("zeros", "observed"):
        whole = SparseTensor.of(tensor)
        if form == "observed":
            index = seen.nonzero().T
            whole = SparseTensor(index.int(), tensor[seen], tuple(tensor.shape))
        mine = slice(world.rank, None, world.size)
        local: Any = SparseTensor(whole.indices[:, mine].contiguous(), whole.values[mine].contiguous(), whole.shape)
    else:
        mode = longest(tensor.shape)
        first, last = share(tensor.shape[mode], world.rank, world.size)
        tensor = torch.where(seen, tensor, torch.nan) if form == "masked" else tensor
        rows = tensor.narrow(mode, first, last - first).contiguous()
        local = Slab(rows, tuple(tensor.shape), mode, first)
    return {"tensor": local, "observed": form in ("masked", "observed"), "world": world}


def dense(model: CPTensor) -> Tensor:
    """All entries of a model."""
    return reconstruct(model.weights, [factor.double() for factor in model.factors])


def factor_match(model: CPTensor, factors: list[Tensor]) -> float:
    """The least product of the cosines of matched components' columns."""
    cosines = torch.ones(())
    for found, true in zip(model.factors, factors, strict=True):
        cosines = cosines * (found.double().T @ (true / true.norm(dim=0))).abs()
    rows, columns = linear_sum_assignment(-cosines.numpy())
    return float(cosines.numpy()[rows, columns].min())
