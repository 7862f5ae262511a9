"""Alternating least squares for a low-rank weight: each block of it solved for exactly, the others held.

Shapes: B samples of this rank, C scores of a sample, P = QI parameters of a block.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.regression.contractions import gram
from polyadic.regression.losses import Loss
from polyadic.regression.product import Product
from polyadic.regression.weights import Block, Weight
from polyadic.tensor.kernels.threads import for_kernels

PIECE_NUMBERS = 2**21
"""Of the rows that are weighted and multiplied at a time."""
JITTER = {torch.float32: 2e-6, torch.float64: 1e-10}
"""Times the diagonal, added to it: a step along what no sample sees is none, instead of one of noise."""
LEAST_SHARE = 1e-8
"""Of the mean of the diagonal, that counts where an entry is less."""
LEAST_PENALTY = 1e-6
"""Of the equations of few samples, by the mean square of their rows: of all solutions, one of nearly least norm."""
SHORTEST_STEP = 2.0**-12


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is fitted: this rank's samples (B x I_1 x ... x I_N) labels (B), weights (B; None: all 1), the penalty.

    The objective is the mean of the losses + wd |W|² / 2.
    total: the weights of all ranks' samples.
    """

    samples: Tensor | Product
    label_B: Tensor
    weight_B: Tensor | None
    loss: Loss
    wd: float
    world: World
    total: float = field(init=False)

    def __post_init__(self) -> None:
        weights = torch.ones_like(self.label_B) if self.weight_B is None else self.weight_B
        total = float(self.world.sum_(weights.sum(dtype=torch.float64).reshape(1)))
        object.__setattr__(self, "total", total)

    def mean_loss(self, score_BC: Tensor) -> float:
        """The mean loss over all ranks; a collective."""
        losses = self.loss.value(score_BC, self.label_B)
        losses = losses if self.weight_B is None else losses * self.weight_B
        return float(self.world.sum_(losses.sum(dtype=torch.float64).reshape(1))) / self.total


@dataclass
class State:
    """Where a fit stands: the weight, the intercepts (C), this rank's scores (B x C) and the objective by sweep."""

    weight: Weight
    intercept_C: Tensor
    score_BC: Tensor
    objective: list[float] = field(default_factory=list)


def als(
    problem: Problem,
    weight: Weight,
    intercept_C: Tensor,
    *,
    max_sweeps: int,
    stop_tol: float,
    after_sweep: Callable[[State], bool] = lambda _: True,
    hidden_BC: Tensor | None = None,
) -> State:
    """The state that sweeps from a weight and intercepts end in; the weight is changed in place. A collective.

    A sweep takes one step of iteratively reweighted least squares for each block, with the intercepts; a step that
    raises the objective is halved. It ends after `max_sweeps`, or when the objective falls by less than `stop_tol` of
    itself in a sweep, or where `after_sweep` says so by False. hidden_BC: the scores of the weight, if they are known.
    """
    with for_kernels() if intercept_C.device.type == "cpu" else nullcontext():
        hidden_BC = weight.scores(problem.samples) if hidden_BC is None else hidden_BC
        state = State(weight, intercept_C, hidden_BC + intercept_C)
        for _ in range(max_sweeps):
            before = state.objective[-1] if state.objective else math.inf
            for block in weight.blocks(problem.samples):
                _solve(problem, state, block)
            objective = problem.mean_loss(state.score_BC) + 0.5 * problem.wd * weight.norm_squared()
            state.objective.append(objective)
            settled = math.isfinite(before) and before - objective <= stop_tol * abs(before)
            if not after_sweep(state) or settled:
                break
    return state


def _solve(problem: Problem, state: State, block: Block) -> None:
    """A step for one block and the intercepts."""
    outputs, size = len(state.intercept_C), block.value.numel()
    samples = int(problem.world.sum_(torch.tensor([len(problem.label_B)], device=problem.world.device)))
    solve = _primal if samples * outputs >= size else _dual
    step = solve(problem, state, block)
    _advance(problem, state, block, step[:size].reshape_as(block.value), step[size:])


def _advance(problem: Problem, state: State, block: Block, step: Tensor, intercept_step: Tensor) -> None:
    """Takes a step, or as much of it as lowers the objective."""
    dtype = state.score_BC.dtype
    change = (
        torch.cat(
            [block.rows(first, stop) @ step.reshape(-1).to(dtype) for first, stop in _pieces(problem, state, block)]
        )
        if len(state.score_BC)
        else state.score_BC.clone()
    )
    change += intercept_step.to(dtype)
    value, penalty = block.value.double(), block.penalty.double()
    if not problem.loss.exact:

        def objective(length: float) -> float:
            moved = value + length * step
            norm = float((moved * (penalty @ moved)).sum())
            return problem.mean_loss(state.score_BC + length * change) + 0.5 * problem.wd * norm

        length, start = 1.0, objective(0.0)
        while not objective(length) <= start + 1e-12 * abs(start):
            length /= 2
            if length < SHORTEST_STEP:
                return
        step, intercept_step, change = length * step, length * intercept_step, length * change
    block.put((value + step).to(dtype))
    state.intercept_C = state.intercept_C + intercept_step.to(dtype)
    state.score_BC += change


