"""A CP tensor: weights and factors, and its entries, slices and embeddings without the tensor that they make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from polyadic.tensor.arguments import Dense
from polyadic.tensor.dense import khatri_rao, reconstruct
from polyadic.tensor.low_rank import in_words, indices_of, rows_of, slabs_of
from polyadic.tensor.tensorly_module import tensorly_module

SOUND = 1e-6
"""The least eigenvalue of normal equations in orthonormal coordinates that costs no digits worth naming."""
BATCHED_NUMBERS = 2**16
"""Numbers of a Khatri-Rao product that may be formed to take all residuals at once."""


@dataclass(frozen=True, eq=False, repr=False)
class CPTensor:
    """Weights (R) and factors (I_n x R, columns of length 1), with the relative error of the fit (NaN: of none).

    doubts: sentences on what a fit saw that speaks against these factors being the only ones; none where they may be.
    The tensor is sum_r weights_r a_r^(1) ∘ ... ∘ a_r^(N): Kolda and Bader, SIAM Review 2009, eq. 3.4.
    """

    weights: Tensor
    factors: list[Tensor]
    relative_error: float
    doubts: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """I_1, ..., I_N."""
        return tuple(len(factor) for factor in self.factors)

    @property
    def rank(self) -> int:
        """R, the number of components."""
        return len(self.weights)

    def __repr__(self) -> str:
        return in_words(self, f"rank {self.rank}")

    def at(self, index: Tensor | Sequence[Any]) -> Tensor:
        """The entries at B indices (B x N, integers from 0): B; at one index (N) the entry.

        Raises UserError for rows that a mode does not have.
        """
        places = indices_of(index, self.shape)
        rows = self.weights
        for mode, factor in enumerate(self.factors):
            rows = rows * factor[places[..., mode]]
        return rows.sum(-1)

    def full(self) -> Tensor:
        """The whole tensor I_1 x ... x I_N."""
        return self.slice([None] * len(self.factors))

    def slice(self, index: Sequence[int | None]) -> Tensor:
        """The entries at fixed rows of some modes.

        index: one row per mode, or None for all rows of it. The result has the modes that are None, in their order.
        Raises UserError for another number of modes, and for a row that one lacks.
        """
        index = rows_of(index, self.shape)
        weights = self.weights
        for factor, row in zip(self.factors, index, strict=True):
            weights = weights if row is None else weights * factor[row]
        free = [factor for factor, row in zip(self.factors, index, strict=True) if row is None]
        if not free:
            return weights.sum()
        rest = khatri_rao(free[1:]) if len(free) > 1 else weights.new_ones(1, len(weights))
        return ((free[0] * weights) @ rest.T.to(weights.dtype)).reshape([len(factor) for factor in free])

    def embed(self, mode: int, slabs: Dense) -> tuple[Tensor, Tensor]:
        """The rows of factor `mode` that B new slabs would have, and the relative residuals, both in float64.

        slabs: B x (the other modes, in their order), NaN where an entry was not observed. Returns the rows, B x R, by
        least squares over the observed entries, the shortest of several solutions; the weights are not in them. And
        |slab - model| / |slab| over these entries: B, 0 for a slab of zeros.
        Raises UserError for a mode that does not exist and for slabs of another shape.
        """
        mode, slabs = slabs_of(mode, slabs, self.shape)
        others = [factor.double() for m, factor in enumerate(self.factors) if m != mode]
        others[0] = others[0] * self.weights
        if bool(slabs.isnan().any()):
            return least_squares(khatri_rao(others), slabs.reshape(len(slabs), -1))
        gram = torch.stack([factor.T @ factor for factor in others]).prod(0)
        data = slabs.double()
        rows = _contracted(data, others) @ torch.linalg.pinv(gram, hermitian=True)
        if math.prod(data.shape[1:]) * len(self.weights) <= BATCHED_NUMBERS:
            misses = (data.flatten(1) - rows @ khatri_rao(others).T).norm(dim=1)
        else:
            pairs = zip(data, rows, strict=True)
            misses = torch.tensor([(slab - reconstruct(row, others)).norm() for slab, row in pairs]).to(rows)
        size = data.flatten(1).norm(dim=1)
        return rows, misses / torch.where(size == 0, 1, size)

    def to_tensorly(self) -> Any:
        """TensorLy's CPTensor, of tensors of its pytorch backend.

        Raises UserError where TensorLy is not installed.
        """
        return tensorly_module().cp_tensor.CPTensor((self.weights.to(self.factors[0].dtype), list(self.factors)))

    @staticmethod
    def from_tensorly(tensor: Any, relative_error: float = math.nan) -> CPTensor:
        """The tensor of TensorLy's CPTensor, or of a pair (weights or None, factors), numpy arrays or torch tensors.

        The columns of the factors are brought to length 1, their lengths go to the weights.
        """
        weights, given_factors = tensor
        factors = [torch.as_tensor(factor) for factor in given_factors]
        scale = torch.ones(factors[0].shape[1], dtype=torch.float64, device=factors[0].device)
        if weights is not None:
            scale = torch.as_tensor(weights).double()
        lengths = [factor.double().norm(dim=0) for factor in factors]
        factors = [
            (factor / torch.where(length == 0, 1, length)).to(factor.dtype)
            for factor, length in zip(factors, lengths, strict=True)
        ]
        return CPTensor(reduce(torch.mul, lengths, scale), factors, relative_error)


def _contracted(slabs: Tensor, factors: Sequence[Tensor]) -> Tensor:
    """Slabs (B x J_1 x ... x J_k) times the Khatri-Rao product of factors (J_i x R), which is not formed: B x R."""
    partial = slabs @ factors[-1]
    for factor in reversed(factors[:-1]):
        partial = (partial * factor).sum(-2)
    return partial


def least_squares(basis: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The coefficients of targets over a basis by least squares, and the relative residuals: B x R, B, in float64.

    basis: K x R; targets: B x K, NaN where not observed. The shortest of several solutions is taken. A residual is
    |target - basis · coefficients| / |target| over the observed numbers, 0 for a target of zeros.
    """
    basis, targets = basis.double(), targets.double()
    seen = ~targets.isnan()
    filled = targets.nan_to_num(0.0)
    whole = bool(seen.all())
    coefficients = filled @ torch.linalg.pinv(basis).T if whole else _over_the_observed(basis, filled, seen)
    misses = torch.where(seen, filled - coefficients @ basis.T, 0.0).norm(dim=1)
    size = filled.norm(dim=1)
    return coefficients, misses / torch.where(size == 0, 1, size)


