"""Tucker factors with orthonormal columns: the sequentially truncated HOSVD, and sweeps of HOOI.

Shapes: data I_1 x ... x I_N, core R_1 x ... x R_N, factor n I_n x R_n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from polyadic.decomposition.tucker.subspaces import (
    DROWNED,
    OVERSAMPLING,
    Wanted,
    leading,
    leading_divided,
    power,
    rows_of,
    sketch,
    sweep,
)
from polyadic.distributed import World
from polyadic.tensor.dense import Slab
from polyadic.tensor.products import mode_product

RangeFinder = Literal["auto", "gram", "randomized"]

SKETCH_PAYS = 12
"""From so many times as many rows as a sketch has columns on, it takes less time than a Gram matrix."""


def wanted(slab: Slab, ranks: Sequence[int] | None, tol: float | None, norm: float) -> list[Wanted]:
    """What to keep of each mode's spectrum; of tol, less what the arithmetic itself may cost."""
    if ranks is not None:
        return [Wanted(rank, 0.0) for rank in ranks]
    share = max(0.0, (tol or 0) - DROWNED / 10 * torch.finfo(slab.local.dtype).eps)
    return [Wanted(None, (share * norm) ** 2 / len(slab.shape))] * len(slab.shape)


def st_hosvd(
    slab: Slab, kept: list[Wanted], range_finder: RangeFinder, seed: int, world: World
) -> tuple[Tensor, list[Tensor]]:
    """The core and this rank's rows of the factors."""
    local, shape, factors = slab.local, list(slab.shape), [slab.local] * len(slab.shape)
    widths = [_sketched(rows, one, range_finder) for rows, one in zip(shape, kept, strict=True)]
    for mode in _visits(slab, kept, widths):
        columns = math.prod(shape) // shape[mode]
        if mode == slab.mode:
            factors[mode] = leading_divided(local, mode, kept[mode], world)
            local = mode_product(local, factors[mode].T, mode)
        elif widths[mode]:
            basis = sketch(local, slab, shape, mode, widths[mode], seed, world)
            local = mode_product(local, basis.T, mode)
            turned = leading(local, mode, columns, kept[mode], world)
            local, factors[mode] = mode_product(local, turned.T, mode), basis @ turned
        else:
            factors[mode] = leading(local, mode, columns, kept[mode], world)
            local = mode_product(local, factors[mode].T, mode)
        shape[mode] = factors[mode].shape[1]
    core = world.sum_(local.contiguous())
    return hooi_sweep(slab, factors, core, world)[0] if any(widths) else core, factors


def _sketched(rows: int, wanted: Wanted, range_finder: RangeFinder) -> int:
    """The columns of a mode's sketch, or 0 where a Gram matrix is the better way."""
    if wanted.rank is None or range_finder == "gram":
        return 0
    width = wanted.rank + OVERSAMPLING
    return width if width < rows and (range_finder == "randomized" or rows >= SKETCH_PAYS * width) else 0


def _visits(slab: Slab, kept: list[Wanted], widths: list[int]) -> list[int]:
    """The modes in the order of least arithmetic, but for the divided one, which is the last.

    A mode that costs c an entry and leaves the share s of the entries comes before those with a larger c / (1 - s).
    """

    def price(mode: int) -> float:
        rows, rank = slab.shape[mode], kept[mode].rank
        left = rows / 2 if rank is None else rank
        cost = 2 * widths[mode] or 2 / 3 * rows + left
        return cost / max(1 - left / rows, 1e-9)

    # The last of equals first: its unfolding is a view of the tensor.
    free = [mode for mode in reversed(range(len(slab.shape))) if mode != slab.mode]
    return [*sorted(free, key=price), slab.mode]


def hooi_sweep(slab: Slab, factors: list[Tensor], core: Tensor, world: World) -> tuple[Tensor, float]:
    """One sweep over the modes; changes `factors` and returns the core and its square, |X|² - |X - Y|²."""

    def update(mode: int, projected: Tensor) -> Tensor:
        return power(rows_of(projected, mode), factors[mode], world, divided=mode == slab.mode)

    core = sweep(slab, factors, world, update)
    return core, core.double().square().sum().item()
