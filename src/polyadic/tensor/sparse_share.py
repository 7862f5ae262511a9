"""A rank's block of a sparse tensor, with the operations that CP asks of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor.kernels.padding import padded
from polyadic.tensor.kernels.pieces import pieces
from polyadic.tensor.kernels.threads import in_parallel
from polyadic.tensor.layout import distribute
from polyadic.tensor.rows import Multiply, Sums, in_parts
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.stack import Stack
from polyadic.tensor.tree import Tree
from polyadic.tensor.tree_products import entries, mttkrp, rows_kernel


class SparseShare:
    """This rank's block of the grid: its nonzeros, in one tree per mode.

    `layers` say which rows of each factor the rank holds.
    tensor: any part of the whole tensor's nonzeros, over the ranks each of them once. With `observed`, absent entries
    are unknown; otherwise they are zeros. `duplicates`: how many nonzeros of all ranks had the indices of another; they
    were summed.
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
        """How many nonzeros all ranks have; a collective at the first call."""
        return int(self.world.sum_(torch.tensor(len(self.block.tensor.values), device=self.device)))

    def square(self) -> Tensor:
        """|X|² over all ranks, a number in float64; a collective."""
        return self.world.sum_(self.block.tensor.values.double().square().sum())

    def sweep(self, number: int) -> list[int]:
        """The modes in the order in which sweep `number`, from 0, is to update them: always the same."""
        return self._modes

    def order(self) -> list[int]:
        """All modes in the order in which sweeps update them."""
        return list(range(len(self.shape)))

    def seek(self, sweeps: int, modes: Sequence[int], rank: int) -> None:
        """Begins or resumes a fit of these modes; nothing is kept from one product to the next."""
        self._modes = list(modes)

    def mttkrp(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """X_(n) (⊙_{m≠n} A^(m)) over this rank's nonzeros: the held rows of mode n x R.

        factors: this rank's held rows of each. A factor that is the same object as at the last call is taken to be
        unchanged: none may be changed in place.
        """
        return mttkrp(self.trees[mode], self._stack.of(factors), factors[0].shape[1])

    def mttkrp_of(self, values: Tensor, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """The MTTKRP of other values at the nonzeros, in the order of the mode's tree, as that of `mttkrp`."""
        return mttkrp(self.trees[mode].with_values(values), self._stack.of(factors), factors[0].shape[1])

    def solves(self, mode: int, rank: int) -> bool:
        """Whether `solved` can be used: on a CPU, for few columns, where no other rank holds rows of this layer."""
        single_piece = len(pieces(padded(rank, self.dtype), self.dtype)) == 1
        return self.device.type == "cpu" and self.layers[mode].world.size == 1 and single_piece

    def solved(self, mode: int, factors: Sequence[Tensor], inverse: Tensor) -> tuple[Tensor, Sums]:
        """The MTTKRP times a matrix (R x R): this rank's rows of mode n x R, and their sums.

        Each part of the rows is multiplied while it is in the cache, and is written where the next product reads it.
        The rows are a view, which the next call for the same mode overwrites.
        """
        tree, stack = self.trees[mode], self._stack.of(factors)
        rows, edges = self._stack.rows(mode), in_parts(tree.edges)
        product, multiply = rows_kernel(tree, stack, rows, 0, stack.shape[1]), Multiply(inverse, edges)
        array = rows.numpy()

        def product_and_multiply(begin: int, end: int) -> None:
            product(begin, end)
            multiply(array, array, begin, end)

        in_parallel(product_and_multiply, edges)
        return self._stack.written(mode, len(inverse)), multiply.sums()

    def entries(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """The model's entries at this rank's M nonzeros, in the order of the mode's tree: M."""
        return entries(self.trees[mode], self._stack.of(factors))

    def residual(self, weights: Tensor, factors: Sequence[Tensor], *, zeros: bool = True) -> Tensor:
        """|X - Y|² over all ranks from the model's entries, a number in float64; a collective.

        weights: R; factors: held rows x R. With `observed`, or without `zeros`, the zeros do not count. Over them it is
        |Y|² less the squares at the nonzeros, where |Y|² is of Gram matrices that are formed in float64.
        """
        exact = [factor.double() for factor in factors]
        exact[0] = exact[0] * weights
        model = entries(self.trees[0], Stack([len(factor) for factor in factors]).of(exact))
        values = self.trees[0].values.double()
        at_nonzeros = (values - model).square().sum()
        if self.observed or not zeros:
            return self.world.sum_(at_nonzeros)
        product = torch.ones(len(weights), len(weights), dtype=torch.float64, device=self.device)
        for factor, layer in zip(exact, self.layers, strict=True):
            own = factor[layer.own]
            product *= layer.total(own.T @ own, self.world)
        sums = self.world.sum_(torch.stack([at_nonzeros, model.square().sum()]))
        return sums[0] + (product.sum() - sums[1]).clamp_min(0)


class Trees:
    """The trees of a block's modes, each built when it is first asked for."""

    def __init__(self, tensor: SparseTensor) -> None:
        self._tensor = tensor
        self._trees: dict[int, Tree] = {}

    def __getitem__(self, mode: int) -> Tree:
        if mode not in self._trees:
            self._trees[mode] = Tree.of(self._tensor, mode)
        return self._trees[mode]


class Mask:
    """The tensor of ones at a share's nonzeros, where these are the observed entries."""

    def __init__(self, share: SparseShare) -> None:
        self._share, self._stack = share, Stack(share.block.tensor.shape)
        self._ones = torch.ones_like(share.block.tensor.values)

    def mttkrp(self, mode: int, factors: Sequence[Tensor]) -> Tensor:
        """The MTTKRP of the mask: the held rows of mode n x R; factors as in `SparseShare.mttkrp`."""
        return mttkrp(self._share.trees[mode].with_values(self._ones), self._stack.of(factors), factors[0].shape[1])
