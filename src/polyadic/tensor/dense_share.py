"""A rank's slab of a dense tensor, and its MTTKRPs with as few passes over the data as their order allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor.dense import Slab, khatri_rao, khatri_rao_rows, residual
from polyadic.tensor.kernels.padding import padded
from polyadic.tensor.layout import of_slab
from polyadic.tensor.skinny import MOST_KERNEL_COLUMNS, aligned, skinny_product
from polyadic.tensor.weighted import weighted

PARTIAL_SHARE = 4
"""A partial product may take this part of the tensor's memory at most."""
AT_ONCE = 2**16
"""Numbers that are squared at a time: they stay in the cache."""
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

    A pass over the data contracts it with the factor that will stand longest; what is left serves every other mode
    until then: the multi-sweep dimension tree of Ma and Solomonik (IPDPS 2021), whose N - 1 products a pass become N
    where a sweep's last two modes change places from one sweep to the next, as `sweep` has it. Where that partial
    product would be large, one pass serves half of the modes, and where that would be large too, the Khatri-Rao product
    is formed a few rows at a time and no more is kept than the result.
    """

    def __init__(self, slab: Slab, world: World) -> None:
        self.slab, self.world, self.shape = slab, world, slab.shape
        self.layers = of_slab(slab, world)
        self.dtype, self.device = slab.local.dtype, slab.local.device
        self._partial: _Partial | None = None
        self._next: range | None = None
        self._room = self.slab.local.new_empty(0)
        self._modes, self._turns, self._products = list(range(len(self.shape))), False, 0

    def sweep(self, number: int) -> list[int]:
        """The modes in the order in which sweep `number`, from 0, is to update them."""
        if self._turns and number % 2:
            *others, last, before = self._modes
            return [*others, before, last]
        return self._modes

    def seek(self, sweeps: int, modes: Sequence[int], rank: int) -> None:
        """Goes on as after so many sweeps over `modes`, so that a fit resumed there rounds as one never stopped."""
        self._modes, self._products, self._partial = list(modes), 0, None
        self._turns = len(modes) > 2 and all(self._small(mode, rank) for mode in modes[-2:])
        kept: range | None = None
        for number in range(sweeps):
            for mode in self.sweep(number):
                if kept is None or mode in kept:
                    kept = self._contracted(mode, rank)
                self._products += 1
        self._next = kept

    def square(self) -> Tensor:
        """|X|² over all ranks, in float64, without a copy of the whole tensor in it."""
        total = self.slab.local.new_zeros((), dtype=torch.float64)
        room = self.slab.local.new_empty(AT_ONCE, dtype=torch.float64)
        for part in torch.split(self.slab.local.reshape(-1), AT_ONCE):
            exact = room[: len(part)].copy_(part)
            total += exact @ exact
        return self.world.sum_(total)

    def mttkrp(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """X_(n) (⊙_{m≠n} A^(m)) over this rank's entries, for its held rows of every factor: rows of mode n x R.

        A factor is taken to be the same as long as it is the same object: none may be changed in place.
        """
        rank = factors[0].shape[1]
        headed: Tensor | None = None
        if not self._still_good(mode, factors):
            modes = self._choose(mode, rank)
            if modes is None:
                self._products += 1
                return self._by_pieces(mode, factors)
            used = [factors[m] for m in modes]
            self._partial = None  # The new one takes its place.
            first = factors[0] if mode and modes.start else None
            product, headed = self._contract(modes, used, first)
            self._partial = _Partial(modes, used, product)
        self._products += 1
        assert self._partial is not None
        rest = [m for m in range(len(self.shape)) if m not in self._partial.modes]
        partial = self._partial.tensor
        if headed is not None:
            rest, partial = rest[1:], headed
        return weighted(partial, [factors[m] for m in rest], rest.index(mode))[:, :rank]

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
        small = [m for m in range(order) if m != mode and self._small(m, rank)]
        if small or order == 2:
            longest = max(small or [1 - mode], key=self._stands)
            return range(longest, longest + 1)
        cut = min(range(1, order), key=lambda c: math.prod(here[:c]) + math.prod(here[c:]))
        other = range(cut, order) if mode < cut else range(cut)
        kept, gone = math.prod(here) // max(1, math.prod(here[m] for m in other)), math.prod(here[m] for m in other)
        return other if (kept + gone) * width <= room else None

    def _small(self, mode: int, rank: int) -> bool:
        """Whether what is left of a rank's slab without this mode may be kept: on every rank, or on none."""
        rows = self.shape[mode] // (self.world.size if mode == self.slab.mode else 1)
        return rows >= PARTIAL_SHARE * padded(rank, self.dtype)

    def _stands(self, mode: int) -> int:
        """How many products are yet to come before this mode's factor changes."""
        number, done = divmod(self._products, len(self._modes))
        coming = [*self.sweep(number)[done:], *self.sweep(number + 1)]
        return coming.index(mode) if mode in coming else len(coming)

    def _contract(self, modes: range, factors: list[Tensor], first: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The tensor times the factors of neighbouring modes: the other modes x R, padded to whole registers.

        With the factor of the first mode, also that product times it, summed over its rows, where that comes cheap.
        """
        here, x = self.slab.local.shape, self.slab.local
        left, right = math.prod(here[: modes.start]), math.prod(here[modes.stop :])
        columns, headed = aligned(khatri_rao(factors)), None
        kept = left * right * columns.shape[1]
        if x.device.type == "cpu" and columns.shape[1] <= MOST_KERNEL_COLUMNS and x.numel():
            weights, room = None if first is None else aligned(first), None
            if len(here) - len(modes) > 1:  # Else the product is the answer itself.
                room = self._room = self._room if len(self._room) >= kept else x.new_empty(kept)
            flat, headed = skinny_product(x, columns, left, right, weights, room)
        elif right == 1:
            flat = x.reshape(left, len(columns)) @ columns
        else:
            flat = x.reshape(left, len(columns), right).transpose(1, 2) @ columns
        rest = [*here[: modes.start], *here[modes.stop :], columns.shape[1]]
        return flat.reshape(rest), None if headed is None else headed.reshape(rest[1:])

    def _by_pieces(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """The product by blocks of columns of the unfolding, each against its own rows of the Khatri-Rao product."""
        here, rank = self.slab.local.shape, factors[0].shape[1]
        if not self.slab.local.numel():
            return factors[0].new_zeros(here[mode], rank)
        left, right = math.prod(here[:mode]), math.prod(here[mode + 1 :])
        x, out = self.slab.local.reshape(left, here[mode], right), factors[0].new_zeros(here[mode], rank)
        at_once = max(1, max(ROOM, x.numel() // (2 * PARTIAL_SHARE)) // rank)
        high = max(1, at_once // right)
        wide = right if right <= at_once else at_once
        for top in range(0, left, high):
            for first in range(0, right, wide):
                block = x[top : top + high, :, first : first + wide]
                columns = _columns(factors, mode, (top, min(top + high, left)), (first, min(first + wide, right)))
                out.addmm_(block.transpose(0, 1).reshape(here[mode], len(columns)), columns)
        return out


def _columns(factors: Sequence[Tensor], mode: int, left: tuple[int, int], right: tuple[int, int]) -> Tensor:
    """The Khatri-Rao product of every factor but one, for some rows of those before it and of those after it."""
    parts = [
        khatri_rao_rows(some, *part) for some, part in ((factors[:mode], left), (factors[mode + 1 :], right)) if some
    ]
    return khatri_rao(parts)
