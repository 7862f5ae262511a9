"""The first three moments of words, corrected for latent Dirichlet allocation and whitened; V x V is never formed.

Shapes: documents D, terms V, whitened dimensions k. The moments are means over documents. For a document with counts n
of m tokens, E1 = n / m, E2 = (n n^T - diag n) / (m (m - 1)), and E3 is the mean of e_s ∘ e_t ∘ e_u over ordered triples
of different tokens s, t and u. Let a_i be the Dirichlet's parameters, a0 their sum, and b_i the topics. The corrected
moments, scaled by a0 (a0 + 1) and a0 (a0 + 1) (a0 + 2) / 2, are the sums over i of a_i b_i b_i^T and a_i b_i ∘ b_i ∘
b_i: Anandkumar, Foster, Hsu, Kakade and Liu, NIPS 2012, theorem 3.1.
Sums over documents are in float64, so that their order, which depends on the ranks and threads, does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.topics.collectives import from_rank_0, sum_over_ranks
from polyadic.topics.corpus import Corpus
from polyadic.topics.products import times, transposed_times

Documents = Callable[[], Iterable[Corpus]]
"""A function whose every call gives a pass over this rank's documents, in batches."""

LEAST_TOKENS = 3
"""Tokens that a document needs to be part of all three moments."""
OVERSAMPLED_COLUMNS = 10
"""Columns of a sketch beyond those wanted: Halko, Martinsson and Tropp, SIAM Review 2011, section 4.2."""
WORK_NUMBERS = 2**22
"""Numbers of work memory, about."""
EDGE_PLACES = [2.0 ** (-step / 4) for step in range(4, 40)] + [1 - 2.0 ** (-step / 4) for step in range(5, 60)]
"""Where between 0 and 1 the end of a spectrum is looked for, which is a minimum."""


@dataclass(frozen=True)
class Whitening:
    """The leading eigenpairs of the scaled second moment over all ranks' documents; float64.

    basis: eigenvectors U, V x k. values: eigenvalues S, k, falling. mean: E1, V. documents: how many have LEAST_TOKENS
    tokens or more, which are those that count; short: how many have fewer. chance: the largest eigenvalue that as many
    documents would have by chance, were their words drawn from the mean.
    """

    basis: Tensor
    values: Tensor
    mean: Tensor
    documents: int
    short: int
    chance: float

    def leading(self, rank: int, device: str | torch.device) -> Whitening:
        """The first `rank` eigenpairs alone, on a device."""
        basis, values = self.basis[:, :rank].to(device), self.values[:rank].to(device)
        return Whitening(basis, values, self.mean.to(device), self.documents, self.short, self.chance)

    @property
    def matrix(self) -> Tensor:
        """W = U S^-1/2, for which W^T (second moment) W is the identity: V x k."""
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
    """The leading eigenpairs of the scaled second moment, by randomised subspace iteration (Halko et al. 2011).

    terms: V; dimensions: how many eigenpairs, k; alpha0: the sum of the Dirichlet's parameters; power_steps: products
    with the moment beyond the first. Each product is a pass over the documents. A collective of all ranks.
    """
    width = min(dimensions + OVERSAMPLED_COLUMNS, terms)
    random = torch.Generator().manual_seed(seed)
    basis = torch.randn(terms, width, generator=random, dtype=torch.float64).to(world.device)
    for _ in range(power_steps + 1):
        basis = torch.linalg.qr(basis)[0]
        product, mean, pairs, long, short = _second(documents, basis, alpha0, world)
        before, basis = basis, product
    # Rayleigh-Ritz in the last basis whose product is known.
    values, vectors = torch.linalg.eigh((before.T @ product + product.T @ before) / 2)
    leading = values.flip(0)[:dimensions]
    turned = torch.linalg.qr(product @ vectors.flip(1)[:, :dimensions])[0]
    signs = turned.gather(0, turned.abs().argmax(0, keepdim=True)).sign()
    chance = alpha0 * (alpha0 + 1) * by_chance(mean.cpu(), pairs / max(1, long), max(1, long))
    return Whitening(from_rank_0(world, turned * signs), from_rank_0(world, leading), mean, long, short, chance)


def by_chance(mean: Tensor, pairs: float, documents: int) -> float:
    """The largest eigenvalue of E2 - E1 E1^T in documents without topics, whose words are drawn one by one from E1 (V).

    pairs: the mean of 1 / (m (m - 1)) over the documents. The matrix is the sample covariance S of D vectors whose
    entries are independent, with variances t = pairs^1/2 E1 (1 - E1), less its own mean, diag t. With A(y) the sum over
    terms of t / (1 - t y), divided by D, its spectrum ends at the least A / 2 + (A² / 4 + A / y)^1/2 of 0 < y < 1 / max
    t: Silverstein and Choi's edge of S (Journal of Multivariate Analysis 1995), with the mean taken off.
    """
    variances = math.sqrt(pairs) * (mean * (1 - mean)).clamp_min(0)
    largest = max(float(variances.max()), 1e-300)
    ends = []
    for place in EDGE_PLACES:
        sum_ = float((variances / (1 - place / largest * variances)).sum()) / documents
        ends.append(sum_ / 2 + math.sqrt(sum_**2 / 4 + sum_ * largest / place))
    return min(ends)


