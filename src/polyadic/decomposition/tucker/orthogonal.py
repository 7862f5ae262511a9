"""Tucker factors with orthonormal columns: the sequentially truncated HOSVD, and sweeps of HOOI.

Shapes: data I_1 x ... x I_N, core R_1 x ... x R_N, factor n I_n x R_n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from polyadic.decomposition.precision import TRUSTED_ROUND_OFFS
from polyadic.decomposition.tucker.subspaces import (
    OVERSAMPLED_COLUMNS,
    Truncation,
    leading,
    leading_divided,
    power,
    sketch,
)
from polyadic.decomposition.tucker.sweep import sweep
from polyadic.decomposition.tucker.unfoldings import rows_of
from polyadic.distributed import World
from polyadic.tensor.dense import Slab
from polyadic.tensor.products import mode_product

RangeFinder: TypeAlias = Literal["auto", "gram", "randomized"]

ROWS_PER_SKETCH_COLUMN = 12
"""A sketch takes less time than a Gram matrix where a mode has so many times as many rows as the sketch columns."""
ARITHMETIC_ROUND_OFFS = TRUSTED_ROUND_OFFS / 10
"""The arithmetic itself may cost so many round-offs of the norm."""


def truncations(slab: Slab, ranks: Sequence[int] | None, tol: float | None, norm: float) -> list[Truncation]:
    """How much of each mode's spectrum to keep, for given ranks, or for tol less what the arithmetic may cost."""
    if ranks is not None:
        return [Truncation(rank, 0.0) for rank in ranks]
    bound = max(0.0, (tol or 0) - ARITHMETIC_ROUND_OFFS * torch.finfo(slab.local.dtype).eps)
    return [Truncation(None, (bound * norm) ** 2 / len(slab.shape))] * len(slab.shape)


def st_hosvd(
    slab: Slab, kept: list[Truncation], range_finder: RangeFinder, seed: int, world: World
) -> tuple[Tensor, list[Tensor]]:
    """The core R_1 x ... x R_N, and this rank's rows of the factors I_n x R_n.

    Vannieuwenhoven, Vandebril and Meerbergen, SIAM J. Sci. Comput. 2012, algorithm 1; the modes in the order that
    costs least, the divided one last. Where a mode was sketched, one sweep of HOOI mends what the sketches lack.
    """
    local, shape, factors = slab.local, list(slab.shape), [slab.local] * len(slab.shape)
    widths = [_sketch_width(rows, mode_kept.rank, range_finder) for rows, mode_kept in zip(shape, kept, strict=True)]
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


def _sketch_width(rows: int, rank: int | None, range_finder: RangeFinder) -> int:
    """The columns of a mode's sketch, or 0 where its Gram matrix is asked for, or is the better way."""
    if rank is None or range_finder == "gram":
        return 0
    width = rank + OVERSAMPLED_COLUMNS
    pays = range_finder == "randomized" or rows >= ROWS_PER_SKETCH_COLUMN * width
    return width if width < rows and pays else 0


def _visits(slab: Slab, kept: list[Truncation], widths: list[int]) -> list[int]:
    """The modes in the order of least arithmetic, but for the divided one, which is the last.

    A mode that costs c for each entry and leaves the share s of the entries has the price c / (1 - s): lower ones
    come first.
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
    """One sweep of HOOI over the modes; changes `factors` and returns the core and its square, |X|² - |X - Y|².

    Each factor by subspace iteration on the data projected onto the others' factors: De Lathauwer, De Moor and
    Vandewalle, SIAM J. Matrix Anal. Appl. 2000.
    """

    def update(mode: int, projected: Tensor) -> Tensor:
        return power(rows_of(projected, mode), factors[mode], world, divided=mode == slab.mode)

    core = sweep(slab, factors, world, update)
    return core, core.double().square().sum().item()
