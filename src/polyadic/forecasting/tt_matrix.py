"""A matrix as a tensor train: its rows and columns are split into factors, with a core for each pair of them.

Shapes: N x M matrix, N <= n_1 ... n_P, M <= m_1 ... m_P; core p is R_{p-1} x n_p x m_p x R_p, R_0 = R_P = 1.
W[(a_1 ... a_P), (b_1 ... b_P)] = G_1[a_1, b_1] ... G_P[a_P, b_P] (Novikov, Podoprikhin, Osokin and Vetrov, NIPS 2015).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn


class TensorTrainMatrix(nn.Module):
    """W (N = rows, M = columns) as `order` cores of rank `rank`; rows and columns beyond N and M are left out.

    std: the standard deviation of the entries of an untrained W.
    """

    def __init__(self, rows: int, columns: int, order: int, rank: int, std: float) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        ranks = [1, *[rank] * (order - 1), 1]
        sizes = zip(pairwise(ranks), factors(rows, order), factors(columns, order), strict=True)
        # An entry is a sum of R^(P-1) products of P numbers.
        std_of_core = (std**2 / rank ** (order - 1)) ** (1 / (2 * order))
        self.cores = nn.ParameterList(
            torch.empty(before, n, m, after).normal_(std=std_of_core) for (before, after), n, m in sizes
        )

    def dense(self) -> Tensor:
        """W in full, N x M."""
        whole = self.cores[0][0]
        for core in self.cores[1:]:
            whole = torch.einsum("abr,rcds->acbds", whole, core).flatten(2, 3).flatten(0, 1)
        matrix: Tensor = whole[: self.rows, : self.columns, 0]
        return matrix

    def forward(self, x_BM: Tensor) -> Tensor:
        """x W^T (B x N) of x (B x M), core by core."""
        columns = math.prod(core.shape[2] for core in self.cores)
        left = nn.functional.pad(x_BM, (0, columns - self.columns))[
            :, None, :, None
        ]  # B x rows so far x columns left x R
        for core in self.cores:
            left = left.reshape(*left.shape[:2], core.shape[2], -1, left.shape[3])
            left = torch.einsum("bamcr,rnms->bancs", left, core).flatten(1, 2)
        return left[:, : self.rows, 0, 0]

    def count(self) -> int:
        """The number of entries of all cores, sum_p R_{p-1} n_p m_p R_p."""
        return sum(math.prod(core.shape) for core in self.cores)


def factors(number: int, order: int) -> list[int]:
    """`order` factors, as nearly equal as possible, whose product is `number` or a little more."""
    low = max(1, math.floor(number ** (1 / order) + 1e-9))
    for larger in range(order + 1):
        candidate = [low + 1] * larger + [low] * (order - larger)
        if math.prod(candidate) >= number:
            return candidate
    raise AssertionError(f"{low + 1}^{order} is less than {number}")