def whitened_third(documents: Documents, whitening: Whitening, alpha0: float, world: World) -> Tensor:
    """The scaled third moment in the whitened space, the sum of a_i (W^T b_i)^∘3: k x k x k, float64.

    It takes one pass over the documents. With p = W^T n and c = 1 / (m (m - 1) (m - 2)) of each document, E3 is the sum
    of c p∘p∘p less the terms where two or three tokens are the same one; these need only the sums of c n_t p and of
    c n_t for each term t. A collective of all ranks.
    """
    matrix, k = whitening.matrix, whitening.matrix.shape[1]
    narrow = matrix.float()
    cubes, pairs = matrix.new_zeros(k, k, k), matrix.new_zeros(k, k)
    spread = matrix.new_zeros(len(matrix), k + 2)
    for corpus in (batch.to(matrix.device) for batch in documents()):
        length = corpus.lengths
        share = _reciprocal(length * (length - 1) * (length - 2), length)[:, None]
        second = _reciprocal(length * (length - 1), length)[:, None]
        points = times(corpus, narrow)
        spread += transposed_times(corpus, torch.cat([points * share, share, second], 1).float())
        exact = points.double()
        cubes += _triples(exact * share, exact)
        pairs += exact.T @ (exact * second)
    sums = [cubes, pairs, spread]
    flat = sum_over_ranks(world, torch.cat([part.flatten() for part in sums]))
    parts = torch.split(flat, [part.numel() for part in sums])
    cubes, pairs, spread = (part.reshape(like.shape) for part, like in zip(parts, sums, strict=True))
    rows, (weights, diagonal) = spread[:, :k], spread[:, k:].T
    third = cubes - _symmetric(_triples(rows, matrix))
    third = (third + 2 * _triples(weights[:, None] * matrix, matrix)) / whitening.documents
    mean = matrix.T @ whitening.mean
    second = (pairs - matrix.T @ (diagonal[:, None] * matrix)) / whitening.documents
    third -= alpha0 / (alpha0 + 2) * _symmetric(torch.einsum("ab,c->abc", second, mean))
    third += 2 * alpha0**2 / ((alpha0 + 1) * (alpha0 + 2)) * torch.einsum("a,b,c->abc", mean, mean, mean)
    return from_rank_0(world, third * alpha0 * (alpha0 + 1) * (alpha0 + 2) / 2)


def _second(documents: Documents, basis: Tensor, alpha0: float, world: World) -> tuple[Tensor, Tensor, float, int, int]:
    """The scaled second moment times a basis (V x k), E1 (V), and three numbers.

    They are the sum of 1 / (m (m - 1)) over documents, and how many of these are long enough and too short.
    """
    terms, k = basis.shape
    product, mean, diagonal = basis.new_zeros(terms, k), basis.new_zeros(terms), basis.new_zeros(terms)
    long, short, pairs_sum = 0, 0, 0.0
    narrow = basis.float()
    for corpus in (batch.to(basis.device) for batch in documents()):
        length = corpus.lengths
        pairs, singles = _reciprocal(length * (length - 1), length), _reciprocal(length, length)
        points = times(corpus, narrow) * pairs.float()[:, None]
        weights = torch.stack([singles, pairs], 1).float()
        sums = transposed_times(corpus, torch.cat([points, weights], 1))
        product += sums[:, :k]
        mean += sums[:, k]
        diagonal += sums[:, k + 1]
        pairs_sum += float(pairs.sum())
        long_enough = int((length >= LEAST_TOKENS).sum())
        long, short = long + long_enough, short + len(corpus) - long_enough
    counts = basis.new_tensor([pairs_sum, long, short])
    flat = sum_over_ranks(world, torch.cat([product.flatten(), mean, diagonal, counts]))
    pairs_sum, long, short = float(flat[-3]), int(flat[-2]), int(flat[-1])
    product, (mean, diagonal) = flat[: terms * k].reshape(terms, k), flat[terms * k : -3].reshape(2, terms)
    mean = mean / max(1, long)
    product = (product - diagonal[:, None] * basis) / max(1, long)
    product -= alpha0 / (alpha0 + 1) * torch.outer(mean, mean @ basis)
    return product * alpha0 * (alpha0 + 1), mean, pairs_sum, long, short


def _reciprocal(number: Tensor, length: Tensor) -> Tensor:
    """1 / number for documents that are long enough, 0 for the others: D."""
    return torch.where(length >= LEAST_TOKENS, 1 / number.clamp_min(1e-30), 0.0)


def _symmetric(tensor: Tensor) -> Tensor:
    """The sum of a tensor (k x k x k) over the cyclic permutations of its modes.

    Where it is symmetric in two modes, this is the sum over the three places of the other mode.
    """
    return tensor + tensor.permute(2, 0, 1) + tensor.permute(1, 2, 0)


def _triples(first: Tensor, matrix: Tensor) -> Tensor:
    """The sum over t of first_ta matrix_tb matrix_tc: k x k x k, with k² numbers of some rows at a time, not of all."""
    k = matrix.shape[1]
    total = matrix.new_zeros(k, k * k)
    for rows, part in zip(
        *(torch.split(tensor, max(1, WORK_NUMBERS // k**2)) for tensor in (first, matrix)), strict=True
    ):
        total += rows.T @ (part[:, :, None] * part[:, None]).flatten(1)
    return total.reshape(k, k, k)
