"""The tensor train by cross interpolation (TT-cross): from some of the entries, for tensors too large to unfold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.decomposition.data import check_shape
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.arguments import checked, shape_of, whole_numbers
from polyadic.tensor.tensor_train import TensorTrain
from polyadic.tensor.train_ranks import feasible_ranks, kept_rank, tolerance

Entries: TypeAlias = Callable[[Tensor], Tensor]
"""A function that answers with the values (B) at indices (B x N, int64, counted from 0)."""
ERROR_SAMPLES = 1000
"""Random entries that an error is taken from, new ones in each pass."""
CHUNK_ENTRIES = 2**18
"""Entries asked for in one call."""
IDLE_PASSES = 4
"""A search ends after so many passes in a row that bring nothing."""
LEAST_PROGRESS = 0.9
"""A pass brings something where it lowers the least error to this share of it or less."""
VOLUME_GAIN = 1.05
"""A submatrix is of maximal volume when exchanging one of its rows gains no more than this factor."""


@checked()
def tensor_cross(
    function: Entries,
    shape: Sequence[int],
    *,
    max_rank: int | Sequence[int],
    tol: float = 1e-6,
    sweeps: int = 20,
    seed: int = 0,
    initial: Tensor | None = None,
    checks: Tensor | None = None,
    world: World | None = None,
    after_pass: Callable[[TensorTrain], bool] = lambda _: True,
) -> TensorTrain:
    """The tensor train of a function of indices, from O(N I r²) of its values in each pass.

    function: answers with the values (B) at indices (B x N, int64, counted from 0); all ranks of `world` call it
    together with the same indices. shape: I_1, ..., I_N, N >= 2.
    max_rank: one number, or r_1, ..., r_{N-1}, at most. tol: the relative error, on new random entries, to search for.
    sweeps: there and back, at most; each is two passes. seed: of all random entries.
    initial: indices (K x N) whose rows and columns to begin with, two random ones otherwise. Where most of the tensor
    is zero, give indices of entries that are not. checks: indices (L x N) to measure the error on, beside
    ERROR_SAMPLES random ones. after_pass: sees the train of each pass, and ends the search by returning False.

    Returns the best train of all passes: cores r_{n-1} x I_n x r_n, whole on every rank, in the data type of the
    function's values, and their relative error on the entries that were measured.

    A pass interpolates the unfolding of each mode on rows of maximal volume, to the right and to the left in turn:
    Oseledets and Tyrtyshnikov, Linear Algebra and its Applications 2010. Ranks begin at the number of initial entries,
    and grow by the columns of the entries that the last pass missed most, until the error is `tol` or less,
    IDLE_PASSES passes gain nothing, or all sweeps are done.

    Raises UserError for an order under 2, an empty shape, ranks under 1, a negative tol, values that are not finite,
    and where all entries looked at are zero.
    """
    shape = shape_of(shape)
    check_shape(shape)
    caps = feasible_ranks(shape, max_rank, tol)
    random = torch.Generator().manual_seed(seed)
    start = _random_index(shape, 2, random) if initial is None else whole_numbers(initial, "initial")
    extra = None if checks is None else whole_numbers(checks, "checks")
    search = _Search(function, tuple(shape), caps, tol, world or World.alone())
    suffixes = [torch.unique(start[:, n:], dim=0) for n in range(1, len(shape))]
    best, idle, largest = TensorTrain([], math.inf), 0, 0
    for _ in range(2 * sweeps):
        cores, prefixes = search.interpolate(suffixes)
        index = _random_index(shape, ERROR_SAMPLES, random)
        train, missed = search.validate(cores, index if extra is None else torch.cat([index, extra]))
        gained = sum(train.ranks) > largest or train.relative_error < LEAST_PROGRESS * best.relative_error
        idle = 0 if gained else idle + 1
        largest = max(largest, sum(train.ranks))
        best = train if train.relative_error < best.relative_error else best
        if not after_pass(train) or train.relative_error <= tol or idle == IDLE_PASSES:
            break
        suffixes = search.turn(prefixes, missed)
    return best


def entries_of(array: NDArray[Any]) -> Entries:
    """The function that answers with the entries of an array I_1 x ... x I_N, which may be memory-mapped."""
    return lambda index: torch.from_numpy(array[tuple(index.cpu().numpy().T)]).to(index.device)


def maxvol(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of a tall matrix A (m x r, of full rank) whose square submatrix has locally the largest volume.

    Returns the rows (r), and A A[rows]^-1 (m x r), whose entries are VOLUME_GAIN at most.
    From the pivots of LU, one row after the other is exchanged: Goreinov et al., "How to find a good submatrix", 2010.
    """
    rows = list(range(len(matrix)))
    for n, pivot in enumerate(torch.linalg.lu_factor(matrix)[1].tolist()):
        rows[n], rows[pivot - 1] = rows[pivot - 1], rows[n]
    chosen = rows[: matrix.shape[1]]
    ratios = torch.linalg.solve(matrix[chosen], matrix, left=False)
    while True:
        row, column = divmod(int(ratios.abs().argmax()), matrix.shape[1])
        if ratios[row, column].abs() <= VOLUME_GAIN:
            return torch.tensor(chosen), torch.linalg.solve(matrix[chosen], matrix, left=False)
        chosen[column] = row
        change = ratios[row].clone()
        change[column] -= 1
        ratios = ratios - torch.outer(ratios[:, column], change / ratios[row, column])


