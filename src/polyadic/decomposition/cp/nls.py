"""CP by damped Gauss-Newton steps on the data: all factors at once, as far as a quadratic model can be trusted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from polyadic.decomposition.cp.error import final_error, relative_error, squares_of
from polyadic.decomposition.cp.newton import Quadratic, newton_step
from polyadic.decomposition.cp.observed import Observed, ObservedQuadratic
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.sweep import by_kernels
from polyadic.decomposition.cp.updates import column_lengths
from polyadic.decomposition.data import Data
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.kernels.threads import for_kernels

FIRST_DAMPING = 1e-3
"""The damping of a first step, as a part of the largest number on the diagonal of J^T J."""
ACCEPTED_RATIO, GOOD_RATIO = 1e-4, 0.9
"""A step is taken that keeps this part of its promise; after one that keeps the second, the damping falls faster."""
MOST_REFUSALS = 8
"""Steps refused in a row, each with more damping, after which no better model is in reach."""
STILL_FALLING = 0.1
"""A fit goes on while a step takes away this part of the error: towards an exact model each takes most of it."""
SMALL_PROMISE = 0.1
"""A step is not tried that promises less than this part of the change that ends a fit."""

LENGTH_MARGIN = 0.5
"""Columns of a component whose lengths differ by less from their mean stay as they are: each scaling rounds."""


@dataclass
class NewtonProgress(Progress):
    """The state of a fit by Gauss-Newton steps: beside that of any fit, the damping of the next step.

    growth: by how much the damping grows if that step is refused. least_error: of a nonnegative fit, the relative error
    of the best factors of any sign.
    """

    damping: float = 0.0
    growth: float = 2.0
    least_error: float = 0.0


@dataclass
class _Point:
    """Factors, the squared misfit over |X|² with l2's part, and what a step from there is made of.

    factors: held rows, in the data's precision; rows, gradient: own rows, float64. matrices: of each own row's normal
    equations, where some entries are unknown.
    """

    factors: list[Tensor]
    rows: list[Tensor]
    grams: list[Tensor]
    gradient: list[Tensor]
    relative_error: float
    squares: float
    matrices: list[Tensor]


@dataclass(frozen=True)
class Task:
    """What is fitted by steps: data, the weight of l2, which modes may change, and whether factors stay nonnegative."""

    data: Data
    l2: float
    moves: list[bool]
    nonnegative: bool


@dataclass(frozen=True)
class Ends:
    """What ends a fit: so many steps, a fit that changes by less in one, or False from `after_step`."""

    max_iterations: int
    stop_tol: float
    after_step: Callable[[Progress], bool]


def newton(progress: Progress | None) -> NewtonProgress:
    """The progress of an earlier fit by Gauss-Newton steps, or that of a new one."""
    return progress if isinstance(progress, NewtonProgress) else NewtonProgress()


def nls(
    data: Data,
    start: Callable[[int], list[Tensor]],
    *,
    nonnegative: bool = False,
    l2: float,
    fixed: list[int],
    restarts: int,
    seed: int,
    ends: Ends,
    progress: NewtonProgress,
) -> CPTensor:
    """The best of some restarts of Levenberg-Marquardt; arguments and errors as those of `fit.cp`.

    start: this rank's rows of the factors from which the restart with a seed begins, with the model's weights in them,
    divided by |X|.

    A step is -(J^T J + damping)^-1 J^T (Y - X) over all factors at once (`newton_step`); its gradient takes the MTTKRP
    of every mode at the same factors. It is tried with more damping where the misfit falls by too little of what the
    quadratic model promised: Nielsen, IMM-REP-1999-05, DTU. Nonnegative factors are projected after each step, which
    leaves entries that are zero and would fall as they are: Kanzow, Yamashita and Fukushima, J. Comput. Appl. Math.
    2004.
    """
    task = Task(data, l2, [mode not in fixed for mode in range(len(data.share.shape))], nonnegative)
    while progress.restart < restarts:
        if not progress.factors:
            progress.factors, progress.damping, progress.growth = start(seed + progress.restart), 0.0, 2.0
        alone = by_kernels(data, progress.factors[0].shape[1]) and not isinstance(data.mask, DenseShare)
        with for_kernels() if alone else nullcontext():
            going = _descend(task, progress, ends)
        progress.relative_error = final_error(data, progress)
        if not going:
            break
        progress.next_restart()
    return data.whole(progress.better())


def _descend(task: Task, progress: NewtonProgress, ends: Ends) -> bool:
    """Steps until the present restart converges; False when the caller ends the fit."""
    data = task.data
    point = _balanced(_point(task, progress.factors), task)
    if not progress.damping:
        progress.damping = FIRST_DAMPING * _quadratic(point, task).longest()
    _keep(progress, point, data)
    while progress.iteration < ends.max_iterations:
        began = time.perf_counter()
        better = _step(progress, point, task, ends.stop_tol)
        progress.iteration, progress.seconds = progress.iteration + 1, time.perf_counter() - began
        progress.error_before, before = point.relative_error, math.sqrt(point.squares)
        point = better or point
        _keep(progress, point, data)
        if not ends.after_step(progress):
            return False
        change = before - math.sqrt(point.squares)
        if better is None or _small(change, progress.relative_error, ends.stop_tol):
            break
    return True


def _small(change: float, relative_error: float, least: float) -> bool:
    """Whether a fall of the relative error ends a fit."""
    return change < least and change < STILL_FALLING * relative_error


def _keep(progress: NewtonProgress, point: _Point, data: Data) -> None:
    progress.factors, progress.grams, progress.relative_error = point.factors, point.grams, point.relative_error
    progress.weights = torch.full((len(point.grams[0]),), data.norm, dtype=torch.float64, device=data.share.device)


def _step(progress: NewtonProgress, point: _Point, task: Task, stop_tol: float) -> _Point | None:
    """The point after one step, tried with more damping until it keeps its promise; None where none does."""
    for _ in range(MOST_REFUSALS):
        model = _quadratic(point, task)
        step, promise = newton_step(model, progress.damping)
        if task.nonnegative:
            step = [
                (own + change).clamp_min(0) - own if moves else change
                for own, change, moves in zip(point.rows, step, task.moves, strict=True)
            ]
            promise = model.promise(step)
        change = point.relative_error - math.sqrt(max(0.0, point.relative_error**2 - promise))
        projected = task.nonnegative and promise < 0  # A projection may lead upwards; of a short step it does not.
        if not projected and (not promise > 0 or _small(change, point.relative_error, SMALL_PROMISE * stop_tol)):
            return None
        trial = point if projected else _point(task, _moved(point, step, task))
        kept = 0.0 if projected else (point.squares - trial.squares) / promise
        if kept > ACCEPTED_RATIO:
            progress.damping *= 0.2 if kept > GOOD_RATIO else max(1 / 3, 1 - (2 * kept - 1) ** 3)
            progress.growth = 2.0
            return _balanced(trial, task)
        progress.damping, progress.growth = progress.damping * progress.growth, progress.growth * 2
    return None


def _moved(point: _Point, step: list[Tensor], task: Task) -> list[Tensor]:
    """The held rows of factors after a step."""
    layers, dtype = task.data.share.layers, task.data.share.dtype
    rows = [own + change for own, change in zip(point.rows, step, strict=True)]
    return [
        layer.spread(own.to(dtype)) if moves else factor
        for layer, own, factor, moves in zip(layers, rows, point.factors, task.moves, strict=True)
    ]


def _quadratic(point: _Point, task: Task) -> Quadratic:
    """The model of the misfit about a point: what may change are modes that move, but for zeros that would fall."""
    free = []
    for rows, gradient, moves in zip(point.rows, point.gradient, task.moves, strict=True):
        may = torch.full_like(rows, float(moves))
        free.append(may.masked_fill((rows <= 0) & (gradient > 0), 0.0) if task.nonnegative and moves else may)
    share, world = task.data.share, task.data.world
    parts = (point.rows, point.gradient, point.grams, free, task.l2, share.layers, world)
    if task.data.mask is None:
        return Quadratic(*parts)
    return ObservedQuadratic(*parts, Observed(task.data), point.factors, point.matrices)


def _point(task: Task, factors: list[Tensor]) -> _Point:
    """The misfit and its gradient at held rows of factors: two passes over a dense tensor, one for each mode else."""
    data = task.data
    share, world, modes = data.share, data.world, range(len(factors))
    rows = [factor[layer.own].double() for factor, layer in zip(factors, share.layers, strict=True)]
    grams = [layer.total(own.T @ own, world) for own, layer in zip(rows, share.layers, strict=True)]
    lengths = torch.stack([gram.diagonal() for gram in grams]).prod(0)
    penalty = task.l2 * world.from_first(float(lengths.sum())) if task.l2 else 0.0  # One rank's word, as the error is.
    if data.mask is not None:
        observed = Observed(data)
        squares, gradient = observed.misfit(factors)
        if task.l2:
            shares = [lengths / column_lengths(gram).square() for gram in grams]
            gradient = [part + task.l2 * own * each for part, own, each in zip(gradient, rows, shares, strict=True)]
        error, matrices = math.sqrt(squares), observed.matrices(factors)
        return _Point(factors, rows, grams, gradient, error, squares + penalty, matrices)
    share.seek(0, modes, factors[0].shape[1])  # The same sums in the same order, whatever came before.
    products = [share.layers[mode].combine(share.mttkrp(mode, factors)).double() / data.norm for mode in modes]
    inner = share.layers[-1].total((products[-1] * rows[-1]).sum().reshape(1), world)[0]
    ones = torch.ones(len(grams[0]), dtype=torch.float64, device=share.device)
    model = Quadratic(rows, products, grams, [], task.l2, share.layers, world)
    state = Progress(weights=ones * data.norm, factors=factors)
    error = relative_error(data, state, squares_of(ones, grams), inner)
    gradient = [own @ model.gammas(mode, mode) - products[mode] for mode, own in zip(modes, rows, strict=True)]
    return _Point(factors, rows, grams, gradient, error, error**2 + penalty, [])


def _balanced(point: _Point, task: Task) -> _Point:
    """The same model, each component's columns of the same length in all modes that move."""
    data, modes = task.data, [mode for mode, moves in enumerate(task.moves) if moves]
    lengths = torch.stack([column_lengths(point.grams[mode]) for mode in modes])
    lengths = data.world.from_first_(lengths.contiguous())
    common = lengths.log().mean(0).exp()
    if bool(((lengths / common - 1).abs() < LENGTH_MARGIN).all()):
        return point
    factors, rows, grams, gradient = (list(each) for each in (point.factors, point.rows, point.grams, point.gradient))
    for mode, length in zip(modes, lengths, strict=True):
        scale = common / length
        factors[mode] = factors[mode] * scale.to(factors[mode].dtype)
        rows[mode] = factors[mode][data.share.layers[mode].own].double()
        grams[mode] = grams[mode] * torch.outer(scale, scale)
        gradient[mode] = gradient[mode] / scale
    matrices = Observed(data).matrices(factors) if point.matrices else []
    return replace(point, factors=factors, rows=rows, grams=grams, gradient=gradient, matrices=matrices)
