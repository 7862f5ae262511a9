"""One visit to every mode of a Tucker model with the data projected onto the factors of the other modes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor.dense import Slab
from polyadic.tensor.products import mode_product, multi_mode_product


def sweep(slab: Slab, factors: list[Tensor], world: World, update: Callable[[int, Tensor], Tensor]) -> Tensor:
    """Updates every factor once, in place in the list, and reads the data twice in all.

    factors: I_n x R_n each, this rank's rows of the divided mode. update(mode, X ×_{m≠mode} A^(m)T): is given this
    rank's rows of the divided mode, and the sum over the ranks otherwise; what it returns takes the place of
    `factors[mode]` at once. Returns X ×_n A^(n)T with the new factors, R_1 x ... x R_N, summed over the ranks.

    One product with the factors of the right half of the modes serves the left half, and the other way round.
    """
    cut, last = cut_of(slab.shape, [factor.shape[1] for factor in factors]), len(factors) - 1
    left, right = range(cut), range(cut, len(factors))
    product = slab.local
    for half, others in ((left, right), (right, left)):
        shared = multi_mode_product(slab.local, [factors[m].T for m in others], others)
        for mode in half:
            rest = [m for m in half if m != mode]
            product = multi_mode_product(shared, [factors[m].T for m in rest], rest)
            if mode != slab.mode:
                product = world.sum_(product.contiguous())
            factors[mode] = update(mode, product)
    core = mode_product(product, factors[last].T, last).contiguous()
    return world.sum_(core) if last == slab.mode else core


def cut_of(shape: Sequence[int], ranks: Sequence[int]) -> int:
    """The number of modes in the left half with which the two partial products are smallest together."""

    def size(cut: int) -> int:
        first = math.prod(shape[:cut]) * math.prod(ranks[cut:])
        return first + math.prod(ranks[:cut]) * math.prod(shape[cut:])

    return min(range(1, len(shape)), key=size)
