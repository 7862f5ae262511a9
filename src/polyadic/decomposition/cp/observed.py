"""The misfit of a CP model at the observed entries of a tensor alone, and the model that a Gauss-Newton step is of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.decomposition.cp.newton import Preconditioner, Quadratic
from polyadic.decomposition.cp.row_matrices import pairs, symmetric
from polyadic.decomposition.data import Data, overflow
from polyadic.tensor.dense import reconstruct
from polyadic.tensor.dense_share import DenseShare


class Observed:
    """The observed entries of data; factors are this rank's held rows, J x R, with the model's weights over |X|."""

    def __init__(self, data: Data) -> None:
        self.data = data

    def misfit(self, factors: list[Tensor]) -> tuple[float, list[Tensor]]:
        """|X - Y|² / |X|² over the observed entries, and half its gradient: own rows of each mode, float64."""
        data, share = self.data, self.data.share
        if isinstance(share, DenseShare):
            missed = self._of(_less(_sum_of(factors), share.slab.local, data.norm))
            squares, products = missed.square(), _products(missed, factors)
        else:
            squares, products = torch.zeros((), dtype=torch.float64, device=share.device), []
            for mode in range(len(factors)):
                misses = _less(share.entries(mode, factors), share.trees[mode].values, data.norm)
                products.append(share.mttkrp_of(misses, mode, factors))
                squares = squares if mode else misses.double().square().sum()
            squares = data.world.sum_(squares)
        total = data.world.from_first_(squares).item()
        if not math.isfinite(total):
            raise overflow(share.dtype)
        return total, self._combined(products)

    def image(self, factors: list[Tensor], v: list[Tensor]) -> list[Tensor]:
        """J^T J v: own rows of each mode, float64; v: own rows."""
        layers, dtype = self.data.share.layers, self.data.share.dtype
        held = [layer.spread(rows.to(dtype)) for layer, rows in zip(layers, v, strict=True)]
        # The change of the model is that of a model of N R components, each with one factor in the direction.
        modes = range(len(factors))
        wide = [torch.cat([held[m] if m == n else factors[m] for n in modes], 1) for m in modes]
        share = self.data.share
        if isinstance(share, DenseShare):
            change = self._of(_sum_of(wide))
            return self._combined(_products(change, factors))
        changes = [share.entries(mode, wide) for mode in modes]
        return self._combined([share.mttkrp_of(changes[mode], mode, factors) for mode in modes])

    def matrices(self, factors: list[Tensor]) -> list[Tensor]:
        """The matrix of each own row's normal equations, as the upper triangles of `symmetric`."""
        mask, layers = self.data.mask, self.data.share.layers
        assert mask is not None
        squared = [pairs(factor) for factor in factors]
        return [layer.combine(mask.mttkrp(mode, squared)) for mode, layer in enumerate(layers)]

    def _of(self, entries: Tensor) -> DenseShare:
        """The share of other entries of the slab, which become zeros where none was observed."""
        share, mask = self.data.share, self.data.mask
        assert isinstance(share, DenseShare) and isinstance(mask, DenseShare)
        return share.with_entries(entries.mul_(mask.slab.local))

    def _combined(self, products: Sequence[Tensor]) -> list[Tensor]:
        """The own rows of products of held rows, in float64."""
        layers = self.data.share.layers
        return [layer.combine(product).double() for layer, product in zip(layers, products, strict=True)]


def _sum_of(factors: list[Tensor]) -> Tensor:
    """The tensor of factors, with weights of 1."""
    return reconstruct(factors[0].new_ones(factors[0].shape[1]), factors)


def _less(model: Tensor, entries: Tensor, norm: float) -> Tensor:
    """model - entries / norm, in place of the model."""
    if norm * torch.finfo(model.dtype).max > 1:
        return model.sub_(entries, alpha=1 / norm)
    return model.sub_((entries.double() / norm).to(model.dtype))  # 1 / norm is no number of the model's type.


def _products(share: DenseShare, factors: list[Tensor]) -> list[Tensor]:
    """The MTTKRP of every mode."""
    share.seek(0, range(len(factors)), factors[0].shape[1])
    return [share.mttkrp(mode, factors) for mode in range(len(factors))]


@dataclass(frozen=True)
class ObservedQuadratic(Quadratic):
    """The model of the misfit over the observed entries; held: the held rows of each factor, in the data's precision.

    J^T J has a block R x R for each row, which the preconditioner inverts, and is never formed as a whole: Tomasi and
    Bro, Chemometrics and Intelligent Laboratory Systems 2005.
    """

    observed: Observed
    held: list[Tensor]
    matrices: list[Tensor]

    def longest(self) -> float:
        """The largest number on the diagonal of J^T J."""
        rank = len(self.grams[0])
        places = torch.triu_indices(rank, rank)
        diagonal = places[0] == places[1]
        largest = [float(flat[:, diagonal].max()) if len(flat) else 0.0 for flat in self.matrices]
        ridge = max(float(self._ridge(n, n).max()) for n in range(len(self.rows)))
        return max(self.world.collect(max(largest))) + ridge

    def image(self, v: list[Tensor]) -> list[Tensor]:
        """J^T J v of own rows (J x R); a collective."""
        parts, modes = self.observed.image(self.held, v), range(len(v))
        if self.l2:
            inner = [self.layers[m].total((v[m] * self.rows[m]).sum(0), self.world) for m in modes]
            for n in modes:
                parts[n] = parts[n] + v[n] * self._ridge(n, n)
                parts[n] += self.rows[n] * sum(self._ridge(n, m) * inner[m] for m in modes if m != n)
        return parts

    def preconditioner(self, damping: float) -> Preconditioner:
        """What multiplies each own row by the inverse of its own block of J^T J + damping."""
        rank, modes = len(self.grams[0]), range(len(self.rows))
        eye = torch.eye(rank, dtype=torch.float64, device=self.grams[0].device)
        blocks = []
        for n in modes:
            own = symmetric(self.matrices[n], rank) + torch.diag(self._ridge(n, n)) + damping * eye
            # A row with fewer entries than components has a matrix that is singular up to the round-off of its sums.
            shift = rank * torch.finfo(self.held[n].dtype).eps * own.diagonal(dim1=1, dim2=2).amax(1)
            blocks.append(torch.cholesky_inverse(torch.linalg.cholesky(own + shift[:, None, None] * eye)))
        return lambda v: [torch.bmm(v[n][:, None], blocks[n])[:, 0] for n in modes]

    def _ridge(self, n: int, m: int) -> Tensor:
        """l2 times the squared lengths of the columns in all modes but n and m: R."""
        ridge = torch.full_like(self.grams[0][0], self.l2)
        for k, gram in enumerate(self.grams):
            ridge = ridge if k in (n, m) else ridge * gram.diagonal()
        return ridge
