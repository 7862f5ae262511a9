"""The first three moments of words, with what Latent Dirichlet allocation subtracts, whitened; V x V is never formed.

Shapes: documents D, terms V, whitened dimensions k. Of a document with counts n of m words: E1 = n / m,
E2 = (n n^T - diag n) / (m (m - 1)) and E3 likewise over ordered triples of different tokens. With a0 the sum of the
Dirichlet's parameters a_i and topics b_i, the corrected moments scaled by a0 (a0 + 1) and a0 (a0 + 1) (a0 + 2) / 2 are
sum a_i b_i b_i^T and sum a_i b_i ∘ b_i ∘ b_i (Anandkumar, Foster, Hsu, Kakade and Liu, NIPS 2012, theorem 3.1).
Sums over documents are in float64, so that their order, which goes by the ranks and threads, does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.topics.collectives import of_first, total
from polyadic.topics.corpus import Corpus
from polyadic.topics.products import times, transposed_times

Documents = Callable[[], Iterable[Corpus]]
"""A pass over the documents, some at a time."""

SHORTEST = 3
"""Words that a document needs for all three moments."""
OVERSAMPLING = 10
"""Columns of a sketch beyond those wanted: Halko, Martinsson and Tropp, SIAM Review 2011, section 4.2."""
AT_ONCE = 2**22
"""Numbers of the documents' squares that stand in memory at a time."""


@dataclass(frozen=True)
class Whitening:
    """The leading eigenpairs of the scaled second moment.

    basis U (V x k), values S (k, falling, float64), mean E1 (V, float64), all over all ranks; documents: how many have
    SHORTEST words or more; short: how many have fewer.
    """

    basis: Tensor
    values: Tensor
    mean: Tensor
    documents: int
    short: int

    def leading(self, rank: int, device: str | torch.device) -> Whitening:
        """The first eigenpairs alone, on a device."""
        basis, values, mean = (one.to(device) for one in (self.basis[:, :rank], self.values[:rank], self.mean))
        return Whitening(basis, values, mean, self.documents, self.short)

    @property
    def matrix(self) -> Tensor:
        """W = U S^-1/2, which makes the second moment the identity: V x k."""
        return self.basis / self.values.sqrt()


def whiten(
    documents: Documents,
    terms: int,
    dimensions: int,
    alpha0: float,
    world: World,
    *,
    power_steps: int = 1,
    seed: int = 0,
) -> Whitening:
    """Eigenpairs of the scaled second moment by randomised subspace iteration, a pass over the documents a product."""
    width = min(dimensions + OVERSAMPLING, terms)
    random = torch.Generator().manual_seed(seed)
    basis = torch.randn(terms, width, generator=random, dtype=torch.float64).to(world.device)
    for _ in range(power_steps + 1):
        basis = torch.linalg.qr(basis)[0]
        product, mean, long, short = _second(documents, basis, alpha0, world)
        before, basis = basis, product
    # Rayleigh-Ritz in the last basis whose product is known.
    values, vectors = torch.linalg.eigh((before.T @ product + product.T @ before) / 2)
    leading = values.flip(0)[:dimensions]
    turned = torch.linalg.qr(product @ vectors.flip(1)[:, :dimensions])[0]
    signs = turned.gather(0, turned.abs().argmax(0, keepdim=True)).sign()
    return Whitening(of_first(world, turned * signs), of_first(world, leading), mean, long, short)


