"""New rows of one factor, from its MTTKRP and the Gram matrices of the others: least squares and its variants.

Shapes: a rank updates J rows of a factor of rank R. `gram` is R x R where every row has the same normal equations, and
J x R x R where each row has its own (entries that were not observed).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from polyadic.decomposition.data import overflow
from polyadic.tensor.rows import Sums, times

ROWS_PER_SUM = 4096
COLUMN_PASSES = 4
"""Passes over the columns in one nonnegative update: more gain little before the other factors move."""


class NormalMatrix:
    """The matrix of the normal equations (R x R, float64), factorised, with a ridge where it is singular.

    dtype: of the rows. inverse: R x R; None where it would not be accurate. Raises UserError where the sums overflow.

    The ridge begins at the precision of the rows and grows until the smallest pivot stands clear of it: without it,
    collinear columns get huge weights that cancel, and the error's own formula drowns in their round-off.
    """

    def __init__(self, gram: Tensor, dtype: torch.dtype) -> None:
        precision, ridge = torch.finfo(dtype).eps * len(gram), 0.0
        largest = float(gram.diagonal().max())
        if not math.isfinite(largest):  # No entry is larger: the matrix is positive semidefinite.
            raise overflow(dtype)
        while True:
            self._lower, info = torch.linalg.cholesky_ex(gram)
            weakest = 0.0 if info else float(self._lower.diagonal().min()) ** 2 / largest
            if weakest > precision:
                break
            more, largest = max(4 * ridge, precision) - ridge, max(largest, torch.finfo(gram.dtype).tiny)
            gram = gram + more * largest * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
            ridge += more
        # The inverse is several times faster; of a badly conditioned matrix it would not cancel what it should.
        self.inverse = torch.cholesky_inverse(self._lower) if weakest > precision**0.5 else None

    def solve(self, product: Tensor) -> tuple[Tensor, Sums]:
        """product (J x R) times the inverse: J x R, and its sums."""
        if self.inverse is not None:
            return times(product, self.inverse.to(product.dtype))
        rows = torch.cholesky_solve(product.T.double(), self._lower).T.to(product.dtype).contiguous()
        return rows, sums_of(rows, product)

    def leverage(self, rows: Tensor) -> Tensor:
        """a (A^T A)^-1 a^T = |L^-1 a|² for each row a (J x R), where this is A^T A: J, float64."""
        eye = torch.eye(rows.shape[1], dtype=torch.float64, device=rows.device)
        inverse = torch.linalg.solve_triangular(self._lower, eye, upper=False)
        scores: Tensor = (rows @ inverse.T.to(rows.dtype)).square().sum(1).double()
        return scores


def sums_of(rows: Tensor, product: Tensor) -> Sums:
    """The Gram matrix of rows (J x R): R x R, float64; and the sums down the columns of product * rows: R, float64."""
    return gram_of(rows), (product * rows).sum(0, dtype=torch.float64)


def gram_of(rows: Tensor) -> Tensor:
    """The Gram matrix of rows (J x R): R x R, float64; sums over ROWS_PER_SUM rows are in the rows' own precision."""
    even = len(rows) // ROWS_PER_SUM * ROWS_PER_SUM
    parts, rest = rows[:even].reshape(-1, ROWS_PER_SUM, rows.shape[1]), rows[even:]
    gram = (rest.T @ rest).double()
    return gram + torch.bmm(parts.mT, parts).sum(0, dtype=torch.float64) if even else gram


def column_lengths(gram: Tensor) -> Tensor:
    """The lengths of a factor's columns from its Gram matrix (R x R): R, never 0."""
    lengths = gram.diagonal().sqrt()
    return torch.where(lengths == 0, 1, lengths)


def solve_rows(gram: Tensor, product: Tensor) -> Tensor:
    """The solution of each row's own normal equations, gram (J x R x R) and product (J x R): J x R.

    By Cholesky with a ridge; a row without observed entries becomes zero. Alternating least squares over the observed
    entries: Tomasi and Bro, Chemometrics and Intelligent Laboratory Systems 2005.

    Raises UserError where the sums overflow.
    """
    if not torch.isfinite(gram).all():
        raise overflow(product.dtype)
    precision = torch.finfo(product.dtype).eps * gram.shape[-1]
    largest = gram.diagonal(dim1=1, dim2=2).amax(1).clamp_min(torch.finfo(gram.dtype).tiny)
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    ridge = torch.zeros_like(largest)
    while True:
        lower, info = torch.linalg.cholesky_ex(gram + (ridge * largest)[:, None, None] * eye)
        pivots = lower.diagonal(dim1=1, dim2=2).amin(1).square()
        weak = (info != 0) | ~(pivots > precision * largest)
        if not bool(weak.any()):
            return torch.cholesky_solve(product.to(gram.dtype)[..., None], lower)[..., 0].to(product.dtype)
        ridge = torch.where(weak, torch.maximum(4 * ridge, torch.full_like(ridge, precision)), ridge)


def nonnegative_rows(gram: Tensor, product: Tensor, before: Tensor) -> Tensor:
    """Nonnegative rows that solve the normal equations better than `before`: all J x R.

    gram: R x R, or J x R x R; product: J x R. By coordinate descent, column after column,
    a_r <- max(0, a_r + (m_r - a G_r) / G_rr): hierarchical ALS, Cichocki and Phan (IEICE Transactions 2009).

    Raises UserError where the sums overflow.
    """
    if not torch.isfinite(gram).all():
        raise overflow(product.dtype)
    gram, rows = gram.to(product.dtype), before.clone()
    for _ in range(COLUMN_PASSES):
        for r in range(rows.shape[1]):
            column = gram[..., r]
            pull = rows @ column if column.ndim == 1 else (rows * column).sum(1)
            curvature = column[..., r]
            step = (product[:, r] - pull) / torch.where(curvature > 0, curvature, torch.inf)
            rows[:, r] = (rows[:, r] + step).clamp_min(0)
    return rows
