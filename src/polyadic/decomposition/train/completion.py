"""The tensor train of a tensor with missing entries (completion), by alternating least squares over its cores."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from polyadic.decomposition.data import check_norm, check_shape, overflow
from polyadic.decomposition.precision import sum_of_squares
from polyadic.decomposition.train.regression import ModeEntries, best_core
from polyadic.decomposition.train.spectral import spectral_cores
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.arguments import checked, dense, shape_of, whole_numbers
from polyadic.tensor.tensor_train import TensorTrain
from polyadic.tensor.train_ranks import feasible_ranks

CHUNK_ENTRIES = 2**18
"""Entries whose misses are summed together."""


@dataclass
class Progress:
    """The state of a completion, which changes it in place: it holds all that is needed to resume it exactly.

    cores: r_{n-1} x I_n x r_n, whole on every rank. relative_error and error_before: over the observed entries, after
    the last sweep and the one before. seconds: of the last sweep.
    """

    iteration: int = 0
    cores: list[Tensor] = field(default_factory=list)
    relative_error: float = math.inf
    error_before: float = math.inf
    seconds: float = 0.0


@checked(renamed={"tol": "stop_tol"})
def complete_tensor_train(
    indices: Tensor,
    values: Tensor,
    shape: Sequence[int],
    max_rank: int | Sequence[int],
    *,
    l2: float = 0.0,
    max_iterations: int = 100,
    stop_tol: float = 1e-6,
    seed: int = 0,
    world: World | None = None,
    progress: Progress | None = None,
    after_sweep: Callable[[Progress], bool] = lambda _: True,
) -> TensorTrain:
    """The tensor train that fits the observed entries of a tensor best, and with it estimates of the missing entries.

    indices: N x M, counted from 0, and values: M, float32 or float64: this rank's part of the observed entries, any
    part. shape: I_1, ..., I_N. max_rank: one number, or r_1, ..., r_{N-1}; more than the shape allows is no error.
    l2: the weight of |Y|² beside the sum of the squared misses. seed: of the sketch from which the first cores come
    (`spectral_cores`), or of these where they are random.
    stop_tol: the fit ends when the relative error over the observed entries changes by less in a sweep there and back,
    or after `max_iterations` such sweeps.
    progress: the state of an earlier fit to resume. after_sweep: sees the state after each sweep, and ends the fit by
    returning False.

    Returns cores r_{n-1} x I_n x r_n, whole on every rank, and the relative error over the observed entries.

    Alternating least squares, each core beside the others: Grasedyck, Kluge and Krämer, SIAM J. Sci. Comput. 2015. To
    l2 comes a ridge as large as the squared relative error, which vanishes as the misses do: it keeps the first sweeps
    from fitting a few entries with huge cores, and the last ones from fitting noise.

    Raises UserError for an order under 2, ranks under 1, indices outside the shape, no entry at all, only zeros,
    entries that are not finite, and sums that overflow.
    """
    world = world or World.alone()
    shape, values = shape_of(shape), dense(values, "values").detach()
    indices = whole_numbers(indices, "indices").to(values.device)
    check_shape(shape)
    ranks = feasible_ranks(shape, max_rank, None)
    _check_entries(indices, values, shape, world)
    norm = check_norm(world.sum_(sum_of_squares(values)).sqrt().item(), values, world)
    density = world.sum_(torch.tensor(float(len(values)), dtype=torch.float64, device=values.device)).item()
    density /= math.prod(map(float, shape))
    modes = [ModeEntries(indices, values, mode, rows) for mode, rows in enumerate(shape)]
    progress = progress or Progress()
    if not progress.cores:
        progress.cores = spectral_cores(indices, values, shape, ranks, seed, world) or random_cores(
            shape, ranks, seed, values
        )
    while progress.iteration < max_iterations and not _converged(progress, stop_tol):
        began, progress.error_before = time.perf_counter(), progress.relative_error
        _sweep(progress.cores, modes, l2 + density * _caution(progress), world)
        progress.relative_error = _relative_error(progress.cores, indices, values, norm, world)
        progress.iteration, progress.seconds = progress.iteration + 1, time.perf_counter() - began
        if not after_sweep(progress):
            break
    return TensorTrain(list(progress.cores), progress.relative_error)


def random_cores(shape: Sequence[int], ranks: Sequence[int], seed: int, like: Tensor) -> list[Tensor]:
    """Random cores r_{n-1} x I_n x r_n, orthonormal in their rows but for the first, in the data type of `like`."""
    random = torch.Generator().manual_seed(seed)
    bonds = [1, *ranks, 1]
    cores = []
    for n, rows in enumerate(shape):
        core = torch.randn(bonds[n], rows * bonds[n + 1], generator=random, dtype=torch.float64)
        cores.append(torch.linalg.qr(core.T).Q.T.reshape(bonds[n], rows, bonds[n + 1]).to(like))
    return cores


def _converged(progress: Progress, stop_tol: float) -> bool:
    return abs(progress.error_before - progress.relative_error) < stop_tol


def _caution(progress: Progress) -> float:
    """The ridge beside l2, in units of the mean Gram matrix, which is the identity times the density of the entries."""
    return min(1.0, progress.relative_error) ** 2 * (0.3 + 0.7 * 0.9**progress.iteration)


def _check_entries(indices: Tensor, values: Tensor, shape: Sequence[int], world: World) -> None:
    for mode, rows in enumerate(shape):
        if world.any(bool(((indices[mode] < 0) | (indices[mode] >= rows)).any())):
            raise UserError(f"an index of mode {mode} is outside 0 to {rows - 1}: the tensor has shape {tuple(shape)}")
    if not world.any(len(values) > 0):
        raise UserError("the tensor has no observed entry: there is nothing to complete. Give one with some")


def _sweep(cores: list[Tensor], modes: Sequence[ModeEntries], l2: float, world: World) -> None:
    """Solves for each core from the first to the last and back, and leaves all but the first orthonormal in rows."""
    last = len(cores) - 1
    for n in range(last):
        cores[n] = best_core(cores, modes[n], l2, world)
        rank, rows, _ = cores[n].shape
        basis, triangle = torch.linalg.qr(cores[n].reshape(rank * rows, -1))
        cores[n] = basis.reshape(rank, rows, -1)
        cores[n + 1] = torch.tensordot(triangle, cores[n + 1], 1)
    for n in range(last, 0, -1):
        cores[n] = best_core(cores, modes[n], l2, world)
        _, rows, rank = cores[n].shape
        basis, triangle = torch.linalg.qr(cores[n].reshape(-1, rows * rank).T)
        cores[n] = basis.T.reshape(-1, rows, rank).contiguous()
        cores[n - 1] = cores[n - 1] @ triangle.T


def _relative_error(cores: list[Tensor], indices: Tensor, values: Tensor, norm: float, world: World) -> float:
    """The root of the sum of the squared misses over the entries of all ranks, divided by their norm."""
    train = TensorTrain([core.double() for core in cores])
    squares = torch.zeros((), dtype=torch.float64, device=values.device)
    for part in torch.split(torch.arange(len(values), device=values.device), CHUNK_ENTRIES):
        squares += (values[part].double() - train.at(indices[:, part].T.long())).square().sum()
    misses = world.sum_(squares).item()
    if not math.isfinite(misses):
        raise overflow(values.dtype)
    # One rank's word: a fit must stop on all of them at once, though their hardware may round differently.
    return world.from_first(math.sqrt(misses) / norm)
