"""Tensors that the CP tests decompose."""

from __future__ import annotations

import torch
from torch import Tensor

from polyadic.tensor.dense import reconstruct


def sparse_low_rank(shape: tuple[int, ...], rank: int, seed: int = 0) -> tuple[Tensor, list[Tensor]]:
    """A tensor of sparse positive factors, most of whose entries are zero."""
    random = torch.Generator().manual_seed(seed)
    factors = [
        (torch.rand(n, rank, generator=random, dtype=torch.float64) + 0.5)
        * (torch.rand(n, rank, generator=random) < 0.6)
        for n in shape
    ]
    return reconstruct(torch.ones(rank, dtype=torch.float64), factors), factors
