"""A rank's slab of a dense tensor, and its MTTKRPs with as few passes over the data as their order allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor import cpu_kernels
from polyadic.tensor.dense import Slab, khatri_rao, khatri_rao_rows, residual
from polyadic.tensor.fibres import padded, pieces
from polyadic.tensor.layout import of_slab
from polyadic.tensor.skinny import KERNELS_UP_TO, WIDTH, aligned, skinny_product
from polyadic.tensor.threads import even, in_parallel

PARTIAL_SHARE = 4
"""A partial product may take this part of the tensor's memory at most."""
ROOM = 2**18
"""Numbers of the Khatri-Rao product that may stand in memory in any case."""


@dataclass(frozen=True)
class _Partial:
    """The tensor contracted with some modes' factors: the other modes x R, of use while these factors stand."""

    modes: range
    factors: list[Tensor]
    tensor: Tensor


class DenseShare:
    """This rank's slab as CP sees it: `layers` say which rows of each factor it holds.

    Modes are expected in their order, again and again. A pass over the data contracts it with the factor of the mode
    just updated; what is left serves every other mode before that one's turn comes again, so that N - 1 products come
    of a pass: the multi-sweep dimension tree of Ma and Solomonik (IPDPS 2021). Where that partial product would be
    large, one pass serves half of the modes, and where that would be large too, the Khatri-Rao product is formed a few
    rows at a time and no more is kept than the result.
    """

    def __init__(self, slab: Slab, world: World) -> None:
        self.slab, self.world, self.shape = slab, world, slab.shape
        self.layers = of_slab(slab, world)
        self.dtype, self.device = slab.local.dtype, slab.local.device
        self._partial: _Partial | None = None
        self._next: range | None = None

    def seek(self, sweeps: int, modes: Sequence[int], rank: int) -> None:
        """Goes on as after so many sweeps over `modes`, so that a fit resumed there rounds as one never stopped."""
        kept: range | None = None
        self._partial = self._next = None
        for mode in list(modes) * sweeps:
            if kept is None or mode in kept:
                kept = self._contracted(mode, rank)
            self._next = kept

    def square(self) -> Tensor:
        """|X|² over all ranks, in float64, without a copy of the whole tensor in it."""
        parts = [part.double().square().sum() for part in torch.split(self.slab.local.reshape(-1), 2**20)]
        return self.world.sum_(
            torch.stack(parts).sum() if parts else self.slab.local.new_zeros((), dtype=torch.float64)
        )

    def mttkrp(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """X_(n) (⊙_{m≠n} A^(m)) over this rank's entries, for its held rows of every factor: rows of mode n x R.

        A factor is taken to be the same as long as it is the same object: none may be changed in place.
        """
        rank = factors[0].shape[1]
        if not self._still_good(mode, factors):
            modes = self._choose(mode, rank)
            if modes is None:
                return self._by_pieces(mode, factors)
            used = [factors[m] for m in modes]
            self._partial = None  # The old one makes room for the new one.
            self._partial = _Partial(modes, used, self._contract(modes, used))
        assert self._partial is not None
        rest = [m for m in range(len(self.shape)) if m not in self._partial.modes]
        return _weigh(self._partial.tensor, [factors[m] for m in rest], rest.index(mode))[:, :rank]

    def residual(self, weights: Tensor, factors: Sequence[Tensor], mask: DenseShare | None = None) -> Tensor:
        """|X - Y|² over all ranks by reconstruction, in float64; where there is a mask, over its ones."""
        return self.world.sum_(residual(self.slab, weights, factors, None if mask is None else mask.slab))

    def _still_good(self, mode: int, factors: Sequence[Tensor]) -> bool:
        at = self._partial
        return (
            at is not None
            and mode not in at.modes
            and all(factors[m] is one for m, one in zip(at.modes, at.factors, strict=True))
        )

    def _choose(self, mode: int, rank: int) -> range | None:
        planned, self._next = self._next, None
        return planned if planned is not None and mode not in planned else self._contracted(mode, rank)

    def _contracted(self, mode: int, rank: int) -> range | None:
        """The modes to contract at once for this mode's product, or None where the partial would be too large."""
        here, order = self.slab.local.shape, len(self.shape)
        room, width = self.slab.local.numel() // PARTIAL_SHARE, padded(rank, self.dtype)
        before = (mode - 1) % order
        if order == 2 or math.prod(here) // max(1, here[before]) * width <= room:
            return range(before, before + 1)
        cut = min(range(1, order), key=lambda c: math.prod(here[:c]) + math.prod(here[c:]))
        other = range(cut, order) if mode < cut else range(cut)
        kept, gone = math.prod(here) // max(1, math.prod(here[m] for m in other)), math.prod(here[m] for m in other)
        return other if (kept + gone) * width <= room else None

    def _contract(self, modes: range, factors: list[Tensor]) -> Tensor:
        """The tensor times the factors of neighbouring modes: the other modes x R, padded to whole registers."""
        here, x = self.slab.local.shape, self.slab.local
        left, right = math.prod(here[: modes.start]), math.prod(here[modes.stop :])
        columns = aligned(khatri_rao(factors))
        if x.device.type == "cpu" and columns.shape[1] <= KERNELS_UP_TO and x.numel():
            flat = skinny_product(x, columns, left, right)
        elif right == 1:
            flat = x.reshape(left, len(columns)) @ columns
        else:
            flat = x.reshape(left, len(columns), right).transpose(1, 2) @ columns
        return flat.reshape(*here[: modes.start], *here[modes.stop :], columns.shape[1])

    def _by_pieces(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """The product by blocks of columns of the unfolding, each against its own rows of the Khatri-Rao product."""
        here, rank = self.slab.local.shape, factors[0].shape[1]
        left, right = math.prod(here[:mode]), math.prod(here[mode + 1 :])
        x, out = self.slab.local.reshape(left, here[mode], right), factors[0].new_zeros(here[mode], rank)
        at_once = max(1, max(ROOM, x.numel() // (2 * PARTIAL_SHARE)) // rank)
        high = max(1, at_once // max(1, right))
        wide = right if right <= at_once else at_once
        for top in range(0, left, high):
            for first in range(0, right, wide):
                block = x[top : top + high, :, first : first + wide]
                columns = _columns(factors, mode, (top, min(top + high, left)), (first, min(first + wide, right)))
                out.addmm_(block.transpose(0, 1).reshape(here[mode], -1), columns)
        return out


def _columns(factors: Sequence[Tensor], mode: int, left: tuple[int, int], right: tuple[int, int]) -> Tensor:
    """The Khatri-Rao product of every factor but one, for some rows of those before it and of those after it."""
    parts = [
        khatri_rao_rows(some, *part) for some, part in ((factors[:mode], left), (factors[mode + 1 :], right)) if some
    ]
    return khatri_rao(parts)


def _weigh(partial: Tensor, factors: list[Tensor], keep: int) -> Tensor:
    """Sums partial (J_1 x ... x J_k x R), times their factors, over every mode but `keep`: J_keep x R."""
    for factor in reversed(factors[keep + 1 :]):
        partial = _weigh_last(partial, factor)
    for factor in factors[:keep]:
        partial = _weigh_first(partial, factor)
    return partial


def _weigh_last(partial: Tensor, factor: Tensor) -> Tensor:
    if partial.device.type != "cpu" or not partial.numel():
        return (partial[..., : factor.shape[1]] * factor).sum(-2)
    width, (*rest, rows) = partial.shape[-1], partial.shape[:-1]
    out = partial.new_empty(math.prod(rest), width)
    arrays = (partial.reshape(-1, width).numpy(), aligned(factor).numpy(), out.numpy())
    for column, wide in pieces(width, partial.dtype, WIDTH):
        in_parallel(cpu_kernels.weighted_rows(wide), even(len(out), _enough(rows * wide)), *arrays, column)
    return out.reshape(*rest, width)


def _weigh_first(partial: Tensor, factor: Tensor) -> Tensor:
    if partial.device.type != "cpu" or not partial.numel():
        shape = [len(factor), *[1] * (partial.ndim - 2), factor.shape[1]]
        return (partial[..., : factor.shape[1]] * factor.reshape(shape)).sum(0)
    width, rest = partial.shape[-1], partial.shape[1:-1]
    out, block = partial.new_empty(math.prod(rest), width), 64
    arrays = (partial.reshape(-1, width).numpy(), aligned(factor).numpy(), out.numpy())
    tasks = math.ceil(len(out) / block)
    for column, wide in pieces(width, partial.dtype, WIDTH):
        edges = even(tasks, _enough(len(factor) * wide * block))
        in_parallel(cpu_kernels.weighted_columns(wide), edges, *arrays, block, column)
    return out.reshape(*rest, width)


def _enough(work: int) -> int:
    """Tasks of so much work each that are worth a thread's start."""
    return max(1, 2**17 // max(1, work))