def _over_the_observed(basis: Tensor, filled: Tensor, seen: Tensor) -> Tensor:
    """The coefficients B x R of targets (B x K, 0 where not seen), the shortest of several solutions.

    By normal equations in orthonormal coordinates, whose condition is that of what was seen alone. Where that is bad,
    or the basis nearly short of rank, by the pseudoinverse of the rows that were seen, which takes many times as long.
    """
    turned, upper = torch.linalg.qr(basis)
    inner, outer = [], []
    for row, mask in zip(filled, seen, strict=True):
        part = turned[mask]
        inner.append(part.T @ part)
        outer.append(part.T @ row[mask])
    grams, sums = torch.stack(inner), torch.stack(outer)
    diagonal = upper.diagonal().abs()
    sound = torch.linalg.eigvalsh(grams)[:, 0] > SOUND
    sound &= len(basis) >= basis.shape[1] and bool(diagonal.min() > SOUND * diagonal.max())
    coefficients = basis.new_zeros(len(filled), basis.shape[1])
    if sound.any():
        inside = torch.linalg.solve(grams[sound], sums[sound][..., None])[..., 0]
        coefficients[sound] = torch.linalg.solve_triangular(upper, inside.T, upper=True).T
    for number in (~sound).nonzero()[:, 0].tolist():
        mask = seen[number]
        coefficients[number] = torch.linalg.pinv(basis[mask]) @ filled[number, mask]
    return coefficients
