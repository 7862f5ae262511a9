"""The cores that a completion begins with: singular vectors of the tensor with zeros for what is unknown.

Singular vectors of an unfolding whose missing entries are zeros are near those of the whole tensor, up to a factor of
the density, from far fewer entries than any one core needs: Keshavan, Montanari and Oh, IEEE Trans. Inf. Theory 2010.
The unfolding is the one whose sides are the most alike; each side is cut on by the singular value decomposition of its
vectors, as TT-SVD does: Oseledets, SIAM J. Sci. Comput. 2011.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polyadic.distributed import World

SPARE_COLUMNS, PASSES = 5, 8
"""Of the subspace iteration that finds the singular vectors."""
ENTRIES_PER_NUMBER = 1.0
"""Observed entries for each number of the longer side's singular vectors: from fewer they tell little."""
MOST_NUMBERS = 2**24
"""Numbers of these vectors beyond which cores begin at random."""


def spectral_cores(
    indices: Tensor, values: Tensor, shape: Sequence[int], ranks: Sequence[int], seed: int, world: World
) -> list[Tensor] | None:
    """Cores r_{n-1} x I_n x r_n, orthonormal in their rows but for the first, in the data type of the values.

    indices: N x M and values: M, this rank's part. None where the singular vectors would be too many, or more than the
    entries can tell. The same on every rank; a collective.
    """
    sides = [(math.prod(shape[:n]), math.prod(shape[n:])) for n in range(1, len(shape))]
    cut = min(range(1, len(shape)), key=lambda n: sum(sides[n - 1]))
    (rows, columns), rank = sides[cut - 1], ranks[cut - 1]
    wide = min(rank + SPARE_COLUMNS, rows, columns)
    numbers = wide * max(rows, columns)
    observed = world.sum_(torch.tensor(len(values), device=values.device)).item()
    if numbers > MOST_NUMBERS or observed < ENTRIES_PER_NUMBER * numbers:
        return None
    from scipy.sparse import csr_array  # Here, so that the library's import is not its.

    index = indices.cpu().numpy()
    places = [np.ravel_multi_index(tuple(part), sizes) for part, sizes in _halves(index, shape, cut)]
    matrix = csr_array((values.double().cpu().numpy(), tuple(places)), shape=(rows, columns))
    turned = csr_array(matrix.T)

    def times(some: Any, right: Tensor) -> Tensor:
        product = torch.from_numpy(some @ right.numpy())
        return world.sum_(product.to(world.device)).cpu()

    basis = torch.randn(columns, wide, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for _ in range(PASSES):
        left = torch.linalg.qr(times(matrix, basis))[0]
        basis, triangle = torch.linalg.qr(times(turned, left))
    turn, sizes, back = torch.linalg.svd(triangle.T)
    left, right = left @ turn[:, :rank], sizes[:rank, None] * (basis @ back.T)[:, :rank].T
    cores = _cut(left.reshape(1, -1), shape[:cut], [*ranks[: cut - 1], rank])
    cores += _cut(right, shape[cut:], [*ranks[cut:], 1])
    # One rank's word: decompositions on different hardware may turn vectors differently.
    return [world.from_first_(core.to(values).contiguous()) for core in _rows_orthonormal(cores)]


def _halves(index: object, shape: Sequence[int], cut: int) -> list[tuple[np.ndarray, tuple[int, ...]]]:
    index = np.asarray(index)
    return [(index[:cut], tuple(shape[:cut])), (index[cut:], tuple(shape[cut:]))]


def _cut(rest: Tensor, shape: Sequence[int], ranks: Sequence[int]) -> list[Tensor]:
    """The cores of a matrix r x (I_1 ... I_K r_K), by TT-SVD; ranks: r_1, ..., r_K."""
    cores, before = [], len(rest)
    for rows, rank in zip(shape[:-1], ranks[:-1], strict=True):
        left, sizes, right = torch.linalg.svd(rest.reshape(before * rows, -1), full_matrices=False)
        cores.append(left[:, :rank].reshape(before, rows, rank))
        rest, before = sizes[:rank, None] * right[:rank], rank
    return [*cores, rest.reshape(before, shape[-1], ranks[-1])]


def _rows_orthonormal(cores: list[Tensor]) -> list[Tensor]:
    """The same train, all but its first core orthonormal in their rows."""
    for n in range(len(cores) - 1, 0, -1):
        rank, rows, after = cores[n].shape
        basis, triangle = torch.linalg.qr(cores[n].reshape(rank, rows * after).T)
        cores[n], cores[n - 1] = basis.T.reshape(-1, rows, after), cores[n - 1] @ triangle.T
    return cores
