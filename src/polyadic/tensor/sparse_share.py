"""A rank's block of a sparse tensor, as CP sees it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor.fibres import Stack, Tree, entries, mttkrp, padded, pieces, plant, rows_kernel
from polyadic.tensor.kernels.threads import in_parallel
from polyadic.tensor.layout import distribute
from polyadic.tensor.rows import Multiply, Sums, in_parts
from polyadic.tensor.sparse import SparseTensor


class SparseShare:
    """This rank's block of the grid: its nonzeros in one tree a mode; `layers` say which rows of each factor it holds.

    tensor: nonzeros of the whole that this rank has, whichever they are. With `observed`, absent entries are unknown;
    otherwise they are zeros. `duplicates` tells how many nonzeros fell on a place already taken; they were summed.
    """

    def __init__(self, tensor: SparseTensor, world: World, *, observed: bool = False) -> None:
        self.block = distribute(tensor, world)
        self.world, self.shape, self.layers = world, tensor.shape, self.block.layers
        self.duplicates, self.observed = self.block.duplicates, observed
        self.dtype, self.device = tensor.values.dtype, tensor.values.device
        self.trees = Trees(self.block.tensor)
        self._stack = Stack(self.block.tensor.shape)
        self._modes = list(range(len(self.shape)))

    @cached_property
    def nonzeros(self) -> int:
        """How many nonzeros all ranks have."""
        return int(self.world.sum_(torch.tensor(len(self.block.tensor.values), device=self.device)))

    def square(self) -> Tensor:
        """|X|² over all ranks, in float64."""
        return self.world.sum_(self.block.tensor.values.double().square().sum())

    def sweep(self, number: int) -> list[int]:
        """The modes in the order in which sweep `number`, from 0, is to update them: always the same."""
        return self._modes

    def seek(self, sweeps: int, modes: Sequence[int], rank: int) -> None:
        """Takes up a fit of these modes; nothing is kept from one product to the next."""
        self._modes = list(modes)

    def mttkrp(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """X_(n) (⊙_{m≠n} A^(m)) over this rank's nonzeros, for its held rows of every factor: rows of mode n x R.

        A factor is taken to be the same as long as it is the same object: none may be changed in place.
        """
        return mttkrp(self.trees[mode], self._stack.of(factors), factors[0].shape[1])

    def solves(self, mode: int, rank: int) -> bool:
        """Whether `solved` serves: on a CPU, for few columns, where no other rank has nonzeros in the rows held."""
        one_piece = len(pieces(padded(rank, self.dtype), self.dtype)) == 1
        return self.device.type == "cpu" and self.layers[mode].world.size == 1 and one_piece

    def solved(self, mode: int, factors: Sequence[Tensor], inverse: Tensor) -> tuple[Tensor, Sums]:
        """The MTTKRP times a matrix (R x R): this rank's rows of mode n x R, and their sums.

        The rows are written where the next product reads them, in the cache from one step to the other. They are a
        view, which the next call for the mode writes over.
        """
        tree, stack = self.trees[mode], self._stack.of(factors)
        rows, edges = self._stack.rows(mode), in_parts(tree.edges)
        product, multiply = rows_kernel(tree, stack, rows, 0, stack.shape[1]), Multiply(inverse, edges)
        array = rows.numpy()

        def some(begin: int, end: int) -> None:
            product(begin, end)
            multiply(array, array, begin, end)

        in_parallel(some, edges)
        return self._stack.written(mode, len(inverse)), multiply.sums()

    def entries(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """The model's entries at this rank's nonzeros, in the order of the mode's tree."""
        return entries(self.trees[mode], self._stack.of(factors))

    def residual(self, weights: Tensor, factors: Sequence[Tensor], grams: Sequence[Tensor] | None = None) -> Tensor:
        """|X - Y|² over all ranks from the model's entries in float64.

        Without `observed`, |Y|² over the zeros too is taken from the Gram matrices of the factors (R x R, float64).
        """
        exact = [factor.double() for factor in factors]
        exact[0] = exact[0] * weights
        model = entries(self.trees[0], Stack([len(factor) for factor in factors]).of(exact))
        values = self.trees[0].values.double()
        if self.observed or grams is None:
            return self.world.sum_((values - model).square().sum())
        seen = self.world.sum_((values.square() - 2 * values * model).sum())
        return seen + weights @ torch.stack(list(grams)).prod(0) @ weights


class Trees:
    """A block's tree for each mode, planted when it is first asked for."""

    def __init__(self, tensor: SparseTensor) -> None:
        self._tensor = tensor
        self._planted: dict[int, Tree] = {}

    def __getitem__(self, mode: int) -> Tree:
        if mode not in self._planted:
            self._planted[mode] = plant(self._tensor, mode)
        return self._planted[mode]


class Mask:
    """The ones at a share's nonzeros: what tells which entries were observed."""

    def __init__(self, share: SparseShare) -> None:
        self._share, self._stack = share, Stack(share.block.tensor.shape)
        self._ones = torch.ones_like(share.block.tensor.values)

    def mttkrp(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """The sum over the observed entries of each row of mode n of the products of the others' rows."""
        return mttkrp(self._share.trees[mode].with_values(self._ones), self._stack.of(factors), factors[0].shape[1])
