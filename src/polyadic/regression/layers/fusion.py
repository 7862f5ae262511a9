"""A layer that multiplies several vectors of a sample, such as those of a picture and of a question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from polyadic.errors import UserError, unknown
from polyadic.tensor.arguments import shape_of, whole

Kind: TypeAlias = Literal["lmf", "mutan", "block", "concat"]
CHUNKS = 4
"""Of a block fusion."""
LEAST_SQUARE = 1e-6
"""Added below the signed root, whose slope is infinite at 0."""


class Fusion(nn.Module):
    """M vectors x^(m) (B x I_m) -> B x C, by a weight tensor of low rank over all their products.

    sizes: I_1 .. I_M, two or more. outputs: C. x~ = [1; x], so that terms of fewer modalities are among the products.
    kind: lmf, Σ_r ∗_m (x~^m F^(m)_r), a CP form: Liu et al., Efficient low-rank multimodal fusion, 2018. mutan, a
    Tucker form whose core has rank R: z = Σ_r ∗_m ((x~^m Q^m) M^(m)_r), y = z W_o: Ben-younes et al., 2017. block,
    the same in 4 chunks of the projections, of each the signed root, of length 1: Ben-younes et al., BLOCK, 2019.
    concat: [x^1, ..., x^M] through a hidden layer, what a product is to be compared with.
    rank: R. projection: rows of Q^m and of z, of mutan, block and concat.
    Factors are drawn so that each product has a deviation of about 1, whatever M is. Raises UserError for one modality
    alone, and for vectors of another number or size.
    """

    def __init__(
        self, sizes: Sequence[int], outputs: int, rank: int = 4, kind: str = "lmf", *, projection: int = 64
    ) -> None:
        super().__init__()
        if kind not in get_args(Kind):
            raise UserError(unknown("fusion", str(kind), list(get_args(Kind))))
        sizes, outputs = shape_of(sizes, "sizes"), whole(outputs, "outputs", 1)
        rank, projection = whole(rank, "rank"), whole(projection, "projection")
        if len(sizes) < 2 or 0 in sizes:
            raise UserError(f"sizes are {list(sizes)}: a fusion takes two vectors or more")
        if rank < 1 or projection < CHUNKS:
            raise UserError(f"rank is {rank} and projection {projection}: they must be 1 and {CHUNKS} or more")
        self.sizes, self.outputs, self.rank, self.kind = tuple(sizes), outputs, rank, kind
        chunks = CHUNKS if kind == "block" else 1
        self.projection = projection // chunks * chunks
        if kind == "lmf":
            width = rank * outputs
            self.factors = nn.ParameterList(_drawn(size, width, rank ** (-0.5 / len(sizes))) for size in sizes)
            self.bias = nn.Parameter(torch.zeros(outputs))
            return
        if kind == "concat":
            self.hidden = nn.Linear(sum(sizes), self.projection)
        else:
            self.inputs = nn.ParameterList(_drawn(size, self.projection, 1.0) for size in sizes)
            part = self.projection // chunks
            self.products = nn.ParameterList(
                nn.Parameter(torch.randn(chunks, part, rank * part) * part**-0.5 * rank ** (-0.5 / len(sizes)))
                for _ in sizes
            )
        self.last = nn.Linear(self.projection, outputs)

    def forward(self, *vectors: Tensor) -> Tensor:
        """The scores: B x C. No product of vectors is formed."""
        self._refuse(vectors)
        if self.kind == "concat":
            scores: Tensor = self.last(torch.relu(self.hidden(torch.cat(vectors, 1))))
            return scores
        if self.kind == "lmf":
            return self.components(*vectors).sum(1) + self.bias
        projected = [_affine(x, factor) for x, factor in zip(vectors, self.inputs, strict=True)]
        chunks, part = self.products[0].shape[:2]
        hidden = []
        for x_BP, maps in zip(projected, self.products, strict=True):
            hidden.append(torch.einsum("bkp,kpq->bkq", x_BP.reshape(-1, chunks, part), maps))
        z_BKP = _product(hidden).reshape(-1, chunks, self.rank, part).sum(2)
        return self._read(z_BKP)

    def components(self, *vectors: Tensor) -> Tensor:
        """What each of the R terms of lmf adds to each score: B x R x C. UserError for another kind."""
        if self.kind != "lmf":
            raise UserError(f"a fusion of kind {self.kind} is no sum of products: components are those of lmf")
        product = _product([_affine(x, factor) for x, factor in zip(vectors, self.factors, strict=True)])
        return product.reshape(-1, self.rank, self.outputs)

    def reference(self, *vectors: Tensor) -> Tensor:
        """The same by the outer product of the vectors, which is formed."""
        self._refuse(vectors)
        if self.kind == "concat":
            return self.forward(*vectors)
        ones = [torch.cat([x.new_ones(len(x), 1), x], 1) for x in vectors]
        factors = self.factors if self.kind == "lmf" else self.inputs
        if self.kind == "lmf":
            weight = _outer_weight([factor.reshape(-1, self.rank, self.outputs) for factor in factors])
            return _outer(ones).flatten(1) @ weight.flatten(0, -2) + self.bias
        chunks, part = self.products[0].shape[:2]
        pieces = []
        for chunk in range(chunks):
            own = slice(chunk * part, (chunk + 1) * part)
            maps = [
                (factor[:, own] @ product[chunk]).reshape(-1, self.rank, part)
                for factor, product in zip(factors, self.products, strict=True)
            ]
            pieces.append(_outer(ones).flatten(1) @ _outer_weight(maps).flatten(0, -2))
        return self._read(torch.stack(pieces, 1))

    def _read(self, z_BKP: Tensor) -> Tensor:
        scores: Tensor = self.last(self._root(z_BKP).flatten(1))
        return scores

    def _root(self, z_BKP: Tensor) -> Tensor:
        """Of a block fusion the signed root of each chunk, of length 1; the root is bounded in its slope."""
        if self.kind != "block":
            return z_BKP
        root = z_BKP.sign() * ((z_BKP.abs() + LEAST_SQUARE).sqrt() - math.sqrt(LEAST_SQUARE))
        return nn.functional.normalize(root, dim=2) * math.sqrt(z_BKP.shape[2])

    def _refuse(self, vectors: Sequence[Tensor]) -> None:
        shapes = [tuple(vector.shape) for vector in vectors]
        if [shape[1:] for shape in shapes] != [(size,) for size in self.sizes] or len({len(x) for x in vectors}) > 1:
            raise UserError(f"vectors are {shapes}: they must be B x {', B x '.join(map(str, self.sizes))}")


def _drawn(size: int, width: int, deviation: float) -> nn.Parameter:
    """A factor (1 + size) x width: the row of the 1 near 1, the others so small that all together have `deviation`."""
    factor = torch.randn(1 + size, width) * deviation * math.sqrt(0.5 / size)
    factor[0] = deviation * math.sqrt(0.5) * torch.randn(width).sign()
    return nn.Parameter(factor)


def _affine(x: Tensor, factor: Tensor) -> Tensor:
    """[1; x] times a factor, which is split: the gradient is one copy, where two slices would have one each."""
    first, rest = factor.split([1, len(factor) - 1])  # type: ignore[no-untyped-call]
    return torch.addmm(first, x, rest)


def _product(parts: Sequence[Tensor]) -> Tensor:
    product = parts[0]
    for part in parts[1:]:
        product = product * part
    return product


def _outer(vectors: Sequence[Tensor]) -> Tensor:
    """x^1 ∘ ... ∘ x^M for each sample: B x I_1 x ... x I_M."""
    whole = vectors[0]
    for vector in vectors[1:]:
        whole = whole.unsqueeze(-1) * vector.reshape(len(vector), *[1] * (whole.ndim - 1), -1)
    return whole


def _outer_weight(factors: Sequence[Tensor]) -> Tensor:
    """Σ_r ∘_m F^m[:, r, c] for factors I_m x R x C: I_1 x ... x I_M x C."""
    whole = factors[0]
    for factor in factors[1:]:
        whole = torch.einsum("...rc,irc->...irc", whole, factor)
    return whole.sum(-2)
