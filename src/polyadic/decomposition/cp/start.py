"""Where a CP fit begins: random factors, the singular vectors of the unfoldings, or an earlier model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.layout import Layer

ROWS_A_SEED = 2**16
OVERSAMPLED = 10


class Share(Protocol):
    """A rank's share of the data, dense or sparse, in as far as a fit sees it."""

    shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    dtype: torch.dtype
    device: torch.device

    def mttkrp(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """Over this rank's entries, for its held rows: rows of mode n x R."""


def random(share: Share, rank: int, seed: int, *, normal: bool = False) -> list[Tensor]:
    """Factors uniform on [0, 1), or normal: this rank's held rows, the same ones for any number of ranks."""
    return [
        _rows((layer.start, layer.stop), share.shape[mode], rank, (seed, mode), normal).to(share.device, share.dtype)
        for mode, layer in enumerate(share.layers)
    ]


def singular(share: Share, rank: int, seed: int, world: World) -> list[Tensor]:
    """The leading left singular vectors of every unfolding, by one random sketch each; columns beyond are random.

    The sketch is the unfolding times a Khatri-Rao product of normal factors, R + 10 columns, which is one MTTKRP: the
    randomised range finder of Halko, Martinsson and Tropp (SIAM Review 2011) without the unfolding or the sketching
    matrix in memory.
    """
    factors = random(share, rank, seed)
    for mode, layer in enumerate(share.layers):
        sketch = random(share, rank + OVERSAMPLED, seed + 1, normal=True)
        own = layer.combine(share.mttkrp(mode, sketch)).double()
        values, vectors = torch.linalg.eigh(layer.total(own.T @ own, world))
        kept = min(rank, share.shape[mode], int((values > values[-1] * 1e-10).sum()))
        basis = own @ (vectors[:, -kept:] / values[-kept:].sqrt()).flip(1)
        factors[mode] = torch.cat([layer.spread(basis.to(share.dtype)), factors[mode][:, kept:]], 1)
    return factors


def of_model(share: Share, rank: int, model: CPTensor, carrier: int) -> list[Tensor]:
    """An earlier model's factors, its weights in that of mode `carrier`; UserError for another shape or rank."""
    if model.shape != share.shape or model.rank != rank:
        raise UserError(
            f"the model to begin from has shape {model.shape} and rank {model.rank}: "
            f"the data has {share.shape}, the job rank {rank}. Give a model of the same"
        )
    factors = [factor.to(share.device, share.dtype) for factor in model.factors]
    factors[carrier] = factors[carrier] * model.weights.to(share.device, share.dtype)
    return [factor[layer.held].clone() for factor, layer in zip(factors, share.layers, strict=True)]


def _rows(held: tuple[int, int], total: int, rank: int, seed: tuple[int, int], normal: bool) -> Tensor:
    """Some rows of a random factor of `total` rows, of which no rank need draw the whole."""
    parts = []
    for part in range(held[0] // ROWS_A_SEED, -(-held[1] // ROWS_A_SEED)):
        number = ((seed[0] * 1_000_003 + seed[1]) * 1_000_003 + part) % 2**63
        generator = torch.Generator().manual_seed(number)
        first, draw = part * ROWS_A_SEED, torch.randn if normal else torch.rand
        rows = draw(min(ROWS_A_SEED, total - first), rank, generator=generator, dtype=torch.float64)
        parts.append(rows[max(held[0] - first, 0) : held[1] - first])
    return torch.cat(parts) if parts else torch.empty(0, rank, dtype=torch.float64)
