"""Sweeps of the nonnegative Tucker decomposition: core and factors without negative entries.

Shapes: data I_1 x ... x I_N, core R_1 x ... x R_N, factor n I_n x R_n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from polyadic.decomposition.precision import TRUSTED_ROUND_OFFS
from polyadic.decomposition.tucker.orthogonal import st_hosvd
from polyadic.decomposition.tucker.small_sweeps import SmallSweeps, sweep_work
from polyadic.decomposition.tucker.subspaces import Truncation
from polyadic.decomposition.tucker.sweep import sweep
from polyadic.decomposition.tucker.unfoldings import rows_of
from polyadic.distributed import World
from polyadic.tensor.dense import Slab
from polyadic.tensor.kernels.threads import for_kernels
from polyadic.tensor.products import mode_product, multi_mode_product

COLUMN_PASSES = 5
"""Passes over the columns of a factor in one sweep: they are cheap beside the products with the data."""
CORE_STEPS = 20
"""Gradient steps of the core in one sweep, which are cheap as well."""
SPARE_COLUMNS = 2
"""Columns of a mode beyond the rank in the core that stands for the data."""
LARGEST_CORE = 2**16
"""Numbers of such a core: a search on a larger one is no small work."""
LEAST_ROW_NUMBERS, ROW_SHARE = 2**17, 1 / 16
"""Numbers of all rows that a search may hold: the larger of 1 MB and a part of the tensor's own."""
MOST_STARTS = 4
ROUND_SWEEPS = 50, 150, 1000
"""Sweeps of each start that is left; after a round the worse half is dropped."""
SEARCH_WORK = 4e9
"""Multiplications of a search whose every start is kept to its end: no start is made beyond."""
SEARCH_TOLERANCE = 1e-8
"""The change of the relative error in a sweep at which a start of a search has ended."""


def nonnegative_start(
    slab: Slab, ranks: Sequence[int], norm: float, seed: int, world: World
) -> tuple[Tensor, list[Tensor]]:
    """A core and this rank's rows of factors, the same for any number of ranks.

    The best ones of a small core that stands for the data, where a search of it is little work; random ones elsewhere.
    """
    if (found := _searched(slab, ranks, norm, seed, world)) is None:
        found = _random(slab.shape, ranks, norm, seed)
    core, factors = found
    factors[slab.mode] = factors[slab.mode][slab.rows]
    return core.to(slab.local), [factor.to(slab.local) for factor in factors]


def _random(shape: Sequence[int], ranks: Sequence[int], norm: float, seed: int) -> tuple[Tensor, list[Tensor]]:
    """A core and factors whose entries are uniform on [0, 1); the core is then scaled to a model of this norm."""
    random = torch.Generator().manual_seed(seed)
    shapes = [list(ranks), *([rows, rank] for rows, rank in zip(shape, ranks, strict=True))]
    core, *factors = [torch.rand(shape, generator=random, dtype=torch.float64) for shape in shapes]
    square = (core * multi_mode_product(core, [factor.T @ factor for factor in factors])).sum()
    return core * norm / square.sqrt(), factors


