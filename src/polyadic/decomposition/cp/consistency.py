"""How many components a tensor bears: the core consistency of a CP model, and a rank chosen by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from polyadic.decomposition.cp.als import Data
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import reconstruct
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.sparse_share import SparseShare

CONSISTENT = 80.0
"""Per cent from which a model is taken to be trilinear: Bro and Kiers, section 3."""
AT_ONCE = 2**24


def core_consistency(data: Data, model: CPTensor) -> float:
    """100 (1 - |G - I|² / R), G the Tucker core of the data in the model's factors; per cent, 100 at most.

    G = X ×_1 A^(1)+ ... ×_N A^(N)+ with the weights in the last factor; I is one on its superdiagonal. Near 100 where R
    components are right, near 0 or negative where there are too many: Bro and Kiers, Journal of Chemometrics 2003.
    Entries that were not observed are taken from the model, whose own core is I.
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


def choose(models: Iterable[tuple[int, CPTensor, float]], note: Callable[[int, CPTensor, float], None]) -> CPTensor:
    """The model of the highest rank whose core consistency is 80 % or more; the first one where none has that.

    models: rank, model and its consistency, ranks rising. `note` is told of each.
    """
    best: CPTensor | None = None
    for rank, model, consistency in models:
        note(rank, model, consistency)
        if best is None or consistency >= CONSISTENT:
            best = model
    assert best is not None
    return best


def _of_slab(data: Data, share: DenseShare, held: list[Tensor], known: list[Tensor] | None) -> Tensor:
    """The sum over a slab of x, or of x less the model where it was observed, times the product of its rows."""
    core = share.slab.local.double()
    if known is not None:
        assert isinstance(data.mask, DenseShare)
        core = (core - reconstruct(torch.ones_like(known[0][0]), known)) * data.mask.slab.local
    for rows in held:
        core = torch.tensordot(core, rows, dims=([0], [0]))
    return core


def _of_nonzeros(share: SparseShare, held: list[Tensor], known: list[Tensor] | None) -> Tensor:
    """The same over the nonzeros of a block, some at a time: R x ... x R, float64."""
    tensor, order, rank = share.block.tensor, len(held), held[0].shape[1]
    core = held[0].new_zeros(rank, rank ** (order - 1))
    step = max(1, AT_ONCE // rank ** (order - 1))
    for first in range(0, len(tensor.values), step):
        part = slice(first, first + step)
        index, values = tensor.indices[:, part].long(), tensor.values[part].double()
        if known is not None:
            rows = [some[one] for some, one in zip(known, index, strict=True)]
            values = values - torch.stack(rows).prod(0).sum(1)
        first_rows, *others = [some[one] for some, one in zip(held, index, strict=True)]
        columns = others[0]
        for some in others[1:]:
            columns = (columns[:, :, None] * some[:, None, :]).reshape(len(some), -1)
        core += (first_rows * values[:, None]).T @ columns
    return core.reshape([rank] * order)
