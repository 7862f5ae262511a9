"""The state of a CP fit by alternating least squares, from which it can be resumed."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from polyadic.tensor.cp_tensor import CPTensor

UNIT_LENGTH_ROUND_OFFS = 8
"""A column whose length is within so many round-offs of 1 counts as a column of length 1."""


@dataclass
class Progress:
    """The state of a fit, which changes it in place: it holds all that is needed to resume the fit exactly.

    weights: R, float64. factors: this rank's rows of each factor, J_n x R; of a Slab these are its own rows of the
    divided mode and all rows of the others. Their columns have about length 1. A later sweep may write over a factor:
    copy one to keep it. grams: the Gram matrices of the whole factors, R x R, float64.
    relative_error and error_before: after the last sweep and the one before. seconds: of the last sweep, or the mean of
    those made at once.
    previous: the factors before the last sweep, where sweeps begin ahead (`momentum`); by push times their change, and
    bound is the most that it may become.
    best: the best model of the finished restarts, as this rank's rows.
    """

    restart: int = 0
    iteration: int = 0
    weights: Tensor = field(default_factory=lambda: torch.empty(0))
    factors: list[Tensor] = field(default_factory=list)
    grams: list[Tensor] = field(default_factory=list)
    relative_error: float = float("inf")
    error_before: float = float("inf")
    seconds: float = 0.0
    previous: list[Tensor] = field(default_factory=list)
    push: float = 0.5
    bound: float = 1.0
    best: CPTensor | None = None

    def better(self) -> CPTensor:
        """The best model of the finished restarts and the present one: this rank's rows, columns of length 1."""
        if self.best is not None and self.best.relative_error <= self.relative_error:
            return self.best
        if not self.grams:
            return CPTensor(self.weights, list(self.factors), self.relative_error)
        # A factor that has been fixed stays as it began, to the bit.
        near = UNIT_LENGTH_ROUND_OFFS * torch.finfo(self.factors[0].dtype).eps
        lengths = torch.stack([gram.diagonal() for gram in self.grams]).sqrt()
        lengths = torch.where((lengths == 0) | ((lengths - 1).abs() < near), 1, lengths)
        if bool((lengths == 1).all()):
            return CPTensor(self.weights, [factor.clone() for factor in self.factors], self.relative_error)
        factors = [factor / length.to(factor.dtype) for factor, length in zip(self.factors, lengths, strict=True)]
        return CPTensor(self.weights * lengths.prod(0), factors, self.relative_error)

    def next_restart(self) -> None:
        """Keeps the better model, and clears the state for another restart."""
        self.best = self.better()
        self.restart, self.iteration, self.factors, self.grams, self.previous = self.restart + 1, 0, [], [], []
        self.push, self.bound = 0.5, 1.0
        self.relative_error = self.error_before = float("inf")

    def converged(self, stop_tol: float) -> bool:
        """Whether the relative error changed by less than `stop_tol` in the last sweep."""
        return abs(self.error_before - self.relative_error) < stop_tol
