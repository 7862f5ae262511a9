"""Where a CP fit begins: random factors, the singular vectors of the unfoldings, or an earlier model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from polyadic.decomposition.data import Data, overflow
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.layout import Layer

ROWS_PER_SEED = 2**16
"""So many rows of a random factor are drawn from one seed, so that no rank need draw the whole factor."""
OVERSAMPLED_COLUMNS = 10
"""Columns of a random sketch beyond the rank."""
LEAST_EIGENVALUE = 1e-10
"""Eigenvalues of a sketch's Gram matrix smaller than this part of the largest are taken for zero."""

Init: TypeAlias = Literal["random", "svd"] | CPTensor
"""Where a fit begins: at random factors, at the singular vectors of the unfoldings, or at a model."""


class Share(Protocol):
    """A rank's share of a tensor, dense or sparse: what the first factors depend on."""

    shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    dtype: torch.dtype
    device: torch.device

    def mttkrp(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """The MTTKRP over this rank's entries, of its rows of each factor: rows of mode n x R."""


def begin(data: Data, rank: int, init: Init, seed: int, first: bool, carrier: int = -1) -> list[Tensor]:
    """This rank's rows of the factors that a restart begins with, I_n x R.

    init: see `Init`; singular vectors are for the `first` restart alone. carrier: the mode whose factor takes the
    weights of a model.

    Raises UserError for a model of another shape or rank than the data's.
    """
    if isinstance(init, CPTensor):
        return of_model(data.share, rank, init, carrier)
    if init == "svd" and first:
        return singular(data.share, rank, seed, data.world)
    return random(data.share, rank, seed)


def random(share: Share, rank: int, seed: int, *, normal: bool = False) -> list[Tensor]:
    """Factors I_n x R, uniform on [0, 1) or normal: this rank's rows, the same ones for any number of ranks."""
    return [
        _rows((layer.start, layer.stop), share.shape[mode], rank, (seed, mode), normal).to(share.device, share.dtype)
        for mode, layer in enumerate(share.layers)
    ]


def singular(share: Share, rank: int, seed: int, world: World) -> list[Tensor]:
    """The leading left singular vectors of every unfolding, I_n x R: this rank's rows. Columns beyond are random.

    Each comes from one random sketch, the unfolding times a Khatri-Rao product of normal factors with R + 10 columns,
    which is one MTTKRP: the randomised range finder of Halko, Martinsson and Tropp (SIAM Review 2011) without the
    unfolding or the sketching matrix in memory.
    """
    factors = random(share, rank, seed)
    for mode, layer in enumerate(share.layers):
        sketch = random(share, rank + OVERSAMPLED_COLUMNS, seed + 1, normal=True)
        own = layer.combine(share.mttkrp(mode, sketch)).double()
        gram = layer.total(own.T @ own, world)
        if not bool(gram.isfinite().all()):
            raise overflow(share.dtype)
        values, vectors = torch.linalg.eigh(gram)
        kept = min(rank, share.shape[mode], int((values > values[-1] * LEAST_EIGENVALUE).sum()))
        basis = own @ (vectors[:, -kept:] / values[-kept:].sqrt()).flip(1)
        factors[mode] = torch.cat([layer.spread(basis.to(share.dtype)), factors[mode][:, kept:]], 1)
    return factors


def of_model(share: Share, rank: int, model: CPTensor, carrier: int) -> list[Tensor]:
    """An earlier model's factors I_n x R, with its weights in that of mode `carrier`: this rank's rows.

    Raises UserError for a model of another shape or rank.
    """
    if model.shape != share.shape or model.rank != rank:
        raise UserError(
            f"the model to begin from has shape {model.shape} and rank {model.rank}: "
            f"the data has {share.shape}, the job rank {rank}. Give a model of the same"
        )
    factors = [factor.to(share.device, share.dtype) for factor in model.factors]
    factors[carrier] = factors[carrier] * model.weights.to(share.device, share.dtype)
    return [factor[layer.held].clone() for factor, layer in zip(factors, share.layers, strict=True)]


def _rows(held: tuple[int, int], total: int, rank: int, seed: tuple[int, int], normal: bool) -> Tensor:
    """Rows [held[0], held[1]) of a random factor of `total` rows."""
    parts = []
    for part in range(held[0] // ROWS_PER_SEED, -(-held[1] // ROWS_PER_SEED)):
        number = ((seed[0] * 1_000_003 + seed[1]) * 1_000_003 + part) % 2**63
        generator = torch.Generator().manual_seed(number)
        first, draw = part * ROWS_PER_SEED, torch.randn if normal else torch.rand
        rows = draw(min(ROWS_PER_SEED, total - first), rank, generator=generator, dtype=torch.float64)
        parts.append(rows[max(held[0] - first, 0) : held[1] - first])
    return torch.cat(parts) if parts else torch.empty(0, rank, dtype=torch.float64)
