"""Sweeps of alternating least squares over a dense tensor on one CPU: many of them in one call of a kernel."""

from __future__ import annotations

import time

import numpy as np
import torch

from polyadic.decomposition.cp.error import exact_error
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.data import Data, overflow
from polyadic.decomposition.precision import TRUSTED_ROUND_OFFS
from polyadic.tensor import kernels
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.kernels.padding import lanes, padded
from polyadic.tensor.kernels.threads import even, in_parallel

MOST_AT_ONCE = 2**28
"""Multiplications of the passes that one call of the kernel makes, about: a tenth of a second."""
MOST_ALONE = 2**22
"""Multiplications of a pass that one thread makes as soon as several, which must be woken."""


def fits(data: Data, rank: int) -> bool:
    """Whether a sweep of the data is one of `DenseSweep`."""
    share = data.share
    return isinstance(share, DenseShare) and data.mask is None and data.world.size == 1 and share.kept(rank)


class DenseSweep:
    """As `sweep.Sweep`, for what it `fits`."""

    def __init__(self, data: Data, *, nonnegative: bool, l2: float, modes: list[int]) -> None:
        assert isinstance(data.share, DenseShare)
        self.data, self.nonnegative, self.l2, self.modes = data, nonnegative, l2, modes
        x = data.share.slab.local.numpy()
        self._order = data.share.order()
        self._shape = np.array([x.shape[mode] for mode in self._order])
        self._edges = np.concatenate([[0], np.cumsum(self._shape)])
        self._x = np.ascontiguousarray(x.transpose(self._order)).reshape(-1, self._shape[-1])

    def begin(self, progress: Progress) -> None:
        """Takes up the factors of a fit."""
        rank, shape, edges, type_ = progress.factors[0].shape[1], self._shape, self._edges, self._x.dtype
        width, heads = padded(rank, self.data.share.dtype), np.cumprod(shape[:-2])
        lean, weights = np.zeros((edges[-1], width), type_), np.ones(width)
        grams = np.zeros((len(shape) * width, width))
        if progress.iteration:
            weights[:rank] = progress.weights.numpy()
        for place, mode in enumerate(self._order):
            rows = progress.factors[mode].numpy()
            lean[edges[place] : edges[place + 1], :rank] = (
                np.abs(rows) if self.nonnegative and mode in self.modes else rows
            )
        stack = lean.astype(np.float64)
        for place, mode in enumerate(self._order):
            part = stack[edges[place] : edges[place + 1], :rank]
            gram = progress.grams[mode].numpy() if progress.grams else part.T @ part
            grams[place * width : place * width + rank, :rank] = gram
        free = np.array([mode in self.modes for mode in self._order], np.int64)
        self._sizes, self._model = (shape, edges, free, int(len(self.modes) > 2)), (lean, stack, grams, weights)
        self._rooms = kernels.sweeps.Rooms(
            partials=(np.empty((heads[-1] * shape[-2], width), type_), np.empty((heads[-1] * shape[-1], width), type_)),
            known=np.zeros(2, np.int64),
            right=np.empty((heads.sum(), width), type_),
            left=np.ones((1 + heads.sum(), width), type_),
            own=np.empty((shape.max(), width), type_),
            exact=np.empty((shape.max(), width)),
            small=np.zeros((3 * width, width)),
            sums=np.zeros(3),
        )

    def __call__(self, progress: Progress, most: int, stop_tol: float) -> None:
        """Makes sweeps until the error changes no more or there were `most`; takes their error and mean seconds."""
        began, before, rank = time.perf_counter(), progress.iteration, progress.factors[0].shape[1]
        lean, _, grams, weights = self._model
        dtype, width, edges = self.data.share.dtype, lean.shape[1], self._edges
        eps = torch.finfo(dtype).eps
        rule = self.data.norm, self.l2, float(self.nonnegative), eps * rank, TRUSTED_ROUND_OFFS * eps, stop_tol, rank
        errors = np.array([progress.error_before, progress.relative_error])
        wide = (0,) * min(2 * lanes(dtype), width)
        arrays = self._x, self._sizes, self._model, self._rooms
        step, end = 2 * before, kernels.sweeps.GOING
        while end == kernels.sweeps.GOING and step < 2 * most:
            some = max(1, MOST_AT_ONCE // (self._x.size * width))  # A call is not interrupted.
            stop = min(2 * most, step // 2 * 2 + 2 * some)
            if self._x.size * width > MOST_ALONE:
                self._contract(wide, step)
                stop = step + 1
            end, step = kernels.sweeps.halves(wide, *arrays, rule, errors, step, stop)
        if end == kernels.sweeps.OVERFLOW:
            raise overflow(dtype)
        for place, mode in enumerate(self._order):
            progress.factors[mode] = torch.from_numpy(lean[edges[place] : edges[place + 1], :rank].copy())
        whole = grams.reshape(-1, width, width)[:, :rank, :rank]
        progress.grams = [torch.from_numpy(whole[self._order.index(mode)].copy()) for mode in range(len(whole))]
        progress.weights = torch.from_numpy(weights[:rank].copy())
        progress.error_before, progress.relative_error = errors.tolist()
        if end == kernels.sweeps.UNTRUSTED:
            progress.relative_error = exact_error(self.data, progress)
        progress.iteration, progress.seconds = step // 2, (time.perf_counter() - began) / max(1, step // 2 - before)

    def _contract(self, wide: tuple[int, ...], step: int) -> None:
        """X times the factor of one of the last two modes, as half a sweep begins with it, on several threads."""
        known = (step // 2 * self._sizes[-1] + step) % 2
        if self._rooms.known[known] or (step % 2 and not self._sizes[2][len(self._shape) - 2 + known]):
            return
        place = len(self._shape) - 1 - known
        across = int(self._shape[place]) * known
        factor = self._model[0][self._edges[place] : self._edges[place + 1]]
        blocks = -(-self._x.shape[1] // kernels.sweeps.BLOCK_COLUMNS)
        edges = even(len(self._x) // across * blocks if known else len(self._x), 6)
        in_parallel(kernels.sweeps.contract, edges, wide, self._x, factor, self._rooms.partials[known], across)
        self._rooms.known[known] = 1
