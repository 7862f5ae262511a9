"""The tensor train by truncated singular value decompositions (TT-SVD)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from polyadic.decomposition.data import WITHOUT_GAPS, check_norm, check_shape, overflow
from polyadic.decomposition.precision import SAFE_NORM, in_safe_unit, sum_of_squares
from polyadic.decomposition.train.bases import noise_of, project, range_finder_widths, singular_basis, sketched_basis
from polyadic.distributed import World
from polyadic.tensor.arguments import Dense, checked, dense
from polyadic.tensor.dense import Slab
from polyadic.tensor.tensor_train import TensorTrain
from polyadic.tensor.train_cores import residual
from polyadic.tensor.train_ranks import feasible_ranks, positive_signs, tolerance

PRECISE_ROUND_OFFS = 50_000
"""The root of a difference of squares that is under so many round-offs of the squares lacks digits."""
SMALL_TENSOR_ENTRIES = 2**20
"""A tensor of no more entries is reconstructed in no time."""


@checked()
def tensor_train(
    tensor: Dense | Slab,
    *,
    tol: float | None = None,
    max_rank: int | Sequence[int] | None = None,
    world: World | None = None,
) -> TensorTrain:
    """The tensor train of a dense tensor, its ranks from a bound on the relative error, from a limit, or from both.

    tensor: I_1 x ... x I_N, or this rank's slab of it; N >= 2, float32 or float64, finite, not all zero.
    tol: |X - Y| <= tol |X|, where max_rank does not forbid it; each rank then is the least that leaves out no more
    than tol / sqrt(N - 1) |X|. max_rank: one number, or r_1, ..., r_{N-1}; more than the shape allows is no error.

    Returns cores r_{n-1} x I_n x r_n, whole on every rank, and the true relative error |X - Y| / |X|.

    From the left up to the slab's divided mode d, and from the right down to it, the unfolding of what is left of the
    tensor is projected on its leading singular vectors. These belong to the side without mode d, so that the rows stay
    on their ranks and only matrices of that side are summed; core d is gathered at the end. The error keeps the bound
    of TT-SVD, because the projections of the two directions commute: Oseledets, SIAM J. Sci. Comput. 2011,
    theorem 2.2.

    Raises UserError without tol and max_rank, for an order under 2, for a tensor that is empty, all zero or not
    finite, and where sums over it overflow.
    """
    world = world or World.alone()
    given = tensor if isinstance(tensor, Slab) else dense(tensor).detach()
    check_shape(given.shape)
    slab = given if isinstance(given, Slab) else Slab.whole(given)
    caps = feasible_ranks(slab.shape, max_rank, tol)
    norm = check_norm(world.sum_(sum_of_squares(slab.local)).sqrt().item(), slab.local, world, WITHOUT_GAPS)
    slab, norm, unit = in_safe_unit(slab, norm, SAFE_NORM)
    allowed = (tolerance(tol, slab.local.dtype) * norm) ** 2 / len(caps)
    cores = _Peeling(slab, world, allowed, tol is not None, norm**2).cores(caps)
    error = _error(slab, cores, norm, world)
    cores[slab.mode] = cores[slab.mode] * unit * unit
    if not cores[slab.mode].isfinite().all():
        raise overflow(slab.local.dtype)
    return TensorTrain(cores, error)


class _Peeling:
    """The truncations from both ends of the tensor towards the divided mode.

    allowed: the square that each truncation may leave out. strict: whether that was asked for. energy: the square of
    what is left of the tensor.
    """

    def __init__(self, slab: Slab, world: World, allowed: float, strict: bool, energy: float) -> None:
        self.slab, self.world, self.allowed, self.strict, self.energy = slab, world, allowed, strict, energy

    def cores(self, caps: Sequence[int]) -> list[Tensor]:
        """All cores, whole on every rank; those before mode d have orthonormal columns, those behind it rows."""
        d, shape, local_shape = self.slab.mode, self.slab.shape, self.slab.local.shape
        carry, rank, left, right = self.slab.local, 1, list[Tensor](), list[Tensor]()
        for n in range(d):
            matrix = carry.reshape(rank * shape[n], math.prod(local_shape[n + 1 :]))
            basis, rest = self._split(matrix.T, math.prod(shape[n + 1 :]), caps[n])
            left.append(basis.reshape(rank, shape[n], -1))
            carry, rank = rest.T.contiguous(), basis.shape[1]
        first, rank = rank, 1
        for n in reversed(range(d + 1, len(shape))):
            matrix = carry.reshape(first * math.prod(local_shape[d:n]), shape[n] * rank)
            basis, carry = self._split(matrix, first * math.prod(shape[d:n]), caps[n - 1])
            right.insert(0, basis.T.reshape(-1, shape[n], rank))
            rank = basis.shape[1]
        middle = carry.reshape(first, local_shape[d], rank).transpose(0, 1).contiguous()
        return [*left, self.world.gather_rows(middle).transpose(0, 1).contiguous(), *right]

    def _split(self, matrix: Tensor, rows: int, cap: int) -> tuple[Tensor, Tensor]:
        """An orthonormal basis V (n x r) of leading right singular vectors of C (m x n), and C V.

        `matrix` are this rank's rows of C, `rows` counts them all.
        """
        pair = self._sketch(matrix, min(rows, matrix.shape[1]), cap)
        if pair is None:
            basis = singular_basis(matrix, rows, cap, self.allowed, self.world)
            pair = basis, project(matrix, basis)
        basis, product = pair
        self.energy = self.world.sum_(sum_of_squares(product)).item()
        signs = positive_signs(basis)
        return basis * signs, product * signs

    def _sketch(self, matrix: Tensor, small: int, cap: int) -> tuple[Tensor, Tensor] | None:
        """The same by the first random range finder that leaves out no more than allowed; None where none does."""
        if self.strict and self.allowed <= noise_of(self.energy, matrix.dtype):
            return None
        for width in range_finder_widths(small, cap, strict=self.strict):
            pair = sketched_basis(matrix, width, cap, energy=self.energy, allowed=self.allowed, world=self.world)
            if pair is not None:
                return pair
        return None


def _error(slab: Slab, cores: Sequence[Tensor], norm: float, world: World) -> float:
    """|X - Y| / |X| from |X|² + |Y|² - 2 <X, Y>, or by reconstruction where that would lack digits, or costs nothing.

    The divided mode's core G is that of <X, Y> = |G|². With bases orthonormal to the last digit |Y| is |G| as well,
    but then the digits that they lack would count in full; taken from the cores, they cancel.
    """
    projected = sum_of_squares(cores[slab.mode]).item()
    imprecise = norm**2 - projected < PRECISE_ROUND_OFFS * torch.finfo(slab.local.dtype).eps * norm**2
    if world.any(imprecise or math.prod(slab.shape) < SMALL_TENSOR_ENTRIES):
        left_out = world.sum_(residual(slab, cores)).item()
    else:
        train = TensorTrain(list(cores))
        left_out = norm**2 + train.inner(train) - 2 * projected
    return world.from_first(math.sqrt(left_out) / norm)