def _primal(problem: Problem, state: State, block: Block) -> Tensor:
    """The Newton step (P + C, float64) by the normal equations, which are summed over the ranks."""
    outputs, size = len(state.intercept_C), block.value.numel()
    room = torch.zeros(size + outputs + 1, size + outputs, dtype=torch.float64, device=state.score_BC.device)
    for first, stop in _pieces(problem, state, block):
        rows, ends, slope = _weighted_rows(problem, state, block, first, stop)
        room[:size, :size] += gram(rows)
        room[:size, size:] += rows.T @ ends
        room[size:-1, size:] += ends.T @ ends
        room[-1] += slope
    problem.world.sum_(room)
    curvature, slope = room[:-1] / problem.total, room[-1] / problem.total
    curvature[size:, :size] = curvature[:size, size:].T
    penalty = problem.wd * block.penalty.double()
    curvature[:size, :size] += torch.kron(penalty, torch.eye(size // len(penalty), device=penalty.device).double())
    slope[:size] += (penalty @ block.value.double()).reshape(-1)
    diagonal = curvature.diagonal()
    diagonal += JITTER[state.score_BC.dtype] * torch.maximum(diagonal, LEAST_SHARE * diagonal.mean() + 1e-300)
    return _solved(curvature, -slope)


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    """The solution of positive definite equations; none where they hold numbers that are not finite."""
    lower = _lower(matrix)
    return torch.zeros_like(right) if lower is None else torch.cholesky_solve(right[:, None], lower)[:, 0]


def _lower(matrix: Tensor) -> Tensor | None:
    """The Cholesky factor of a matrix, of whose diagonal more is added until there is one; None if that never helps."""
    extra = matrix.diagonal().mean()
    for power in range(-14, 1, 2):
        lower: Tensor
        lower, fault = torch.linalg.cholesky_ex(matrix)
        if not int(fault):
            return lower
        matrix = matrix + 10.0**power * extra * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    return None


def _dual(problem: Problem, state: State, block: Block) -> Tensor:
    """The same step by as many equations as there are samples, fewer than parameters.

    With J the weighted rows, M the penalty, s the slope: (J'J + M) d = -s. M is a Kronecker product with an identity,
    so that M⁻¹ costs Q³, and (J'J + M)⁻¹ = M⁻¹ - M⁻¹ J' (1 + J M⁻¹ J')⁻¹ J M⁻¹.
    """
    outputs, size = len(state.intercept_C), block.value.numel()
    parts, slope = [], torch.zeros(size + outputs, dtype=torch.float64, device=state.score_BC.device)
    for first, stop in _pieces(problem, state, block):
        rows, ends, slope_of_piece = _weighted_rows(problem, state, block, first, stop)
        parts.append(torch.cat([rows, ends], 1).double())
        slope += slope_of_piece
    own = torch.cat(parts) if parts else slope.new_zeros(0, size + outputs)
    rows = problem.world.gather_rows(own) / math.sqrt(problem.total)
    slope = problem.world.sum_(slope) / problem.total
    rank = len(block.value)
    penalty = block.penalty.double()
    slope[:size] += problem.wd * (penalty @ block.value.double()).reshape(-1)
    scale = rows[:, :size].square().sum() / size
    small = problem.wd * penalty
    small = small + LEAST_PENALTY * scale * torch.eye(rank, dtype=torch.float64, device=small.device)
    lower = _lower(small)
    if lower is None:
        return torch.zeros_like(slope)
    free = LEAST_PENALTY * rows[:, size:].square().sum().clamp(min=1e-300)

    def divided(columns: Tensor) -> Tensor:
        """M⁻¹ times columns (P + C) x any."""
        first = torch.cholesky_solve(columns[:size].reshape(rank, -1), lower).reshape(size, -1)
        return torch.cat([first, columns[size:] / free])

    inverse_rows = divided(rows.T)
    inner = torch.eye(len(rows), dtype=torch.float64, device=rows.device) + rows @ inverse_rows
    start = divided(-slope[:, None])
    return (start - inverse_rows @ _solved(inner, (rows @ start)[:, 0])[:, None])[:, 0]


def _weighted_rows(
    problem: Problem, state: State, block: Block, first: int, stop: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Of some samples the weighted rows of a block (BC x P) and of the intercepts (BC x C), and the slope (P + C)."""
    score_BC, label_B = state.score_BC[first:stop], problem.label_B[first:stop]
    rows_BCP, outputs = block.rows(first, stop), score_BC.shape[1]
    ends_BCC = torch.eye(outputs, dtype=score_BC.dtype, device=score_BC.device).expand(len(score_BC), -1, -1)
    slope_BC = problem.loss.gradient(score_BC, label_B)
    weighted = [problem.loss.weighted(part, score_BC, label_B) for part in (rows_BCP, ends_BCC)]
    if problem.weight_B is not None:
        weight_B = problem.weight_B[first:stop]
        slope_BC = slope_BC * weight_B[:, None]
        weighted = [part * weight_B.sqrt()[:, None, None] for part in weighted]
    slope = torch.cat([slope_BC.reshape(-1) @ rows_BCP.reshape(-1, rows_BCP.shape[2]), slope_BC.sum(0)])
    rows, ends = (part.reshape(-1, part.shape[2]) for part in weighted)
    return rows, ends, slope.double()


def _pieces(problem: Problem, state: State, block: Block) -> list[tuple[int, int]]:
    """Ranges of this rank's samples of which the rows are small."""
    samples, outputs = state.score_BC.shape
    step = max(1, PIECE_NUMBERS // (outputs * (block.value.numel() + outputs)))
    return [(first, min(first + step, samples)) for first in range(0, samples, step)]
