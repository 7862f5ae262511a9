"""Topics from the moments of a corpus: whitening, CP decomposition of the third moment, and back to words.

Shapes: topics K, terms V, whitened dimensions k <= K (fewer than K where topics are linearly dependent).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.decomposition.cp.als import als
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.start import Init
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.arguments import checked
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.topics.collectives import from_rank_0
from polyadic.topics.corpus import Corpus, as_corpus
from polyadic.topics.moments import Documents, Whitening, whiten, whitened_third

GAP_FACTOR = 20.0
"""The rank of the second moment ends where its eigenvalues drop by this factor to what chance makes."""
NOISE_SHARE = 1e-6
"""Eigenvalues under this share of the square of the mean, which was subtracted, are round-off."""
COMMON_SHARE = 0.1
"""A word that is more of all words than this is named where the moments do not tell enough topics."""
SAME_ERROR = 1e-3
"""Two starts whose relative errors differ by less have found the same optimum."""
SMALL_ERROR = 0.01
"""A relative error under which no other start is tried."""
NO_COUNTS = ". The documents hold numbers that are not whole, as tf-idf makes them: give how often each term occurs"


@dataclass(frozen=True, eq=False, repr=False)
class Topics:
    """Topics beta (K x V, rows that sum to 1) and the Dirichlet's parameters alpha (K, falling), float64."""

    beta: Tensor
    alpha: Tensor

    def __repr__(self) -> str:
        return (
            f"<{len(self.beta)} topics over {self.beta.shape[1]:,} terms, alpha of sum {float(self.alpha.sum()):.4g}>"
        )

    @property
    def terms(self) -> int:
        """V."""
        return self.beta.shape[1]

    @staticmethod
    def empty(terms: int) -> Topics:
        """No topics, over V terms."""
        return Topics(torch.zeros(0, terms, dtype=torch.float64), torch.zeros(0, dtype=torch.float64))


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What the moments told.

    eigenvalues: of the second moment, falling; chance: the largest that documents without topics would have; rank: how
    many of them were taken; documents and short: how many documents counted, and how many had too few tokens;
    relative_error: of the decomposition of the third moment.
    """

    eigenvalues: Tensor
    chance: float
    rank: int
    documents: int
    short: int
    relative_error: float

    @property
    def clear(self) -> int:
        """How many eigenvalues are larger than chance would make them."""
        return int((self.eigenvalues > self.chance).sum())


@checked(least={"power_steps": 0})
def spectral_lda(
    documents: Documents | Corpus,
    num_topics: int,
    *,
    terms: int | None = None,
    alpha0: float = 1.0,
    max_restarts: int = 10,
    max_iterations: int = 1000,
    tol: float = 1e-8,
    power_steps: int = 1,
    start_only: bool = False,
    seed: int = 0,
    world: World | None = None,
    after_sweep: Callable[[int, int, float], None] = lambda start, sweep, error: None,
) -> tuple[Topics, Spectrum]:
    """Topics by the moments of order one, two and three: Anandkumar, Foster, Hsu, Kakade and Liu, NIPS 2012.

    documents: this rank's corpus or matrix of counts, D x V, or a function whose every call gives a pass over its share
    of the corpus. num_topics: K; terms: V, which a function must be given with, and a corpus tells; alpha0: the sum of
    the Dirichlet's parameters; max_iterations and tol: of each decomposition, which stops when its relative error falls
    by less than `tol` in a sweep; start_only: the topics are where a refinement starts, so that those which the moments
    do not tell are drawn at random and not refused; after_sweep: sees the number of a start of the decomposition, from
    0, that of its sweep, and the relative error. A collective of all ranks.

    The whitened third moment is decomposed by alternating least squares, from the eigenvectors of a random mix of its
    slices and from random starts: `max_restarts` in all, fewer where two starts reach the same error or one of them a
    small error. The orthogonal power method of the paper would fail where topics are linearly dependent. A component
    λ v∘v∘v gives the topic b ∝ U S^1/2 v, scaled to sum to 1 and projected on the simplex, and its parameter
    λ / |W^T b|³, all of which are scaled to sum to alpha0.

    Raises UserError where no document has three tokens, and where the second moment is of too low a rank for so many
    topics.
    """
    world = world or World.alone()
    if not callable(documents):
        corpus = as_corpus(documents, terms)
        documents, terms = corpus.batches, corpus.terms
    if terms is None:
        raise UserError("terms is None: a function that gives the documents does not tell how many terms they count")
    whitening = whiten(documents, terms, min(num_topics, terms), alpha0, world, power_steps=power_steps, seed=seed)
    if not whitening.documents:
        raise UserError(
            f"all {whitening.short} documents have fewer than 3 words: topics are found from words that occur together"
            + _if_no_counts(documents, world)
        )
    floor = NOISE_SHARE * alpha0 * (alpha0 + 1) * float(whitening.mean @ whitening.mean)
    rank = numerical_rank(whitening.values, floor, whitening.chance)
    told = min(num_topics, most_components(rank))
    if told < num_topics and start_only:
        rank = int((whitening.values > floor).sum())
        told = min(num_topics, most_components(rank))
    elif told < num_topics:
        raise UserError(_too_many(num_topics, told, rank, alpha0, whitening.mean) + _if_no_counts(documents, world))
    kept, topics, relative_error = whitening.leading(rank, "cpu"), Topics.empty(terms), 0.0
    if told:
        third = whitened_third(documents, whitening.leading(rank, world.device), alpha0, world).cpu()
        model = _decompose(third, told, max_restarts, max_iterations, tol, seed, world, after_sweep)
        topics, relative_error = _topics(model, kept, alpha0), model.relative_error
    if told < num_topics:
        topics = _with_random(topics, num_topics, whitening.mean.cpu(), alpha0, seed)
    values = whitening.values.cpu()
    return topics, Spectrum(values, whitening.chance, rank, kept.documents, kept.short, relative_error)


def numerical_rank(values: Tensor, floor: float = 0.0, chance: float = float("inf")) -> int:
    """How many eigenvalues (k, falling) come before they are `floor` or less, or drop by GAP_FACTOR to `chance`."""
    for number, value in enumerate(values.tolist()):
        if value <= floor or (number and value <= chance and value * GAP_FACTOR < float(values[number - 1])):
            return number
    return len(values)


def most_components(rank: int) -> int:
    """How many components a third moment of this rank may have for its decomposition to be unique.

    By Kruskal's condition 2 K + 2 <= 3 rank, where K exceeds the rank: Linear Algebra and its Applications 1977.
    """
    return max(rank, (3 * rank - 2) // 2)


def _too_many(num_topics: int, most: int, rank: int, alpha0: float, mean: Tensor) -> str:
    """What to say where the moments tell fewer topics than are asked for; mean: E1, V."""
    fewer = f"Set num_topics to {most} or less" if most else "Lower alpha0"
    term, share = int(mean.argmax()), float(mean.max())
    common = (
        f"leave out words that are everywhere (term {term} is {share:.0%} of all), " if share > COMMON_SHARE else ""
    )
    return (
        f"num_topics is {num_topics}, but the second moment of the corpus carries {most} at most: {rank} of its "
        f"eigenvalues (with alpha0={alpha0:g}) are more than chance or round-off. {fewer}, {common}raise alpha0 where "
        "documents mix many topics, or let a refinement go on from here (refine_iterations of a job, start_only=True "
        "and refine() in Python)"
    )


def _if_no_counts(documents: Documents, world: World) -> str:
    """What else to say where the documents hold weights: a collective of all ranks."""
    return NO_COUNTS if world.any(any(part.weighted for part in documents())) else ""


def _with_random(topics: Topics, number: int, mean: Tensor, alpha0: float, seed: int) -> Topics:
    """The topics and as many random ones as are missing, all with a fair share of alpha0; mean: E1, V."""
    missing = number - len(topics.alpha)
    random = torch.Generator().manual_seed(seed)
    drawn = mean * -torch.rand(missing, len(mean), generator=random, dtype=torch.float64).clamp_min(1e-12).log()
    beta = torch.cat([topics.beta, drawn / drawn.sum(1, keepdim=True)])
    alpha = torch.cat([topics.alpha * len(topics.alpha) / number, torch.full((missing,), alpha0 / number).double()])
    return Topics(beta, alpha)


def simplex(rows: Tensor) -> Tensor:
    """The nearest points to rows (K x V) on the simplex: K x V. Duchi, Shalev-Shwartz, Singer, Chandra, ICML 2008."""
    falling = rows.sort(1, descending=True).values
    ahead = (falling.cumsum(1) - 1) / torch.arange(1, rows.shape[1] + 1, dtype=rows.dtype, device=rows.device)
    last = (falling > ahead).sum(1, keepdim=True) - 1
    return (rows - ahead.gather(1, last)).clamp_min(0)


def _decompose(
    third: Tensor,
    topics: int,
    restarts: int,
    iterations: int,
    tol: float,
    seed: int,
    world: World,
    after_sweep: Callable[[int, int, float], None],
) -> CPTensor:
    """The best CP model of the whitened third moment (k x k x k).

    Every rank decomposes it by itself; all take rank 0's model, as GPUs and CPUs may round differently.
    """
    best: CPTensor | None = None
    for restart in range(restarts):
        start: Init = _slices(third, topics, seed) if not restart and topics <= len(third) else "random"

        def tell(state: Progress, restart: int = restart) -> bool:
            after_sweep(restart, state.iteration, state.relative_error)
            return True

        model = als(
            Data.of(third),
            topics,
            init=start,
            max_iterations=iterations,
            stop_tol=tol,
            seed=seed + restart,
            after_sweep=tell,
        )
        same_again = best is not None and abs(model.relative_error - best.relative_error) < SAME_ERROR
        if best is None or model.relative_error < best.relative_error:
            best = model
        if same_again or best.relative_error < SMALL_ERROR:
            break
    assert best is not None
    factors = [from_rank_0(world, factor) for factor in best.factors]
    return CPTensor(from_rank_0(world, best.weights), factors, best.relative_error)


def _slices(third: Tensor, topics: int, seed: int) -> CPTensor:
    """A start from the eigenvectors of a random mix of the moment's slices.

    They are the components themselves, where these are orthogonal and the noise is small.
    """
    mix = torch.randn(len(third), generator=torch.Generator().manual_seed(seed), dtype=third.dtype).to(third.device)
    values, vectors = torch.linalg.eigh(torch.einsum("abc,c->ab", third, mix))
    vectors = vectors[:, values.abs().argsort(descending=True)[:topics]]
    weights = torch.einsum("abc,ar,br,cr->r", third, vectors, vectors, vectors)
    return CPTensor(weights, [vectors.clone() for _ in range(3)], float("inf"))


def _topics(model: CPTensor, whitening: Whitening, alpha0: float) -> Topics:
    """Topics from the components.

    The three factors are nearly equal but for signs. The first is taken, with the signs that it shares with the others.
    """
    first, second, third = model.factors
    signs = ((first * second).sum(0) * (first * third).sum(0)).sign() * model.weights.sign()
    vectors, weights = first * signs, model.weights.abs()
    words = (whitening.basis * whitening.values.sqrt()) @ vectors
    sums = words.sum(0)
    beta = simplex((words / torch.where(sums.abs() > 1e-12, sums, 1.0)).T)
    lengths = (beta @ whitening.matrix).norm(dim=1)
    shares = weights / lengths.clamp_min(1e-30) ** 3
    order = shares.argsort(descending=True)
    return Topics(beta[order], (alpha0 * shares / shares.sum())[order])
