"""A CP tensor: weights and factors, and what can be asked of them without the tensor that they stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.dense import khatri_rao, reconstruct


@dataclass(frozen=True)
class CPTensor:
    """Weights (R) and factors (I_n x R, columns of length 1), with the relative error of the fit.

    Stands for sum_r weights_r a_r^(1) ∘ ... ∘ a_r^(N): Kolda and Bader, SIAM Review 2009, eq. 3.4.
    """

    weights: Tensor
    factors: list[Tensor]
    relative_error: float

    @property
    def shape(self) -> tuple[int, ...]:
        """I_1, ..., I_N."""
        return tuple(len(factor) for factor in self.factors)

    @property
    def rank(self) -> int:
        """The number of components."""
        return len(self.weights)

    def at(self, index: Tensor) -> Tensor:
        """The entries at B indices (B x N, counted from 0): B."""
        rows = self.weights.expand(len(index), -1)
        for mode, factor in enumerate(self.factors):
            rows = rows * factor[index[:, mode]]
        return rows.sum(1)

    def slice(self, index: Sequence[int | None]) -> Tensor:
        """The entries where the modes that are None run over all of their rows, in their order."""
        weights = self.weights
        for factor, row in zip(self.factors, index, strict=True):
            weights = weights if row is None else weights * factor[row]
        free = [factor for factor, row in zip(self.factors, index, strict=True) if row is None]
        if not free:
            return weights.sum()
        rest = khatri_rao(free[1:]) if len(free) > 1 else weights.new_ones(1, len(weights))
        return ((free[0] * weights) @ rest.T.to(weights.dtype)).reshape([len(factor) for factor in free])

    def embed(self, mode: int, slabs: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of factor `mode` for new slabs along it, by least squares over their entries that are not NaN.

        slabs: B x (the other modes in their order). Returns embeddings B x R, in the unit of factors with the
        weights left out, and relative residuals B.
        """
        others = [factor.double() for m, factor in enumerate(self.factors) if m != mode]
        others[0] = others[0] * self.weights
        if bool(slabs.isnan().any()):
            return least_squares(khatri_rao(others), slabs.reshape(len(slabs), -1))
        gram = torch.stack([factor.T @ factor for factor in others]).prod(0)
        found = _contracted(slabs.double(), others) @ torch.linalg.pinv(gram, hermitian=True)
        rest = torch.stack(
            [(slab - reconstruct(row, others)).norm() for slab, row in zip(slabs.double(), found, strict=True)]
        )
        size = slabs.double().flatten(1).norm(dim=1)
        return found, rest / torch.where(size == 0, 1, size)

    def to_tensorly(self) -> Any:
        """TensorLy's CPTensor, on its pytorch backend's tensors."""
        return _tensorly().cp_tensor.CPTensor((self.weights.to(self.factors[0].dtype), list(self.factors)))

    @staticmethod
    def from_tensorly(tensor: Any, relative_error: float = math.nan) -> CPTensor:
        """TensorLy's CPTensor of any backend; columns are brought to length 1."""
        weights, factors = tensor
        made = [torch.as_tensor(factor) for factor in factors]
        scale = torch.ones(made[0].shape[1], dtype=torch.float64, device=made[0].device)
        if weights is not None:
            scale = torch.as_tensor(weights).double()
        lengths = [factor.double().norm(dim=0) for factor in made]
        made = [
            (factor / torch.where(length == 0, 1, length)).to(factor.dtype)
            for factor, length in zip(made, lengths, strict=True)
        ]
        return CPTensor(reduce(torch.mul, lengths, scale), made, relative_error)


def _contracted(slabs: Tensor, factors: Sequence[Tensor]) -> Tensor:
    """Slabs (B x J_1 x ... x J_k) times the Khatri-Rao product of factors (J_i x R), which is not formed: B x R."""
    partial = slabs @ factors[-1]
    for factor in reversed(factors[:-1]):
        partial = (partial * factor).sum(-2)
    return partial


def least_squares(basis: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """For each of B targets (B x K, NaN where it is not observed) the coefficients (B x R) over a basis (K x R).

    Returns them with |target - basis · coefficients| / |target| over the observed entries (B; 0 for a zero target).
    The arithmetic is in float64, the least-squares solution of least norm.
    """
    basis, targets = basis.double(), targets.double()
    seen = ~targets.isnan()
    filled = targets.nan_to_num(0.0)
    if bool(seen.all()):
        found = filled @ torch.linalg.pinv(basis).T
    else:
        found = torch.stack(
            [torch.linalg.pinv(basis[mask]) @ row[mask] for row, mask in zip(filled, seen, strict=True)]
        )
    rest = torch.where(seen, filled - found @ basis.T, 0.0).norm(dim=1)
    size = filled.norm(dim=1)
    return found, rest / torch.where(size == 0, 1, size)


def _tensorly() -> Any:
    try:
        import tensorly
    except ImportError:
        raise UserError("TensorLy is not installed here: pip install tensorly") from None
    return tensorly
