"""One damped Gauss-Newton step of a CP model, from Gram matrices and a gradient, without the data.

Shapes: of a mode, a rank has J own rows; R is the rank of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor import kernels
from polyadic.tensor.layout import Layer

Preconditioner: TypeAlias = Callable[[list[Tensor]], list[Tensor]]

MOST_CG_STEPS = 50
LEAST_DAMPING = 1e-100
"""Where every factor is zero, so that J^T J is."""
CG_TOLERANCE = 1e-2
"""Conjugate gradients end when the residual's preconditioned norm is this part of the first one."""


@dataclass(frozen=True)
class Quadratic:
    """The model of |X - Y|² / |X|² + l2 · (the squared lengths of the components) about some factors.

    rows: the own rows of each factor, J x R; gradient: half of the gradient there, J x R; grams: of whole factors,
    R x R; all float64. free: ones, and zeros for what may not change, J x R.
    """

    rows: list[Tensor]
    gradient: list[Tensor]
    grams: list[Tensor]
    free: list[Tensor]
    l2: float
    layers: tuple[Layer, ...]
    world: World

    def gammas(self, n: int, m: int) -> Tensor:
        """The product of the Gram matrices of all modes but n and m, its diagonal times 1 + l2: R x R."""
        others = [gram for k, gram in enumerate(self.grams) if k not in (n, m)]
        gamma = reduce(torch.mul, others, torch.ones_like(self.grams[0]))
        return gamma + self.l2 * torch.diag(gamma.diagonal()) if self.l2 else gamma

    def longest(self) -> float:
        """The largest number on the diagonal of J^T J."""
        return max(float(self.gammas(n, n).diagonal().max()) for n in range(len(self.rows)))

    def image(self, v: list[Tensor]) -> list[Tensor]:
        """J^T J v of own rows (J x R); a collective where a mode's rows are divided over ranks.

        It is v_n Γ_nn + A^(n) Σ_m Γ_nm * (v_m^T A^(m))^T.
        """
        modes = range(len(self.rows))
        inner = [self.layers[m].total(v[m].T @ self.rows[m], self.world) for m in modes]
        parts = []
        for n in modes:
            mixed = sum((self.gammas(n, m) * inner[m] for m in modes if m != n), torch.zeros_like(inner[n]))
            parts.append(v[n] @ self.gammas(n, n) + self.rows[n] @ mixed)
        return parts

    def preconditioner(self, damping: float) -> Preconditioner:
        """What multiplies own rows (J x R) by the inverse of each mode's block of J^T J + damping."""
        eye = damping * torch.eye(len(self.grams[0]), dtype=torch.float64, device=self.grams[0].device)
        modes = range(len(self.rows))
        blocks = [torch.cholesky_inverse(torch.linalg.cholesky(self.gammas(n, n) + eye)) for n in modes]
        return lambda v: [v[n] @ blocks[n] for n in modes]

    def inner(self, left: list[Tensor], right: list[Tensor]) -> float:
        """The inner product of two lists of own rows over all ranks; one rank's word."""
        parts = [
            layer.total((a * b).sum().reshape(1), self.world)
            for a, b, layer in zip(left, right, self.layers, strict=True)
        ]
        return float(self.world.from_first_(torch.stack(parts).sum(0)).item())

    def promise(self, step: list[Tensor]) -> float:
        """By how much the model falls by any step (own rows)."""
        return -2 * self.inner(step, self.gradient) - self.inner(step, self.image(step))


def newton_step(model: Quadratic, damping: float) -> tuple[list[Tensor], float]:
    """The step -(J^T J + damping)^-1 gradient (own rows of each mode, J x R), and by how much the model falls by it.

    By conjugate gradients preconditioned by the block of each mode: Sorber, Van Barel and De Lathauwer, SIAM J. Optim.
    2013, section 4; Singh, Ma, Yang and Solomonik, SIAM J. Sci. Comput. 2021. A collective where a mode's rows are
    divided over ranks.
    """
    damping = max(damping, len(model.grams[0]) * torch.finfo(torch.float64).eps * model.longest(), LEAST_DAMPING)
    on_one = model.world.size == 1 or all(layer.everywhere for layer in model.layers)
    if type(model) is Quadratic and model.rows[0].device.type == "cpu" and on_one:
        return _by_kernel(model, damping)
    return by_products(model, damping)


def stacked(factors: Sequence[Tensor | NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Factors one above another as the kernels take them, and the rows at which each begins, with their end (N + 1)."""
    rank, lanes = factors[0].shape[1], kernels.gauss_newton.LANES
    stack = np.zeros((sum(factor.shape[0] for factor in factors), -(-rank // lanes) * lanes))
    edges = np.concatenate([[0], np.cumsum([factor.shape[0] for factor in factors])])
    for factor, begin in zip(factors, edges[:-1], strict=True):
        stack[begin : begin + factor.shape[0], :rank] = factor
    return stack, edges


def unstacked(stack: NDArray[np.float64], edges: NDArray[np.int64], rank: int) -> list[Tensor]:
    """The factors of a stack, I_n x R."""
    return [torch.from_numpy(stack[begin:end, :rank].copy()) for begin, end in pairwise(edges)]


def _by_kernel(model: Quadratic, damping: float) -> tuple[list[Tensor], float]:
    (stack, edges), (gradient, _), (free, _) = stacked(model.rows), stacked(model.gradient), stacked(model.free)
    step = np.empty_like(stack)
    promise, _ = kernels.gauss_newton.newton_step(
        stack, edges, free, gradient, model.l2, damping, MOST_CG_STEPS, CG_TOLERANCE, step
    )
    return unstacked(step, edges, model.rows[0].shape[1]), model.world.from_first(promise)


def by_products(model: Quadratic, damping: float) -> tuple[list[Tensor], float]:
    """The same by torch's products, on any device and over ranks that divide the rows."""
    modes, precondition = range(len(model.rows)), model.preconditioner(damping)

    def kept(v: list[Tensor]) -> list[Tensor]:
        return [v[n] * model.free[n] for n in modes]

    rest = kept([-gradient for gradient in model.gradient])
    step = [torch.zeros_like(rows) for rows in rest]
    solved = kept(precondition(rest))
    direction, size = solved, model.inner(rest, solved)
    least = CG_TOLERANCE**2 * size
    for _ in range(MOST_CG_STEPS):
        if not size > least:
            break
        turned = [image + damping * own for image, own in zip(kept(model.image(direction)), direction, strict=True)]
        length = size / model.inner(direction, turned)
        step = [step[n] + length * direction[n] for n in modes]
        rest = [rest[n] - length * turned[n] for n in modes]
        solved = kept(precondition(rest))
        before, size = size, model.inner(rest, solved)
        direction = [solved[n] + size / before * direction[n] for n in modes]
    fall = [rest[n] - model.gradient[n] * model.free[n] + damping * step[n] for n in modes]
    return step, model.inner(step, fall)
