"""How many components a tensor supports: the core consistency of a CP model."""

from __future__ import annotations

import torch
from torch import Tensor

from polyadic.decomposition.data import Data
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import reconstruct
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.sparse_share import SparseShare

CONSISTENT_PERCENT = 80.0
"""A model with this core consistency or more is taken to be trilinear: Bro and Kiers, section 3."""
CHUNK_NUMBERS = 2**24
"""Numbers of Khatri-Rao rows that stand in memory together."""


def core_consistency(data: Data, model: CPTensor) -> float:
    """The core consistency of a CP model of rank R in percent: 100 (1 - |G - I|² / R), 100 at most.

    data: I_1 x ... x I_N; model: of the same shape, whole on every rank. The result is the same on every rank.
    G = X ×_1 A^(1)+ ... ×_N A^(N)+ (R x ... x R) is the Tucker core of the data in the model's factors, with the
    weights in the last; I is 1 on its superdiagonal. The result is near 100 where R components are right, and near 0
    or negative where they are too many: Bro and Kiers, Journal of Chemometrics 2003. Entries that were not observed
    are taken from the model, whose own core is I.
    """
    factors = [factor.double() for factor in model.factors]
    factors[-1] = factors[-1] * model.weights
    inverses = [torch.linalg.pinv(factor).T for factor in factors]
    held = [inverse[layer.held] for inverse, layer in zip(inverses, data.share.layers, strict=True)]
    known = None if data.mask is None else data.held(factors)
    if isinstance(data.share, DenseShare):
        core = _of_slab(data, data.share, held, known)
    else:
        core = _of_nonzeros(data.share, held, known)
    core = data.world.sum_(core)
    if known is None:
        core[(torch.arange(model.rank, device=core.device),) * len(factors)] -= 1
    return 100 * (1 - float(core.square().sum()) / model.rank)


def _of_slab(data: Data, share: DenseShare, held: list[Tensor], known: list[Tensor] | None) -> Tensor:
    """The sum over a slab of x, or of x less the model where it was observed, times the outer product of the rows.

    held: this rank's rows of the factors' pseudo-inverses, I_n x R. known: this rank's rows of the factors, for data
    with unknown entries. The result is R x ... x R, float64.
    """
    core = share.slab.local.double()
    if known is not None:
        assert isinstance(data.mask, DenseShare)
        core = (core - reconstruct(known[0].new_ones(known[0].shape[1]), known)) * data.mask.slab.local
    for rows in held:
        core = torch.tensordot(core, rows, dims=([0], [0]))
    return core


def _of_nonzeros(share: SparseShare, held: list[Tensor], known: list[Tensor] | None) -> Tensor:
    """The same over the nonzeros of a block, in chunks."""
    tensor, order, rank = share.block.tensor, len(held), held[0].shape[1]
    core = held[0].new_zeros(rank, rank ** (order - 1))
    step = max(1, CHUNK_NUMBERS // rank ** (order - 1))
    for first in range(0, len(tensor.values), step):
        part = slice(first, first + step)
        index, values = tensor.indices[:, part].long(), tensor.values[part].double()
        if known is not None:
            model_rows = [factor[rows] for factor, rows in zip(known, index, strict=True)]
            values = values - torch.stack(model_rows).prod(0).sum(1)
        first_rows, *others = [inverse[rows] for inverse, rows in zip(held, index, strict=True)]
        columns = others[0]
        for mode_rows in others[1:]:
            columns = (columns[:, :, None] * mode_rows[:, None, :]).reshape(len(mode_rows), -1)
        core += (first_rows * values[:, None]).T @ columns
    return core.reshape([rank] * order)