def _searched(
    slab: Slab, ranks: Sequence[int], norm: float, seed: int, world: World
) -> tuple[Tensor, list[Tensor]] | None:
    """The best core and factors, whole, of some random starts on the data's own Tucker core; None where that is dear.

    A low-rank approximation first, whose noise is gone and whose sweeps cost little: Zhou, Cichocki and Xie, IEEE
    Trans. Signal Process. 2012. Of the starts the worse are dropped as they fall behind.
    """
    wide = [min(rows, rank + SPARE_COLUMNS) for rows, rank in zip(slab.shape, ranks, strict=True)]
    for mode, columns in enumerate(wide):  # No more than the other modes of the core have entries together.
        wide[mode] = min(columns, math.prod(wide) // columns)
    held = sum(slab.shape) * (max(wide) + 4 * max(ranks))
    large = math.prod(wide) > LARGEST_CORE or held > max(LEAST_ROW_NUMBERS, ROW_SHARE * math.prod(slab.shape))
    count = min(MOST_STARTS, int(SEARCH_WORK / (sweep_work(wide, ranks, slab.shape) * sum(ROUND_SWEEPS))))
    if large or not count or any(columns < rank for columns, rank in zip(wide, ranks, strict=True)):
        return None
    core, bases = st_hosvd(slab, [Truncation(columns, 0.0) for columns in wide], "auto", seed, world)
    bases[slab.mode] = world.gather_rows(bases[slab.mode])
    explained = core.double().square().sum().item()
    missed = norm**2 - explained  # What is round-off of float32 is nothing.
    squares = explained + (missed if missed > TRUSTED_ROUND_OFFS * torch.finfo(core.dtype).eps * norm**2 else 0.0)
    sweeps = SmallSweeps(core.cpu(), ranks, math.sqrt(squares), [basis.cpu() for basis in bases])
    models = [_random(slab.shape, ranks, norm, (seed + number) % 2**63) for number in range(count)]
    with for_kernels():
        for most in ROUND_SWEEPS:
            tried = []
            for model in models:
                sweeps.begin(*model)
                sweeps(most, SEARCH_TOLERANCE)
                tried.append((sweeps.error, sweeps.model()))
            tried.sort(key=lambda one: one[0])
            models = [model for _, model in tried[: max(1, len(tried) // 2)]]
    found, *factors = [world.from_first_(part.to(core.device)) for part in (models[0][0], *models[0][1])]
    return found, factors


def nonnegative_sweep(slab: Slab, factors: list[Tensor], core: Tensor, world: World) -> tuple[Tensor, float]:
    """One sweep over the modes, then the core; changes `factors` and returns the core and |X|² - |X - Y|².

    core: R_1 x ... x R_N; factors: I_n x R_n, this rank's rows of the divided mode, with columns of length 1.
    Each factor is updated by hierarchical alternating least squares, and the core by accelerated projected gradients;
    neither lets the error grow: Phan and Cichocki, Neurocomputing 2011, sections 3 and 4.
    """
    grams = [_gram(factor, world, mode == slab.mode) for mode, factor in enumerate(factors)]

    def update(mode: int, projected: Tensor) -> Tensor:
        nonlocal core
        others = [m for m in range(core.ndim) if m != mode]
        rows = rows_of(core, mode)
        target = rows_of(projected, mode) @ rows.T
        inner = rows_of(multi_mode_product(core, [grams[m] for m in others], others), mode) @ rows.T
        factor = _columns_in_turn(factors[mode], target, inner)
        lengths = _lengths(factor, world, mode == slab.mode)
        core = mode_product(core, torch.diag(lengths), mode)
        factor = factor / lengths
        grams[mode] = _gram(factor, world, mode == slab.mode)
        return factor

    target = sweep(slab, factors, world, update).double()
    exact = [gram.double() for gram in grams]
    core = _core(core.double(), target, exact).to(core.dtype)
    return core, -2 * _value(core.double(), target, exact)


def _columns_in_turn(factor: Tensor, target: Tensor, inner: Tensor) -> Tensor:
    """Lowers |X - factor B|² over factor >= 0, one column at a time: target = X B^T (I x R), inner = B B^T (R x R)."""
    factor = factor.clone()
    scale = inner.diagonal().clamp_min(torch.finfo(inner.dtype).tiny)
    for _ in range(COLUMN_PASSES):
        for column in range(factor.shape[1]):
            step = (target[:, column] - factor @ inner[:, column]) / scale[column]
            factor[:, column] = (factor[:, column] + step).clamp_min(0)
    return factor


def _core(core: Tensor, target: Tensor, grams: list[Tensor]) -> Tensor:
    """Lowers <G, G ×_n grams[n]> / 2 - <G, target> over G >= 0 by FISTA, which starts anew where that would grow.

    In float64: in float32 round-off would decide where it starts anew, and so the number of ranks.
    Beck and Teboulle, SIAM J. Imaging Sci. 2009, with the restart of O'Donoghue and Candès, Found. Comput. Math. 2015.
    """
    bound = math.prod(gram.sum(1).max().item() for gram in grams)  # No less than the largest eigenvalues.
    best, ahead, momentum = core, core, 1.0
    best_image = ahead_image = multi_mode_product(core, grams)
    value = float((core * (best_image / 2 - target)).sum())
    for _ in range(CORE_STEPS):
        new = (ahead - (ahead_image - target) / bound).clamp_min(0)
        image = multi_mode_product(new, grams)  # The one product of a step: what is ahead is a mixture of two known.
        if (new_value := float((new * (image / 2 - target)).sum())) > value:
            if ahead is best:
                break
            ahead, ahead_image, momentum = best, best_image, 1.0
            continue
        next_momentum = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        push = (momentum - 1) / next_momentum
        ahead, ahead_image = new + push * (new - best), image + push * (image - best_image)
        best, best_image, value, momentum = new, image, new_value, next_momentum
    return best


def _value(core: Tensor, target: Tensor, grams: list[Tensor]) -> float:
    return float((core * (multi_mode_product(core, grams) / 2 - target)).sum())


def _gram(factor: Tensor, world: World, divided: bool) -> Tensor:
    gram = factor.T @ factor
    return world.sum_(gram) if divided else gram


def _lengths(factor: Tensor, world: World, divided: bool) -> Tensor:
    """The lengths of a factor's columns, never 0."""
    squares = factor.double().square().sum(0)
    lengths = (world.sum_(squares) if divided else squares).sqrt().to(factor.dtype)
    return torch.where(lengths == 0, 1, lengths)