class _Search:
    """The passes of a search, each over the modes from the left to the right: after each the tensor is turned around.

    A prefix of bond n is an index of modes 0 to n - 1, and a suffix is one of modes n to N - 1. turned: whether the
    modes stand in the reverse order of the function's. dtype: of the function's values.
    """

    def __init__(self, function: Entries, shape: tuple[int, ...], caps: list[int], tol: float, world: World) -> None:
        self.function, self.shape, self.caps, self.tol, self.world = function, shape, caps, tol, world
        self.turned, self.dtype = False, torch.float64

    def interpolate(self, suffixes: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """The cores of one pass, and the prefixes of maximal volume that it found for each bond."""
        prefixes, cores = [torch.zeros(1, 0, dtype=torch.int64)], list[Tensor]()
        for rows, cap, suffix in zip(self.shape, self.caps, suffixes, strict=False):
            paths = _pairs(prefixes[-1], torch.arange(rows)[:, None])
            block = self.values(_pairs(paths, suffix)).reshape(len(paths), len(suffix))
            chosen, ratios = self.cross(block, cap)
            cores.append(ratios.reshape(len(prefixes[-1]), rows, -1))
            prefixes.append(paths[chosen])
        paths = _pairs(prefixes[-1], torch.arange(self.shape[-1])[:, None])
        cores.append(self.values(paths).reshape(len(prefixes[-1]), -1, 1))
        return cores, prefixes[1:]

    def cross(self, block: Tensor, cap: int) -> tuple[Tensor, Tensor]:
        """Rows of maximal volume of a block's leading columns, and what every row is in terms of them."""
        basis, values, _ = torch.linalg.svd(block, full_matrices=False)
        # The interpolation may magnify what is left out here.
        allowed = (tolerance(self.tol / 100, self.dtype) * torch.linalg.vector_norm(block)).square()
        chosen, ratios = maxvol(basis[:, : kept_rank(values.square(), float(allowed), cap)])
        agreed = self.world.from_first(chosen)
        if not torch.equal(agreed, chosen):  # Other hardware rounds otherwise.
            basis = basis[:, : len(agreed)]
            ratios = torch.linalg.solve(basis[agreed], basis, left=False)
        return agreed, ratios

    def values(self, index: Tensor) -> Tensor:
        """The function's values at indices (B x N): B, float64. Raises UserError where one is not finite."""
        index = index.flip(1) if self.turned else index
        device = self.world.device
        values = torch.cat([self.function(part.to(device)) for part in torch.split(index, CHUNK_ENTRIES)]).cpu()
        self.dtype = values.dtype if values.is_floating_point() else torch.float64
        bad = (~values.isfinite()).nonzero()
        if len(bad):
            place = index[bad[0, 0]].tolist()
            raise UserError(f"the entry at index {place} is {values[bad[0, 0]]}: TT-cross needs finite entries")
        return values.double()

    def validate(self, cores: list[Tensor], index: Tensor) -> tuple[TensorTrain, Tensor]:
        """The train as the function has its modes, its error on entries (B x N), and these, the worst first."""
        if self.turned:
            cores = [core.transpose(0, 2).contiguous() for core in reversed(cores)]
        values = self.values(index.flip(1) if self.turned else index)
        norm = float(torch.linalg.vector_norm(values))
        if norm == 0:
            raise UserError(
                f"all of {len(index)} entries looked at are zero: TT-cross cannot see what the tensor holds. "
                "Give it entries to begin with that are not zero, or decompose it whole, by TT-SVD"
            )
        misses = (values - TensorTrain(cores).at(index)).abs()
        error = self.world.from_first(float(torch.linalg.vector_norm(misses)) / norm)
        order = self.world.from_first(misses.argsort(descending=True, stable=True))
        return TensorTrain([core.to(self.world.device, self.dtype) for core in cores], error), index[order]

    def turn(self, prefixes: list[Tensor], missed: Tensor) -> list[Tensor]:
        """Turns the tensor around: the suffixes of the next pass, with those of the entries missed most."""
        self.turned, self.shape, self.caps = not self.turned, self.shape[::-1], self.caps[::-1]
        missed = missed.flip(1) if self.turned else missed
        more = max(2, max(map(len, prefixes)) // 2)
        suffixes = [prefix.flip(1) for prefix in reversed(prefixes)]
        return [torch.unique(torch.cat([suffix, missed[:more, n:]]), dim=0) for n, suffix in enumerate(suffixes, 1)]


def _random_index(shape: Sequence[int], count: int, random: torch.Generator) -> Tensor:
    return torch.stack([torch.randint(rows, (count,), generator=random) for rows in shape], 1)


def _pairs(left: Tensor, right: Tensor) -> Tensor:
    """Every row of `left` beside every row of `right`, whose rows change fastest."""
    return torch.cat([left.repeat_interleave(len(right), 0), right.repeat(len(left), 1)], 1)
