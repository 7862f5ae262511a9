"""A rank's slab of a dense tensor, and its MTTKRPs with as few passes over the data as their order allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor.dense import Slab, khatri_rao, khatri_rao_rows, residual
from polyadic.tensor.kernels.padding import padded
from polyadic.tensor.kernels.threads import for_kernels
from polyadic.tensor.layout import of_slab
from polyadic.tensor.skinny import MOST_KERNEL_COLUMNS, aligned, skinny_product
from polyadic.tensor.weighted import weighted

PARTIAL_DIVISOR = 4
"""A partial product may have as many numbers as the tensor has, divided by this."""
SQUARED_NUMBERS = 2**16
"""Numbers that are squared at a time: they stay in the cache."""
MOST_ORDERED = 2**20
"""Entries of a tensor whose modes are updated from the shortest to the longest: kernels take longer over others."""
MOST_ROOM = 2**22
"""Numbers that X times the factors of its last two modes may take in any case."""
KHATRI_RAO_NUMBERS = 2**18
"""Numbers of the Khatri-Rao product that may be in memory in any case."""


@dataclass(frozen=True)
class _Partial:
    """The tensor contracted with the factors of some modes: the other modes x R; of use until one of them changes."""

    modes: range
    factors: list[Tensor]
    tensor: Tensor


class DenseShare:
    """This rank's slab, with the operations that CP asks of it; `layers` say which rows of each factor it holds.

    A pass over the data contracts it with the factor that will be the last to change. The partial product serves all
    other modes until then. This is the multi-sweep dimension tree of Ma and Solomonik (IPDPS 2021), where one pass
    serves N - 1 products. It serves N of them where the last two modes of a sweep change places from one sweep to the
    next, which `sweep` does. Where that partial product would be large, one pass serves half of the modes. Where that
    would be large too, the Khatri-Rao product is formed a few rows at a time, and nothing but the result is kept.
    """

    def __init__(self, slab: Slab, world: World) -> None:
        self.slab, self.world, self.shape = slab, world, slab.shape
        self.layers = of_slab(slab, world)
        self.dtype, self.device = slab.local.dtype, slab.local.device
        self._partial: _Partial | None = None
        self._next: range | None = None
        self._room = self.slab.local.new_empty(0)
        self._modes, self._turns, self._products = list(range(len(self.shape))), False, 0

    def with_entries(self, local: Tensor) -> DenseShare:
        """The share of other entries of the same slab, of the same ranks."""
        other = copy(self)
        other.slab, other._room = replace(self.slab, local=local), local.new_empty(0)
        other._partial, other._next = None, None
        return other

    def sweep(self, number: int) -> list[int]:
        """The modes in the order in which sweep `number`, from 0, is to update them."""
        if self._turns and number % 2:
            *others, last, before = self._modes
            return [*others, before, last]
        return self._modes

    def order(self) -> list[int]:
        """All modes in the order in which sweeps update them, the same for any number of ranks."""
        modes = range(len(self.shape))
        return sorted(modes, key=self.shape.__getitem__) if math.prod(self.shape) <= MOST_ORDERED else list(modes)

    def kept(self, rank: int) -> bool:
        """Whether X times the factor of each of the last two modes in order may be kept on the CPU of one process."""
        *head, before, last = (self.shape[mode] for mode in self.order())
        room = math.prod(head) * (before + last) * padded(rank, self.dtype)
        few = room <= max(MOST_ROOM, math.prod(self.shape) // PARTIAL_DIVISOR)
        return self.device.type == "cpu" and len(self.shape) > 2 and rank <= MOST_KERNEL_COLUMNS and few

    def seek(self, sweeps: int, modes: Sequence[int], rank: int, *, keeps: bool = True) -> None:
        """Begins or resumes a fit of rank R = `rank` after so many sweeps over `modes`.

        A resumed fit then makes the same products, in the same order, as a fit that was never stopped, to the bit.
        keeps: whether partial products are kept, as they are where factors that do not change are the same objects.
        """
        self._modes, self._products, self._partial = list(modes), 0, None
        last = list(modes[-2:])
        may = last == self.order()[-2:] if self.kept(rank) else all(self._long(mode, rank) for mode in last)
        self._turns = len(modes) > 2 and may
        kept: range | None = None
        for number in range(sweeps):
            for mode in self.sweep(number):
                if kept is None or mode in kept:
                    kept = self._contracted(mode, rank)
                self._products += 1
        self._next = kept if keeps else None

    def square(self) -> Tensor:
        """|X|² over all ranks, a number in float64, without a copy of the tensor in float64; a collective."""
        if self.slab.local.numel() <= SQUARED_NUMBERS:
            return self.world.sum_(self.slab.local.double().square().sum())
        total = self.slab.local.new_zeros((), dtype=torch.float64)
        room = self.slab.local.new_empty(SQUARED_NUMBERS, dtype=torch.float64)
        with for_kernels():  # To wake torch's threads takes longer than a part takes.
            for part in torch.split(self.slab.local.reshape(-1), SQUARED_NUMBERS):
                exact = room[: len(part)].copy_(part)
                total += exact @ exact
        return self.world.sum_(total)

    def mttkrp(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """X_(n) (⊙_{m≠n} A^(m)) over this rank's entries: the held rows of mode n x R.

        factors: this rank's held rows of each. A factor that is the same object as at the last call is taken to be
        unchanged: none may be changed in place.
        """
        rank = factors[0].shape[1]
        summed: Tensor | None = None
        if not self._serves(mode, factors):
            resumed = self._next is not None and mode not in self._next
            modes = self._choose(mode, rank)
            if modes is None:
                self._products += 1
                return self._by_pieces(mode, factors)
            used = [factors[m] for m in modes]
            self._partial = None  # Its memory is used for the new one.
            # A fit that was never stopped would have the product, and sum it as below.
            first = factors[0] if mode and modes.start and not resumed else None
            product, summed = self._contract(modes, used, first)
            self._partial = _Partial(modes, used, product)
        self._products += 1
        assert self._partial is not None
        others = [m for m in range(len(self.shape)) if m not in self._partial.modes]
        partial = self._partial.tensor
        if summed is not None:  # The first mode is already summed over.
            others, partial = others[1:], summed
        return weighted(partial, [factors[m] for m in others], others.index(mode))[:, :rank]

    def residual(self, weights: Tensor, factors: Sequence[Tensor], mask: DenseShare | None = None) -> Tensor:
        """|X - Y|² over all ranks by reconstruction, a number in float64; a collective.

        weights: R; factors: held rows x R; mask: the share of a tensor of ones and zeros, where only entries at ones
        count.
        """
        return self.world.sum_(residual(self.slab, weights, factors, None if mask is None else mask.slab))

    def _serves(self, mode: int, factors: Sequence[Tensor]) -> bool:
        """Whether the partial product serves this mode with these factors."""
        partial = self._partial
        return (
            partial is not None
            and mode not in partial.modes
            and all(factors[m] is factor for m, factor in zip(partial.modes, partial.factors, strict=True))
        )

    def _choose(self, mode: int, rank: int) -> range | None:
        """The modes that `seek` planned to contract, or those of `_contracted`."""
        planned, self._next = self._next, None
        return planned if planned is not None and mode not in planned else self._contracted(mode, rank)

    def _contracted(self, mode: int, rank: int) -> range | None:
        """The modes to contract for this mode's product, or None where the partial product would be too large."""
        shape, order = self.slab.local.shape, len(self.shape)
        room, width = self.slab.local.numel() // PARTIAL_DIVISOR, padded(rank, self.dtype)
        small = [m for m in range(order) if m != mode and self._small(m, rank)]
        if small or order == 2:
            last = max(small or [1 - mode], key=self._products_until_changed)
            return range(last, last + 1)
        cut = min(range(1, order), key=lambda c: math.prod(shape[:c]) + math.prod(shape[c:]))
        other_half = range(cut, order) if mode < cut else range(cut)
        contracted = math.prod(shape[m] for m in other_half)
        kept = math.prod(shape) // max(1, contracted)
        return other_half if (kept + contracted) * width <= room else None

    def _small(self, mode: int, rank: int) -> bool:
        """Whether the partial product without this mode may be kept; every rank answers the same."""
        rows = self.shape[mode] // (self.world.size if mode == self.slab.mode else 1)
        return rows >= PARTIAL_DIVISOR * padded(rank, self.dtype)

    def _long(self, mode: int, rank: int) -> bool:
        """Whether one rank alone might keep it; any number of ranks answers the same."""
        return self.shape[mode] >= PARTIAL_DIVISOR * padded(rank, self.dtype)

    def _products_until_changed(self, mode: int) -> int:
        """How many products come before this mode's factor changes."""
        number, done = divmod(self._products, len(self._modes))
        coming = [*self.sweep(number)[done:], *self.sweep(number + 1)]
        return coming.index(mode) if mode in coming else len(coming)

    def _contract(self, modes: range, factors: list[Tensor], first: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The tensor times the factors of neighbouring modes: the other modes x R, padded to whole registers.

        first: the factor of the first mode. Where it is given, and where it costs little, also that product times it,
        summed over the first mode's rows; otherwise None.
        """
        shape, x = self.slab.local.shape, self.slab.local
        left, right = math.prod(shape[: modes.start]), math.prod(shape[modes.stop :])
        columns, summed = aligned(khatri_rao(factors)), None
        kept = left * right * columns.shape[1]
        if x.device.type == "cpu" and columns.shape[1] <= MOST_KERNEL_COLUMNS and x.numel():
            weights, room = None if first is None else aligned(first), None
            if len(shape) - len(modes) > 1:  # Otherwise the product is the result, which the caller keeps.
                room = self._room = self._room if len(self._room) >= kept else x.new_empty(kept)
            flat, summed = skinny_product(x, columns, left, right, weights, room)
        elif right == 1:
            flat = x.reshape(left, len(columns)) @ columns
        else:
            flat = x.reshape(left, len(columns), right).transpose(1, 2) @ columns
        others = [*shape[: modes.start], *shape[modes.stop :], columns.shape[1]]
        return flat.reshape(others), None if summed is None else summed.reshape(others[1:])

    def _by_pieces(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """The product by blocks of columns of the unfolding, each with its rows of the Khatri-Rao product."""
        shape, rank = self.slab.local.shape, factors[0].shape[1]
        if not self.slab.local.numel():
            return factors[0].new_zeros(shape[mode], rank)
        left, right = math.prod(shape[:mode]), math.prod(shape[mode + 1 :])
        x, out = self.slab.local.reshape(left, shape[mode], right), factors[0].new_zeros(shape[mode], rank)
        rows = max(1, max(KHATRI_RAO_NUMBERS, x.numel() // (2 * PARTIAL_DIVISOR)) // rank)
        high, wide = max(1, rows // right), min(right, rows)
        for top in range(0, left, high):
            for first in range(0, right, wide):
                block = x[top : top + high, :, first : first + wide]
                columns = _columns(factors, mode, (top, min(top + high, left)), (first, min(first + wide, right)))
                out.addmm_(block.transpose(0, 1).reshape(shape[mode], len(columns)), columns)
        return out


def _columns(factors: Sequence[Tensor], mode: int, left: tuple[int, int], right: tuple[int, int]) -> Tensor:
    """The Khatri-Rao product of every factor but one: rows `left` of those before it, and `right` of those after it."""
    sides = ((factors[:mode], left), (factors[mode + 1 :], right))
    return khatri_rao([khatri_rao_rows(side, *rows) for side, rows in sides if side])
