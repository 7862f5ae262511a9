"""A tensor as a core and one factor per mode: its entries, its slices, and new slabs as rows of a factor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polyadic.tensor.arguments import Dense
from polyadic.tensor.dense import unfold
from polyadic.tensor.low_rank import in_words, indices_of, rows_of, slabs_of
from polyadic.tensor.products import mode_product, multi_mode_product
from polyadic.tensor.tensorly_module import tensorly_module

WORK_NUMBERS = 2**22
"""Numbers of work memory, about."""


@dataclass(frozen=True, eq=False, repr=False)
class TuckerTensor:
    """A core (R_1 x ... x R_N) and factors (I_n x R_n), with the relative error of the fit (NaN: of none).

    The tensor is core ×_1 factors[0] ... ×_N factors[N-1]: Kolda and Bader, SIAM Review 2009, eq. 4.1. The factors that
    `tucker` finds, except nonnegative ones, have orthonormal columns, and along each mode the slices of the core are
    orthogonal, with falling norms.
    """

    core: Tensor
    factors: list[Tensor]
    relative_error: float = math.nan

    @property
    def shape(self) -> tuple[int, ...]:
        """I_1, ..., I_N."""
        return tuple(len(factor) for factor in self.factors)

    def __repr__(self) -> str:
        return in_words(self, f"ranks {' x '.join(map(str, self.core.shape))}")

    def at(self, index: Tensor | Sequence[Any]) -> Tensor:
        """The entries at B indices (B x N, integers from 0): B; at one index (N) the entry.

        Raises UserError for rows that a mode does not have.
        """
        places = indices_of(index, self.shape)
        if places.ndim == 1:
            return self._at(places[None])[0]
        batch = max(1, WORK_NUMBERS // max(1, self.core[0].numel()))
        parts = torch.split(places, batch) if len(places) else ()
        return torch.cat([self.core.new_zeros(0), *map(self._at, parts)])

    def full(self) -> Tensor:
        """The whole tensor I_1 x ... x I_N."""
        return self.slice([None] * len(self.factors))

    def _at(self, index: Tensor) -> Tensor:
        entries = self.factors[0][index[:, 0]] @ self.core.flatten(1)
        for mode, factor in enumerate(self.factors[1:], 1):
            rest = entries.reshape(len(index), factor.shape[1], -1)
            entries = torch.bmm(factor[index[:, mode]][:, None], rest)[:, 0]
        return entries.reshape(len(index))

    def slice(self, index: Sequence[int | None]) -> Tensor:
        """The entries at fixed rows of some modes.

        index: one row per mode, or None for all rows of it. The result has the modes that are None, in their order.
        Raises UserError for another number of modes, and for a row that one lacks.
        """
        index = rows_of(index, self.shape)
        rows = zip(self.factors, index, strict=True)
        return multi_mode_product(self.core, [factor if row is None else factor[row] for factor, row in rows])

    def embed(self, mode: int, slabs: Dense) -> tuple[Tensor, Tensor]:
        """The rows of `mode`'s factor that B new slabs would have, and the relative residuals.

        slabs: B x (the other modes, in their order), NaN where an entry was not observed. Returns the rows, B x R_n, by
        least squares over the observed entries, the shortest of several solutions; and |slab - model| / |slab| over
        these entries: B, 0 for a slab of zeros, NaN for a slab without an observed entry.

        Slabs without gaps are solved in the bases of the factors' QR decompositions, slabs with gaps by the normal
        equations of the observed entries. The arithmetic is in float64, the results are in the type of the core.
        Raises UserError for a mode that does not exist and for slabs of another shape.
        """
        mode, slabs = slabs_of(mode, slabs, self.shape)
        core, factors, data = self.core.double(), [factor.double() for factor in self.factors], slabs.double()
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

    def to_tensorly(self) -> Any:
        """TensorLy's TuckerTensor, in the backend that TensorLy is set to.

        Raises UserError where TensorLy is not installed.
        """
        tensorly = tensorly_module()
        core, *factors = [tensorly.tensor(part.detach().cpu().numpy()) for part in (self.core, *self.factors)]
        return tensorly.tucker_tensor.TuckerTensor((core, factors))

    @staticmethod
    def from_tensorly(tensor: Any, relative_error: float = math.nan) -> TuckerTensor:
        """The tensor of TensorLy's TuckerTensor, or of a pair (core, factors), of the backend that TensorLy is set to.

        Raises UserError where TensorLy is not installed.
        """
        tensorly, (core, factors) = tensorly_module(), tensor
        core, *factors = [torch.tensor(tensorly.to_numpy(part)) for part in (core, *factors)]
        return TuckerTensor(core, factors, relative_error)


def _embed_whole(core: Tensor, factors: list[Tensor], mode: int, slabs: Tensor) -> Tensor:
    """The embeddings (B x R) of slabs without gaps.

    For M, the matrix of the core times the other factors, and Q, a basis of the span of its rows, the e with the least
    |slab - e M| is the e with the least |slab Q - e M Q|, which is much smaller.
    """
    for m, factor in enumerate(factors):
        if m != mode:
            basis, upper = torch.linalg.qr(factor)
            place = m + (m < mode)  # The slabs stand first, in the place of their mode.
            core, slabs = mode_product(core, upper, m), mode_product(slabs, basis.T, place)
    embeddings: Tensor = slabs.flatten(1) @ torch.linalg.pinv(unfold(core, mode))
    return embeddings


def _embed_seen(columns: Tensor, slab: Tensor, seen: Tensor) -> Tensor:
    """The embedding (R) of one slab (J) from the rows of columns (J x R) at its observed entries (J)."""
    observed = columns[seen]
    embedding: Tensor = torch.linalg.pinv(observed.T @ observed, hermitian=True) @ (observed.T @ slab[seen])
    return embedding
