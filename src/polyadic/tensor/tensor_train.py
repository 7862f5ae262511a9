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
from polyadic.tensor.dense import Slab

AT_ONCE, TILE = 2**22, 2**18
"""Numbers in a work array, about; in one that a cache should hold."""
ROUND_OFFS = 30
"""What so many round-offs can make is no part of a tensor."""


@dataclass(frozen=True)
class TensorTrain:
    """Cores r_{n-1} x I_n x r_n, with the relative error to the tensor they were fitted to (NaN: to none)."""

    cores: list[Tensor]
    relative_error: float = math.nan

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(core.shape[1] for core in self.cores)

    @property
    def ranks(self) -> tuple[int, ...]:
        """r_0 = 1, r_1, ..., r_N = 1."""
        return (1, *(core.shape[2] for core in self.cores))

    def at(self, index: Tensor) -> Tensor:
        """The entries at B indices (B x N, counted from 0): B."""
        parts = torch.split(index, max(1, AT_ONCE // max(self.ranks) ** 2))
        return torch.cat([left_rows(self.cores, part)[:, 0] for part in parts])

    def slice(self, index: Sequence[int | None]) -> Tensor:
        """The entries whose rows are fixed where `index` has a number; the modes of its nulls, in their order."""
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
        return _join(blocks)

    def full(self) -> Tensor:
        """The whole tensor I_1 x ... x I_N."""
        return _join(self.cores)

    def embed(self, mode: int, slabs: Tensor) -> tuple[Tensor, Tensor]:
        """Folds in new rows of a mode: the matrix G[i] between the other modes' cores that explains each best.

        slabs: B x (the other modes, in their order), NaN where not observed.
        Gives B x (r_{n-1} r_n), by least squares over the observed entries (the shortest of equals), and each
        slab's residual over its norm: B; NaN for a slab without an observed entry.
        """
        one = self.cores[0].new_ones(1, 1, 1)
        left = left_interface([one, *self.cores[:mode]]).double()
        right = right_interface([*self.cores[mode + 1 :], one]).double().T
        data = slabs.reshape(len(slabs), len(left), len(right)).double()
        embedding, residual = _embed(left, right, data)
        return embedding.to(self.cores[0].dtype), residual.to(self.cores[0].dtype)

    def inner(self, other: TensorTrain) -> float:
        """The inner product with another train of the same shape, in float64: O(N I r³)."""
        _refuse_other_shape(self, other)
        product = torch.ones(1, 1, dtype=torch.float64, device=self.cores[0].device)
        for mine, theirs in zip(self.cores, other.cores, strict=True):
            carried = torch.tensordot(product, theirs.double(), 1)
            product = torch.tensordot(mine.double(), carried, ([0, 1], [0, 1]))
        return product.item()

    def norm(self) -> float:
        """The Frobenius norm in float64, also of a difference of close trains: by QR, not by the inner product."""
        return float(torch.linalg.vector_norm(_lean_left(self.cores)[0]))

    def __add__(self, other: TensorTrain) -> TensorTrain:
        """The sum: its ranks are the sums of the ranks; `round` lowers them."""
        _refuse_other_shape(self, other)
        last = len(self.cores) - 1
        return TensorTrain(
            [
                _block_diagonal(mine, theirs, n > 0, n < last)
                for n, (mine, theirs) in enumerate(zip(self.cores, other.cores, strict=True))
            ]
        )

    def __sub__(self, other: TensorTrain) -> TensorTrain:
        """The difference, as a sum."""
        return self + -1 * other

    def __mul__(self, scalar: float) -> TensorTrain:
        """The train of every entry times a number."""
        return TensorTrain([self.cores[0] * scalar, *self.cores[1:]], self.relative_error)

    __rmul__ = __mul__

    def round(self, *, tol: float | None = None, max_rank: int | Sequence[int] | None = None) -> TensorTrain:
        """A train of lower ranks: |X - round(X)| <= tol |X|, ranks of max_rank at most; one of them at least.

        QR from the right to the left, then truncated SVD from the left to the right with tol / sqrt(N - 1) |X|
        for each rank (Oseledets 2011, algorithm 2), in float64.
        """
        caps = feasible_ranks(self.shape, max_rank, tol)
        cores = _lean_left(self.cores)
        allowed = float(cores[0].square().sum()) * tolerance(tol, self.cores[0].dtype) ** 2 / max(1, len(caps))
        for n, cap in enumerate(caps):
            rank, rows, _ = cores[n].shape
            left, values, right = torch.linalg.svd(cores[n].reshape(rank * rows, -1), full_matrices=False)
            kept = enough(values.square(), allowed, cap)
            signs = positive(left[:, :kept])
            cores[n] = (left[:, :kept] * signs).reshape(rank, rows, kept)
            cores[n + 1] = torch.tensordot((signs * values[:kept])[:, None] * right[:kept], cores[n + 1], 1)
        found = [len(core) for core in cores[1:]]
        if found != feasible_ranks(self.shape, found, None):  # A later cut left an earlier rank more than it can use.
            cores = _lean_left(cores)
        return TensorTrain([core.to(self.cores[0].dtype) for core in cores])

    def to_tensorly(self) -> Any:
        """TensorLy's TTTensor of the same cores, in the backend that TensorLy is set to."""
        tensorly = _tensorly()
        return tensorly.tt_tensor.TTTensor([tensorly.tensor(core.detach().cpu().numpy()) for core in self.cores])

    @staticmethod
    def from_tensorly(train: Any, relative_error: float = math.nan) -> TensorTrain:
        """The train of TensorLy's TTTensor, or of a list of its cores."""
        tensorly = _tensorly()
        return TensorTrain([torch.tensor(tensorly.to_numpy(core)) for core in train], relative_error)


def left_rows(cores: Sequence[Tensor], index: Tensor) -> Tensor:
    """The product of the first cores' matrices at B indices (B x N): B x r."""
    rows = _ones(cores, index)
    for n, core in enumerate(cores):
        rows = torch.bmm(rows[:, None, :], _matrices(core, index[:, n]))[:, 0]
    return rows


def right_rows(cores: Sequence[Tensor], index: Tensor) -> Tensor:
    """The product of the last cores' matrices at B indices (B x N): B x r."""
    rows = _ones(cores, index)
    for n, core in enumerate(reversed(cores), 1):
        rows = torch.bmm(_matrices(core, index[:, -n]), rows[:, :, None])[:, :, 0]
    return rows


def left_interface(cores: Sequence[Tensor]) -> Tensor:
    """The first cores multiplied out: (the product of their rows) x r, the last index fastest."""
    matrix = cores[0].new_ones(1, 1)
    for core in cores:
        matrix = (matrix @ core.reshape(len(core), -1)).reshape(-1, core.shape[2])
    return matrix


def right_interface(cores: Sequence[Tensor]) -> Tensor:
    """The last cores multiplied out: r x (the product of their rows), the last index fastest."""
    matrix = cores[0].new_ones(1, 1)
    for core in reversed(cores):
        matrix = (core.reshape(-1, core.shape[2]) @ matrix).reshape(len(core), -1)
    return matrix


def residual(slab: Slab, cores: Sequence[Tensor]) -> Tensor:
    """|X - Y|² over this rank's slab by reconstruction, in float64, a tile that stays in the cache at a time."""
    mine = [core.double() for core in cores]
    mine[slab.mode] = mine[slab.mode][:, slab.rows]
    cut = _cut(mine)
    left, right = left_interface(mine[:cut]), right_interface(mine[cut:])
    matrix = slab.local.reshape(len(left), right.shape[1])
    rows = min(512, max(1, len(left)))
    squares = left.new_zeros(())
    for down, factor in zip(torch.split(matrix, rows), torch.split(left, rows), strict=True):
        tiles, others = torch.split(down, TILE // rows, 1), torch.split(right, TILE // rows, 1)
        for tile, other in zip(tiles, others, strict=True):
            squares += torch.addmm(tile.double(), factor, other, alpha=-1).square_().sum()
    return squares


def feasible_ranks(shape: Sequence[int], max_rank: int | Sequence[int] | None, tol: float | None) -> list[int]:
    """The most that r_1, ..., r_{N-1} can be: `max_rank` (one for all, or a list), and what the shape allows.

    Raises UserError where neither `tol` nor `max_rank` says anything, or one of them says what cannot be.
    """
    if tol is None and max_rank is None:
        raise UserError("neither tol nor max_rank is given: set tol (the relative error allowed), max_rank, or both")
    if tol is not None and not 0 <= tol < math.inf:
        raise UserError(f"tol is {tol}: it must be a relative error, 0 or more")
    caps = [max_rank] * (len(shape) - 1) if isinstance(max_rank, int) else list(max_rank or [])
    if max_rank is None:
        caps = [math.prod(shape)] * (len(shape) - 1)
    if len(caps) != len(shape) - 1 or any(cap < 1 for cap in caps):
        raise UserError(
            f"max_rank is {max_rank}: it must be 1 or more, or a list of {len(shape) - 1} such numbers for a tensor "
            f"of {len(shape)} modes"
        )
    for n, rows in enumerate(shape[:-1]):
        caps[n] = min(caps[n], rows * (caps[n - 1] if n else 1))
    for n in reversed(range(len(caps))):
        caps[n] = min(caps[n], shape[n + 1] * (caps[n + 1] if n + 1 < len(caps) else 1))
    return caps


def tolerance(tol: float | None, dtype: torch.dtype) -> float:
    """The relative error that a truncation may make: never less than the round-off of numbers of that type."""
    return max(tol or 0.0, ROUND_OFFS * torch.finfo(dtype).eps)


def enough(squares: Tensor, allowed: float, cap: int) -> int:
    """How many of the squared singular values (descending) to keep, 1 to cap, so that the rest sums to `allowed`."""
    tails = squares.flip(0).cumsum(0)
    return max(1, min(cap, len(squares) - int((tails <= allowed).sum())))


def positive(columns: Tensor) -> Tensor:
    """The signs, one a column, that make the largest entry of each column positive."""
    largest = columns.gather(0, columns.abs().argmax(0, keepdim=True))[0]
    return torch.where(largest < 0, -1, 1).to(columns.dtype)


def _matrices(core: Tensor, rows: Tensor) -> Tensor:
    """A core's matrices G[i] at B rows: B x r_{n-1} x r_n. From memory in their order, the copy is fast."""
    return core.transpose(0, 1).contiguous().index_select(0, rows)


def _ones(cores: Sequence[Tensor], index: Tensor) -> Tensor:
    dtype = cores[0].dtype if cores else torch.get_default_dtype()
    return torch.ones(len(index), 1, dtype=dtype, device=index.device)


def _cut(cores: Sequence[Tensor]) -> int:
    """Where to halve the cores so that the two interfaces are smallest together."""
    rows = [core.shape[1] for core in cores]
    return min(range(1, len(cores)), key=lambda c: (math.prod(rows[:c]) + math.prod(rows[c:])) * len(cores[c]))


def _join(cores: Sequence[Tensor]) -> Tensor:
    """The tensor of cores whose outer ranks are 1."""
    if len(cores) == 1:
        return cores[0].reshape(-1)
    cut = _cut(cores)
    matrix = left_interface(cores[:cut]) @ right_interface(cores[cut:])
    return matrix.reshape([core.shape[1] for core in cores])


def _lean_left(cores: Sequence[Tensor]) -> list[Tensor]:
    """The same train in float64, its cores but the first with orthonormal rows (r_{n-1} x (I_n r_n))."""
    cores = [core.double() for core in cores]
    for n in range(len(cores) - 1, 0, -1):
        basis, triangle = torch.linalg.qr(cores[n].reshape(len(cores[n]), -1).T)
        cores[n] = basis.T.reshape(-1, *cores[n].shape[1:])
        cores[n - 1] = cores[n - 1] @ triangle.T
    return cores


def _block_diagonal(one: Tensor, other: Tensor, down: bool, across: bool) -> Tensor:
    """A core of the sum of two trains, whose blocks stand side by side where they need not be apart."""
    rows = len(one) + len(other) if down else 1
    columns = one.shape[2] + other.shape[2] if across else 1
    core = torch.zeros(rows, one.shape[1], columns, dtype=one.dtype, device=one.device)
    core[: len(one), :, : one.shape[2]] += one
    core[-len(other) :, :, -other.shape[2] :] += other
    return core


def _embed(left: Tensor, right: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
    """Least squares for G in data_b ≈ left G right^T, over orthonormal bases of both: well conditioned."""
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
    """An orthonormal basis U of a matrix's columns, and B with U = matrix B, without its null directions."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    kept = values > values.max() * torch.finfo(torch.float32).eps * 1e-3
    return left[:, kept], right[kept].T / values[kept]


def _solve_observed(left: Tensor, right: Tensor, data: Tensor, seen: Tensor) -> Tensor:
    """The normal equations of one slab over its observed entries, their rows kron(left_i, right_j)."""
    width = left.shape[1] * right.shape[1]
    gram, product = left.new_zeros(width, width), left.new_zeros(width)
    for part in torch.split(seen.nonzero(), max(1, AT_ONCE // width)):
        rows = (left[part[:, 0], :, None] * right[part[:, 1], None, :]).reshape(-1, width)
        gram += rows.T @ rows
        product += rows.T @ data[part[:, 0], part[:, 1]]
    solution: Tensor = torch.linalg.pinv(gram, hermitian=True, rtol=1e-12) @ product
    return solution.reshape(left.shape[1], right.shape[1])


def _refuse_other_shape(one: TensorTrain, other: TensorTrain) -> None:
    if one.shape != other.shape:
        raise UserError(f"the trains have shapes {one.shape} and {other.shape}: they must have the same")


def _tensorly() -> Any:
    try:
        import tensorly
    except ImportError:
        raise UserError("TensorLy is not installed here: pip install tensorly") from None
    return tensorly
