"""The data that a decomposition is fitted to: a rank's share of a tensor, checked once for every method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.arguments import Dense
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import Slab
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.layout import whole_factor
from polyadic.tensor.sparse import SparseTensor, constant, tensor_of
from polyadic.tensor.sparse_share import Mask, SparseShare


@dataclass(frozen=True)
class Data:
    """The tensor that a CP model is fitted to, as one rank of a `World` has it.

    share: this rank's entries. mask: ones where an entry was observed; None where all entries count. norm: the
    Frobenius norm |X| of the whole tensor, over the observed entries.
    """

    share: DenseShare | SparseShare
    mask: DenseShare | Mask | None
    norm: float
    world: World

    @staticmethod
    def of(tensor: Dense | Slab | SparseTensor | Data, world: World | None = None, *, observed: bool = False) -> Data:
        """The data of a tensor I_1 x ... x I_N, or of this rank's part of one; what is `Data` already stays as it is.

        tensor: dense, this rank's Slab of a dense one, or any part of the nonzeros of a sparse one.
        world: the ranks that share the tensor; this process alone where it is None.
        observed: whether absent entries of a sparse tensor, or the NaN of a dense one, are unknown.

        Raises UserError for an order under 2, and for a tensor that is empty, all zero, NaN or infinite.
        """
        if isinstance(tensor, Data):
            return tensor
        if not isinstance(tensor, Slab):
            tensor = constant(tensor_of(tensor))
        check_shape(tensor.shape)
        world = world or World.alone()
        share: DenseShare | SparseShare
        mask: DenseShare | Mask | None
        if isinstance(tensor, SparseTensor):
            share = SparseShare(tensor, world, observed=observed)
            mask = Mask(share) if observed else None
        else:
            share, mask = _dense(tensor if isinstance(tensor, Slab) else Slab.whole(tensor), world, observed)
        held = share.block.tensor.values if isinstance(share, SparseShare) else share.slab.local
        norm = share.square().sqrt().item()
        if isinstance(mask, DenseShare) and not 0 < norm < math.inf:
            held = held[mask.slab.local > 0]
        gaps = (
            "" if observed or isinstance(share, SparseShare) else ", or give observed=True where NaN is an unknown one"
        )
        return Data(share=share, mask=mask, norm=check_norm(norm, held, world, gaps), world=world)

    def held(self, factors: Sequence[Tensor]) -> list[Tensor]:
        """This rank's rows of whole factors I_n x R, as copies."""
        return [factor[layer.held].clone() for factor, layer in zip(factors, self.share.layers, strict=True)]

    def whole(self, model: CPTensor) -> CPTensor:
        """The model of this rank's rows with all rows of every factor, I_n x R, on every rank. A collective."""
        factors = [
            whole_factor(layer, factor[layer.own], self.world, rows)
            for layer, factor, rows in zip(self.share.layers, model.factors, self.share.shape, strict=True)
        ]
        return replace(model, factors=factors)


def _dense(slab: Slab, world: World, observed: bool) -> tuple[DenseShare, DenseShare | None]:
    """The share of a slab, and the mask of its entries that are not NaN."""
    if not observed:
        return DenseShare(slab, world), None
    seen = ~slab.local.isnan()
    mask = DenseShare(replace(slab, local=seen.to(slab.local.dtype)), world)
    filled = slab.local.nan_to_num(nan=0.0, posinf=math.inf, neginf=-math.inf)
    return DenseShare(replace(slab, local=filled), world), mask


WITHOUT_GAPS = ", or fit what is known by complete_tensor_train, or by cp with observed=True"
"""What to do about NaN where a decomposition needs every entry."""


def check_shape(shape: Sequence[int]) -> None:
    """Raises UserError for an order under 2, and for a tensor without entries."""
    if len(shape) < 2:
        raise UserError(f"the tensor has {len(shape)} modes: a decomposition needs 2 or more")
    if 0 in shape:
        raise UserError(f"the tensor is empty: its shape is {tuple(shape)}")


def check_norm(norm: float, entries: Tensor, world: World, gaps: str = "") -> float:
    """The Frobenius norm of a tensor again, where it is finite and not 0.

    entries: those of this rank that count; gaps: what else may be done about NaN. Raises UserError that says of the
    entries of all ranks why it is not: a collective then, for the norm is the same on every rank.
    """
    if 0 < norm < math.inf:
        return norm
    if world.any(not bool(entries.isfinite().all())):
        raise UserError(
            f"the tensor holds entries that are NaN or infinite: fill them in, or leave out their rows{gaps}"
        )
    if not world.any(len(entries.reshape(-1)) > 0):
        raise UserError("no entry of the tensor is observed: there is nothing to decompose")
    if not world.any(bool((entries != 0).any())):
        smaller = ", or dtype=float64 where its entries are under 1e-45" if entries.dtype == torch.float32 else ""
        raise UserError(
            f"the tensor is all zero: there is nothing to decompose. Give one with a non-zero entry{smaller}"
        )
    largest = max(world.collect(float(entries.abs().max()) if entries.numel() else 0.0))
    name = str(entries.dtype).removeprefix("torch.")
    raise UserError(
        f"the tensor's entries are too {'large' if norm else 'small'}: the largest is {largest:.3g} in {name}, and its "
        f"square leaves the range of float64. Divide the tensor by {largest:.0e}"
    )


def overflow(dtype: torch.dtype) -> UserError:
    """The error to raise where sums over the tensor are no longer finite in a data type."""
    name = str(dtype).removeprefix("torch.")
    return UserError(f"the sums over this tensor overflow {name}: divide it by a constant, or use dtype float64")