def whitened_third(documents: Documents, whitening: Whitening, alpha0: float, world: World) -> Tensor:
    """The scaled third moment in the whitened space, sum a_i (W^T b_i)^∘3: k x k x k, float64; one pass.

    Of E3 three sums are left: sum c p∘p∘p over the documents with p = W^T n and c = 1 / (m (m - 1) (m - 2)), less the
    terms of equal tokens, which need sum c n_t p and sum c n_t a term t alone.
    """
    matrix, k = whitening.matrix, whitening.matrix.shape[1]
    narrow = matrix.float()
    cubes, pairs = matrix.new_zeros(k, k, k), matrix.new_zeros(k, k)
    spread = matrix.new_zeros(len(matrix), k + 2)
    for corpus in (one.to(matrix.device) for one in documents()):
        length = corpus.lengths
        share = _reciprocal(length * (length - 1) * (length - 2), length)[:, None]
        second = _reciprocal(length * (length - 1), length)[:, None]
        points = times(corpus, narrow)
        spread += transposed_times(corpus, torch.cat([points * share, share, second], 1).float())
        exact = points.double()
        cubes += _cubes(exact, share)
        pairs += exact.T @ (exact * second)
    sums = [cubes, pairs, spread]
    flat = total(world, torch.cat([part.flatten() for part in sums]))
    parts = torch.split(flat, [part.numel() for part in sums])
    cubes, pairs, spread = (part.reshape(one.shape) for part, one in zip(parts, sums, strict=True))
    rows, (weights, diagonal) = spread[:, :k], spread[:, k:].T
    third = cubes - _symmetric(torch.einsum("ta,tb,tc->abc", rows, matrix, matrix))
    third = (third + 2 * torch.einsum("t,ta,tb,tc->abc", weights, matrix, matrix, matrix)) / whitening.documents
    mean = matrix.T @ whitening.mean
    second = (pairs - matrix.T @ (diagonal[:, None] * matrix)) / whitening.documents
    third -= alpha0 / (alpha0 + 2) * _symmetric(torch.einsum("ab,c->abc", second, mean))
    third += 2 * alpha0**2 / ((alpha0 + 1) * (alpha0 + 2)) * torch.einsum("a,b,c->abc", mean, mean, mean)
    return of_first(world, third * alpha0 * (alpha0 + 1) * (alpha0 + 2) / 2)


def _second(documents: Documents, basis: Tensor, alpha0: float, world: World) -> tuple[Tensor, Tensor, int, int]:
    """The scaled second moment times a basis (V x k), the mean, and how many documents are long enough, or not."""
    terms, k = basis.shape
    product, mean, diagonal = basis.new_zeros(terms, k), basis.new_zeros(terms), basis.new_zeros(terms)
    long = short = 0
    narrow = basis.float()
    for corpus in (one.to(basis.device) for one in documents()):
        length = corpus.lengths
        pairs, singles = _reciprocal(length * (length - 1), length), _reciprocal(length, length)
        points = times(corpus, narrow) * pairs.float()[:, None]
        weights = torch.stack([singles, pairs], 1).float()
        sums = transposed_times(corpus, torch.cat([points, weights], 1))
        product += sums[:, :k]
        mean += sums[:, k]
        diagonal += sums[:, k + 1]
        kept = int((length >= SHORTEST).sum())
        long, short = long + kept, short + len(corpus) - kept
    counts = basis.new_tensor([long, short])
    flat = total(world, torch.cat([product.flatten(), mean, diagonal, counts]))
    long, short = (int(count) for count in flat[-2:])
    product, (mean, diagonal) = flat[: terms * k].reshape(terms, k), flat[terms * k : -2].reshape(2, terms)
    mean = mean / max(1, long)
    product = (product - diagonal[:, None] * basis) / max(1, long)
    product -= alpha0 / (alpha0 + 1) * torch.outer(mean, mean @ basis)
    return product * alpha0 * (alpha0 + 1), mean, long, short


def _reciprocal(number: Tensor, length: Tensor) -> Tensor:
    """1 / number for documents that are long enough, 0 for the others."""
    return torch.where(length >= SHORTEST, 1 / number.clamp_min(1e-30), 0.0)


def _symmetric(tensor: Tensor) -> Tensor:
    """A tensor that is symmetric but for one of its three modes, summed over the places of that one."""
    return tensor + tensor.permute(2, 0, 1) + tensor.permute(1, 2, 0)


def _cubes(points: Tensor, share: Tensor) -> Tensor:
    """The sum over the documents of share · p∘p∘p: k x k x k, some documents at a time."""
    k = points.shape[1]
    cubes = points.new_zeros(k, k * k)
    step = max(1, AT_ONCE // k**2)
    for first in range(0, len(points), step):
        some = points[first : first + step]
        squares = (some[:, :, None] * some[:, None, :]).flatten(1)
        cubes += (some * share[first : first + step]).T @ squares
    return cubes.reshape(k, k, k)
