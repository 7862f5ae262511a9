"""A tensor as a core and a factor a mode: its entries, its slices, new slabs folded into it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.dense import unfold
from polyadic.tensor.products import mode_product, multi_mode_product

AT_ONCE = 2**22
"""Numbers of work memory that many entries may take."""


@dataclass(frozen=True)
class TuckerTensor:
    """A core (R_1 x ... x R_N) and factors (I_n x R_n), with the relative error of the fit.

    The tensor is core ×_1 factors[0] ... ×_N factors[N-1]. Those that `tucker` finds, but for nonnegative ones, have
    orthonormal columns and a core whose slices along each mode are orthogonal, their norms falling.
    """

    core: Tensor
    factors: list[Tensor]
    relative_error: float = math.nan

    @property
    def shape(self) -> tuple[int, ...]:
        """I_1, ..., I_N."""
        return tuple(len(factor) for factor in self.factors)

    def at(self, index: Tensor) -> Tensor:
        """The entries at B indices (B x N, counted from 0): B."""
        many = max(1, AT_ONCE // max(1, self.core[0].numel()))
        return (
            torch.cat([self._at(part) for part in torch.split(index, many)]) if len(index) else self.core.new_zeros(0)
        )

    def _at(self, index: Tensor) -> Tensor:
        entries = self.factors[0][index[:, 0]] @ self.core.flatten(1)
        for mode, factor in enumerate(self.factors[1:], 1):
            rest = entries.reshape(len(index), factor.shape[1], -1)
            entries = torch.bmm(factor[index[:, mode]][:, None], rest)[:, 0]
        return entries.reshape(len(index))

    def slice(self, index: Sequence[int | None]) -> Tensor:
        """The entries whose modes have these rows, every row where it is None: the modes of None, in their order."""
        rows = zip(self.factors, index, strict=True)
        return multi_mode_product(self.core, [factor if row is None else factor[row] for factor, row in rows])

    def embed(self, mode: int, slabs: Tensor) -> tuple[Tensor, Tensor]:
        """What would be the rows of `mode`'s factor for new slabs along it, and how well they describe them.

        slabs: B x (the other modes, in order), NaN where an entry was not observed. Returns the embedding B x R_n
        and |slab - model| / |slab| over the observed entries: B, 0 for a slab of zeros, NaN for one without any entry.

        Least squares, the shortest solution where several are best: without gaps in the R's of the factors' QR
        decompositions, with gaps by the normal equations of the observed rows. In float64 within.
        Raises UserError for slabs of another shape.
        """
        self._check(mode, slabs)
        core, factors, data = self.core.double(), [one.double() for one in self.factors], slabs.double()
        others = [m for m in range(core.ndim) if m != mode]
        seen = ~torch.isnan(data)
        gaps = (~seen).flatten(1).any(1)
        rows = core.new_zeros(len(data), core.shape[mode])
        rows[~gaps] = _embed_whole(core, factors, mode, data[~gaps])
        if gaps.any():
            columns = unfold(multi_mode_product(core, [factors[m] for m in others], others), mode).T
            for number in gaps.nonzero()[:, 0].tolist():
                rows[number] = _embed_seen(columns, data[number].flatten(), seen[number].flatten())
        model = multi_mode_product(core, [rows if m == mode else factor for m, factor in enumerate(factors)])
        rest = torch.where(seen, data - model.movedim(mode, 0), 0).flatten(1).norm(dim=1)
        length = data.nan_to_num(0).flatten(1).norm(dim=1)
        residual = (rest / torch.where(length == 0, 1, length)).where(seen.flatten(1).any(1), math.nan)
        return rows.to(self.core.dtype), residual.to(self.core.dtype)

    def _check(self, mode: int, slabs: Tensor) -> None:
        if not 0 <= mode < len(self.factors):
            raise UserError(f"mode is {mode}: the tensor has modes 0 to {len(self.factors) - 1}")
        shape = self.shape[:mode] + self.shape[mode + 1 :]
        if slabs.shape[1:] != shape:
            raise UserError(f"slabs along mode {mode} are of shape {tuple(slabs.shape[1:])}: they must be of {shape}")

    def to_tensorly(self) -> Any:
        """TensorLy's TuckerTensor, in its present backend."""
        tensorly = _tensorly()
        core, *factors = [tensorly.tensor(one.detach().cpu().numpy()) for one in (self.core, *self.factors)]
        return tensorly.tucker_tensor.TuckerTensor((core, factors))

    @staticmethod
    def from_tensorly(tensor: Any, relative_error: float = math.nan) -> TuckerTensor:
        """The same tensor from TensorLy's TuckerTensor, or a pair of core and factors, of any of its backends."""
        tensorly, (core, factors) = _tensorly(), tensor
        core, *factors = [torch.tensor(tensorly.to_numpy(one)) for one in (core, *factors)]
        return TuckerTensor(core, factors, relative_error)


def _embed_whole(core: Tensor, factors: list[Tensor], mode: int, slabs: Tensor) -> Tensor:
    """The embeddings of slabs without gaps: |slab - e M| = |slab Q - e M Q| where the rows of M lie in Q's span."""
    for m, factor in enumerate(factors):
        if m != mode:
            basis, upper = torch.linalg.qr(factor)
            place = m + (m < mode)  # The slabs stand first, in the place of their mode.
            core, slabs = mode_product(core, upper, m), mode_product(slabs, basis.T, place)
    found: Tensor = slabs.flatten(1) @ torch.linalg.pinv(unfold(core, mode))
    return found


def _embed_seen(columns: Tensor, slab: Tensor, seen: Tensor) -> Tensor:
    """The embedding R of one slab (J) from the observed rows of columns (J x R)."""
    observed = columns[seen]
    found: Tensor = torch.linalg.pinv(observed.T @ observed, hermitian=True) @ (observed.T @ slab[seen])
    return found


def _tensorly() -> Any:
    try:
        import tensorly
    except ImportError:
        raise UserError("TensorLy is not installed: it is needed only to convert, by pip install tensorly") from None
    return tensorly
