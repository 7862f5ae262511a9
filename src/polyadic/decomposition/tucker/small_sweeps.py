"""Sweeps of a Tucker model over a small dense tensor on a CPU: many of them in one call of a kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from polyadic.decomposition.tucker.progress import Progress
from polyadic.decomposition.tucker.sweep import cut_of
from polyadic.distributed import World
from polyadic.tensor import kernels
from polyadic.tensor.dense import Slab

MOST_AT_ONCE = 2**27
"""Multiplications that one call of the kernel makes, about: a tenth of a second."""
MOST_WORK = {False: 2**19, True: 2**22}
MOST_RANK = {False: 6, True: 16}
"""Entries of data times the largest rank, and that rank, up to which a sweep takes less time here than by products of
torch: of orthonormal factors, and of nonnegative ones."""


class SmallSweeps:
    """A model of X (J_1 x ... x J_N, of norm |X| or more) on its way, its core and factors in float64.

    With orthonormal factors J_n x R_n, or with bases, nonnegative ones: X then stands for X ×_n U^(n), with orthonormal
    columns U^(n) (I_n x J_n), or None where the rows are the same, and the factors are I_n x R_n.
    norm: of what X stands for, including what the bases leave out.
    """

    def __init__(
        self, x: Tensor, ranks: Sequence[int], norm: float, bases: Sequence[Tensor | None] | None = None
    ) -> None:
        shape, order, width = list(x.shape), x.ndim, max(ranks)
        rows = [
            len(basis) if basis is not None else side
            for basis, side in zip(bases or [None] * order, shape, strict=True)
        ]
        self._x, self._norm = np.ascontiguousarray(x.double().numpy()).reshape(-1), norm
        cut, numbers, core = cut_of(shape, ranks), math.prod(shape), math.prod(ranks)
        self._sizes = np.array(shape), np.array(ranks), cut
        at, within = (np.concatenate([[0], np.cumsum(sides)]) for sides in (rows, shape))
        self._model = np.zeros((within[-1], width)), within, np.zeros(core)
        self._cone = None
        if bases is not None:
            columns = np.zeros((at[-1], max(shape)))
            for mode, basis in enumerate(bases):
                if basis is not None:
                    columns[at[mode] : at[mode + 1], : shape[mode]] = basis.double().numpy()
            based = np.array([basis is not None for basis in bases], np.int64)
            self._cone = np.zeros((at[-1], width)), at, np.zeros((order * width, width)), columns, based
        largest = max(core, *(numbers // shape[mode] * ranks[mode] for mode in (0, cut)))
        self._rooms = np.zeros((kernels.tucker.ROOMS, largest))
        self._small = np.zeros((3, max(width, *rows) if bases is not None else 0, width))
        self._errors, self._work = np.full(2, math.inf), sweep_work(shape, ranks, rows if bases is not None else None)
        self.sweeps, self.trusted = 0, True

    @staticmethod
    def of_all(slab: Slab, ranks: Sequence[int], world: World, *, nonnegative: bool) -> SmallSweeps | None:
        """Sweeps of data whose every rank is one on a CPU, and that are so small that they take less time here."""
        rank = max(ranks)
        large = slab.local.numel() * rank > MOST_WORK[nonnegative] or rank > MOST_RANK[nonnegative]
        if world.size > 1 or slab.local.device.type != "cpu" or large:
            return None
        if not nonnegative and any(rank > math.prod(ranks) // rank for rank in ranks):  # As tol may have it.
            return None
        norm = float(slab.local.double().norm())  # That of float32 hides small errors.
        return SmallSweeps(slab.local, ranks, norm, [None] * len(ranks) if nonnegative else None)

    def begin(self, core: Tensor, factors: Sequence[Tensor], errors: Sequence[float] = (math.inf, math.inf)) -> None:
        """Goes on from a core R_1 x ... x R_N and factors, and the relative errors before the last sweep and after."""
        self._model[2][:] = core.double().numpy().reshape(-1)
        self._errors[:], self.sweeps, self.trusted = errors, 0, True
        columns, at = self._cone[:2] if self._cone is not None else self._model[:2]
        for mode, factor in enumerate(factors):
            columns[at[mode] : at[mode + 1], : factor.shape[1]] = factor.double().numpy()

    def __call__(self, most: int, tolerance: float) -> None:
        """Up to `most` sweeps, until the error changes by less than `tolerance`.

        Ends at the first sweep whose error is round-off: it is not `trusted` then.
        """
        end, some = kernels.tucker.GOING, max(1, int(MOST_AT_ONCE / self._work))
        while self.sweeps < most and end == kernels.tucker.GOING:  # A call is not interrupted.
            arrays = self._x, self._sizes, self._model, self._cone, self._rooms, self._small
            count = min(some, most - self.sweeps)
            end, made = kernels.tucker.sweeps(*arrays, self._norm**2, count, tolerance, self._errors)
            self.sweeps += made
        self.trusted = end != kernels.tucker.UNTRUSTED

    def go_on(self, progress: Progress, most: int, stop_tol: float) -> None:
        """Takes the state of a fit on to sweep number `most`, or to its end."""
        self.begin(progress.core, progress.factors, (progress.error_before, progress.relative_error))
        self(most - progress.iteration, stop_tol)
        progress.core, progress.factors = self.model()
        progress.error_before, progress.relative_error = self._errors.tolist()
        progress.iteration += self.sweeps

    @property
    def error(self) -> float:
        """The relative error after the last sweep."""
        return float(self._errors[1])

    def model(self) -> tuple[Tensor, list[Tensor]]:
        """The core and the factors, copied."""
        (inside, within, core), ranks = self._model, self._sizes[1].tolist()
        columns, at = (inside, within) if self._cone is None else self._cone[:2]
        factors = [torch.from_numpy(columns[at[n] : at[n + 1], :rank].copy()) for n, rank in enumerate(ranks)]
        return torch.from_numpy(core.reshape(ranks).copy()), factors


def sweep_work(shape: Sequence[int], ranks: Sequence[int], rows: Sequence[int] | None) -> float:
    """The multiplications of a sweep over X of this shape, about; rows: of nonnegative factors, None for others."""
    kernel = kernels.tucker
    numbers, core, most = math.prod(shape), math.prod(ranks), max(ranks)
    if rows is None:
        return 4.0 * numbers * most + 2.0 * kernel.POWER_STEPS * core * sum(ranks)
    return 2.0 * numbers * most + 1.0 * kernel.CORE_STEPS * core * sum(ranks) + 2.0 * sum(rows) * max(shape) * most
