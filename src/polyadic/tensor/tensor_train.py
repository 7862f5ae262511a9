"""The tensor train: X[i_1, ..., i_N] = G^(1)[i_1] ... G^(N)[i_N], a product of matrices.

Shapes: core n is r_{n-1} x I_n x r_n with r_0 = r_N = 1; modes count from 0.
All of it works on the cores alone, after Oseledets, "Tensor-train decomposition", SIAM J. Sci. Comput. 2011.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.arguments import Dense
from polyadic.tensor.low_rank import in_words, indices_of, rows_of, slabs_of
from polyadic.tensor.tensorly_module import tensorly_module
from polyadic.tensor.train_cores import left_interface, left_rows, right_interface, whole
from polyadic.tensor.train_ranks import feasible_ranks, kept_rank, positive_signs, tolerance

WORK_NUMBERS = 2**22
"""Numbers of work memory, about."""


@dataclass(frozen=True, eq=False, repr=False)
class TensorTrain:
    """Cores r_{n-1} x I_n x r_n, with the relative error to the tensor that they were fitted to (NaN: to none)."""

    cores: list[Tensor]
    relative_error: float = math.nan

    @property
    def shape(self) -> tuple[int, ...]:
        """I_1, ..., I_N."""
        return tuple(core.shape[1] for core in self.cores)

    @property
    def ranks(self) -> tuple[int, ...]:
        """r_0 = 1, r_1, ..., r_N = 1."""
        return (1, *(core.shape[2] for core in self.cores))

    def __repr__(self) -> str:
        return in_words(self, f"ranks {', '.join(map(str, self.ranks[1:-1]))}")

    def at(self, index: Tensor | Sequence[Any]) -> Tensor:
        """The entries at B indices (B x N, integers from 0): B; at one index (N) the entry.

        Raises UserError for rows that a mode does not have.
        """
        places = indices_of(index, self.shape)
        if places.ndim == 1:
            return left_rows(self.cores, places[None])[0, 0]
        parts = torch.split(places, max(1, WORK_NUMBERS // max(self.ranks) ** 2))
        return torch.cat([left_rows(self.cores, part)[:, 0] for part in parts])

    def slice(self, index: Sequence[int | None]) -> Tensor:
        """The entries at fixed rows of some modes.

        index: one row per mode, or None for all rows of it. The result has the modes that are None, in their order.
        Raises UserError for another number of modes, and for a row that one lacks.
        """
        index = rows_of(index, self.shape)
        blocks: list[Tensor] = []
        fixed = self.cores[0].new_ones(1, 1)
        for core, row in zip(self.cores, index, strict=True):
            if row is None:
                blocks.append(torch.tensordot(fixed, core, 1))
                fixed = torch.eye(core.shape[2], dtype=core.dtype, device=core.device)
            else:
                fixed = fixed @ core[:, row]
        if not blocks:
            return fixed.reshape(())
        blocks[-1] = blocks[-1] @ fixed
        return whole(blocks)

    def full(self) -> Tensor:
        """The whole tensor I_1 x ... x I_N."""
        return self.slice([None] * len(self.cores))

    def embed(self, mode: int, slabs: Dense) -> tuple[Tensor, Tensor]:
        """The matrices G[i] that B new slabs along `mode` would have, and the relative residuals.

        slabs: B x (the other modes, in their order), NaN where an entry was not observed. Returns the matrices,
        B x (r_{n-1} r_n), by least squares over the observed entries, the shortest of several solutions; and
        |slab - model| / |slab| over these entries: B, NaN for a slab without an observed entry.
        The arithmetic is in float64, the results are in the type of the cores.
        Raises UserError for a mode that does not exist and for slabs of another shape.
        """
        mode, slabs = slabs_of(mode, slabs, self.shape)
        unit = self.cores[0].new_ones(1, 1, 1)
        left = left_interface([unit, *self.cores[:mode]]).double()
        right = right_interface([*self.cores[mode + 1 :], unit]).double().T
        data = slabs.reshape(len(slabs), len(left), len(right)).double()
        embedding, residual = _embed(left, right, data)
        return embedding.to(self.cores[0].dtype), residual.to(self.cores[0].dtype)

    def inner(self, other: TensorTrain) -> float:
        """The inner product with another train of the same shape, in float64; it takes O(N I r³) operations.

        Raises UserError for a train of another shape.
        """
        _refuse_other_shape(self, other)
        product = torch.ones(1, 1, dtype=torch.float64, device=self.cores[0].device)
        for own, other_core in zip(self.cores, other.cores, strict=True):
            carried = torch.tensordot(product, other_core.double(), 1)
            product = torch.tensordot(own.double(), carried, ([0, 1], [0, 1]))
        return product.item()

    def norm(self) -> float:
        """The Frobenius norm, in float64.

        By QR, since the inner product would lose the norm of a difference of close trains in its round-off.
        """
        return float(torch.linalg.vector_norm(_orthonormal_rows(self.cores)[0]))

    def __add__(self, other: TensorTrain) -> TensorTrain:
        """The sum, whose ranks are the sums of the ranks; `round` lowers them.

        Raises UserError for a train of another shape.
        """
        _refuse_other_shape(self, other)
        last = len(self.cores) - 1
        return TensorTrain(
            [
                _block_diagonal(own, other_core, n > 0, n < last)
                for n, (own, other_core) in enumerate(zip(self.cores, other.cores, strict=True))
            ]
        )

    def __sub__(self, other: TensorTrain) -> TensorTrain:
        """The difference, whose ranks are the sums of the ranks."""
        return self + -1 * other

    def __mul__(self, scalar: float) -> TensorTrain:
        """The train whose entries are these times a number."""
        return TensorTrain([self.cores[0] * scalar, *self.cores[1:]], self.relative_error)

    __rmul__ = __mul__

    def round(self, *, tol: float | None = None, max_rank: int | Sequence[int] | None = None) -> TensorTrain:
        """A train of lower ranks, so that |X - round(X)| <= tol |X| and no rank is over max_rank.

        tol: a relative error; max_rank: one number, or N - 1 of them; one of the two must be given. Where max_rank
        binds, the error may be larger. QR from the right to the left, then truncated SVD from the left to the right,
        with an error of tol / sqrt(N - 1) |X| for each rank: Oseledets 2011, algorithm 2. In float64.
        Raises UserError as `feasible_ranks` does.
        """
        caps = feasible_ranks(self.shape, max_rank, tol)
        cores = _orthonormal_rows(self.cores)
        allowed = float(cores[0].square().sum()) * tolerance(tol, self.cores[0].dtype) ** 2 / max(1, len(caps))
        for n, cap in enumerate(caps):
            rank, rows, _ = cores[n].shape
            left, values, right = torch.linalg.svd(cores[n].reshape(rank * rows, -1), full_matrices=False)
            kept = kept_rank(values.square(), allowed, cap)
            signs = positive_signs(left[:, :kept])
            cores[n] = (left[:, :kept] * signs).reshape(rank, rows, kept)
            cores[n + 1] = torch.tensordot((signs * values[:kept])[:, None] * right[:kept], cores[n + 1], 1)
        ranks = [len(core) for core in cores[1:]]
        if ranks != feasible_ranks(self.shape, ranks, None):  # A later cut left an earlier rank more than it can use.
            cores = _orthonormal_rows(cores)
        return TensorTrain([core.to(self.cores[0].dtype) for core in cores])

    def to_tensorly(self) -> Any:
        """TensorLy's TTTensor of the same cores, in the backend that TensorLy is set to.

        Raises UserError where TensorLy is not installed.
        """
        tensorly = tensorly_module()
        return tensorly.tt_tensor.TTTensor([tensorly.tensor(core.detach().cpu().numpy()) for core in self.cores])

    @staticmethod
    def from_tensorly(train: Any, relative_error: float = math.nan) -> TensorTrain:
        """The train of TensorLy's TTTensor, or of a list of its cores, of the backend that TensorLy is set to.

        Raises UserError where TensorLy is not installed.
        """
        tensorly = tensorly_module()
        return TensorTrain([torch.tensor(tensorly.to_numpy(core)) for core in train], relative_error)


def _orthonormal_rows(cores: Sequence[Tensor]) -> list[Tensor]:
    """The same train in float64, its cores but the first with orthonormal rows (r_{n-1} x (I_n r_n))."""
    cores = [core.double() for core in cores]
    for n in range(len(cores) - 1, 0, -1):
        basis, triangle = torch.linalg.qr(cores[n].reshape(len(cores[n]), -1).T)
        cores[n] = basis.T.reshape(-1, *cores[n].shape[1:])
        cores[n - 1] = cores[n - 1] @ triangle.T
    return cores


def _block_diagonal(left: Tensor, right: Tensor, down: bool, across: bool) -> Tensor:
    """A core of the sum of two trains, from a core of each.

    Their blocks have rows of their own where `down`, and columns of their own where `across`.
    """
    rows = len(left) + len(right) if down else 1
    columns = left.shape[2] + right.shape[2] if across else 1
    core = torch.zeros(rows, left.shape[1], columns, dtype=left.dtype, device=left.device)
    core[: len(left), :, : left.shape[2]] += left
    core[-len(right) :, :, -right.shape[2] :] += right
    return core


def _embed(left: Tensor, right: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
    """Least squares for G_b in data_b ≈ left G_b right^T, and the relative residuals: B x (r r'), B.

    left: I x r; right: J x r'; data: B x I x J, NaN where an entry was not observed. It goes through orthonormal bases
    of left and right, which are well conditioned.
    """
    (left, back_left), (right, back_right) = _basis(left), _basis(right)
    seen = ~data.isnan()
    inner = left.T @ data.nan_to_num(0.0) @ right
    for gap in (~seen).flatten(1).any(1).nonzero()[:, 0].tolist():
        inner[gap] = _solve_observed(left, right, data[gap], seen[gap])
    rest = torch.where(seen, data - left @ inner @ right.T, 0)
    lengths = torch.linalg.vector_norm(torch.where(seen, data, 0), dim=(1, 2))
    residual = torch.linalg.vector_norm(rest, dim=(1, 2)) / torch.where(lengths == 0, 1, lengths)
    residual = torch.where(seen.flatten(1).any(1), residual, math.nan)
    return (back_left @ inner @ back_right.T).flatten(1), residual


def _basis(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """An orthonormal basis U of a matrix's columns, without its null directions, and the B for which U = matrix B."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    kept = values > values.max() * torch.finfo(torch.float32).eps * 1e-3
    return left[:, kept], right[kept].T / values[kept]


def _solve_observed(left: Tensor, right: Tensor, data: Tensor, seen: Tensor) -> Tensor:
    """The G (r x r') of one slab (I x J) by the normal equations over observed entries, rows kron(left_i, right_j)."""
    width = left.shape[1] * right.shape[1]
    gram, product = left.new_zeros(width, width), left.new_zeros(width)
    for part in torch.split(seen.nonzero(), max(1, WORK_NUMBERS // width)):
        rows = (left[part[:, 0], :, None] * right[part[:, 1], None, :]).reshape(-1, width)
        gram += rows.T @ rows
        product += rows.T @ data[part[:, 0], part[:, 1]]
    solution: Tensor = torch.linalg.pinv(gram, hermitian=True, rtol=1e-12) @ product
    return solution.reshape(left.shape[1], right.shape[1])


def _refuse_other_shape(train: TensorTrain, other: TensorTrain) -> None:
    if train.shape != other.shape:
        raise UserError(f"the trains have shapes {train.shape} and {other.shape}: they must have the same")
