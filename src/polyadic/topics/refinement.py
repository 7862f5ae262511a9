"""Topics refined by the documents themselves: expectation-maximisation of smoothed topics, from any start.

Shapes: documents D, terms V, topics K. With N the expected counts, a token w of document d belongs to topic k with a
probability in proportion to (N_kw + eta) / (N_k + V eta) · (N_dk + alpha_k). This is the zero-order collapsed
variational update (Asuncion, Welling, Smyth and Teh, UAI 2009), but with the token's own share left in the counts, so
that nothing must be kept for each token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor.arguments import checked
from polyadic.tensor.kernels.padding import padded
from polyadic.tensor.kernels.threads import in_parallel, threads
from polyadic.topics import kernels
from polyadic.topics.collectives import sum_over_ranks
from polyadic.topics.corpus import BATCH_NONZEROS, Corpus, as_corpus
from polyadic.topics.products import document_edges
from polyadic.topics.spectral import Topics

ETA = 0.05
"""Smoothing of the topics: tokens of every term that are added to each topic's own."""
PASSES = 3
"""Updates of a document's counts of topics per iteration."""
FOLD_IN_PASSES = 100
"""Most updates of a document whose topics are fixed."""
STILL_SHARE = 1e-4
"""Its updates end when its counts move by less than this share of its tokens."""
LEAST_ALPHA = 1e-4
"""The least value of a Dirichlet's parameter."""
TRIAL_ITERATIONS = 15
"""Iterations after which the likelihood tells which of several starts will end best: docs/decisions.md."""
ALPHA_ITERATIONS = 10
"""Iterations between two estimates of the Dirichlet's parameters."""
ALPHA_STEPS = 5
"""Steps of such an estimate; more would not pay, since it is made from counts that still change."""


@dataclass
class Refined:
    """The state of a refinement, which changes it in place.

    words (K x V): expected counts of words over all ranks; documents (D x K): those of topics in this rank's documents;
    alpha (K): the Dirichlet's parameters; iteration: how many are done; log_likelihood: of all ranks' tokens, in nats,
    under the topics that the last iteration began with.
    """

    words: Tensor
    documents: Tensor
    alpha: Tensor
    iteration: int = 0
    log_likelihood: float = float("-inf")

    @property
    def topics(self) -> Topics:
        """The topics and the Dirichlet's parameters, on the CPU."""
        return Topics(smoothed(self.words).double().cpu(), self.alpha.double().cpu())


def smoothed(words: Tensor) -> Tensor:
    """Topics from expected counts of words (K x V): rows that sum to 1, (N_kw + eta) / (N_k + V eta)."""
    return (words + ETA) / (words.sum(1, keepdim=True) + words.shape[1] * ETA)


@checked(least={"iterations": 0})
def refine(
    corpus: Corpus,
    start: Topics,
    *,
    iterations: int,
    world: World | None = None,
    tokens_of_start: float = 0.5,
    progress: Refined | None = None,
    after_iteration: Callable[[Refined], bool] = lambda _: True,
) -> Refined:
    """The refinement after so many iterations, or after the one at which `after_iteration` returned False.

    corpus: this rank's documents; start: K topics over V terms; progress: a refinement to go on with, in place of a
    start. The counts of a start are those of its topics mixed with the corpus's frequencies of words, so that no topic
    excludes a word; tokens_of_start is the share of the frequencies. A collective of all ranks.
    """
    corpus = as_corpus(corpus)
    world = world or World.alone()
    state = progress or _beginning(corpus, start, tokens_of_start, world)
    while state.iteration < iterations:
        beta, alpha = smoothed(state.words).float(), state.alpha.float()
        state.documents, words, likelihood = expect(corpus, beta, alpha, state.documents)
        flat = sum_over_ranks(world, torch.cat([words.flatten().double(), likelihood.reshape(1)]))
        state.words, state.log_likelihood = flat[:-1].reshape(words.shape).float(), float(flat[-1])
        state.iteration += 1
        if state.iteration % ALPHA_ITERATIONS == 0:
            state.alpha = dirichlet(state.documents, state.alpha, world)
        if not after_iteration(state):
            break
    return state


@checked(least={"iterations": 0})
def best_start(corpus: Corpus, starts: Iterable[Topics], *, iterations: int, world: World | None = None) -> Refined:
    """The start under which the documents are likeliest after a trial, refined so far.

    The trial is of TRIAL_ITERATIONS, or of `iterations` where that is less. A single start is not tried. A collective
    of all ranks.
    """
    corpus = as_corpus(corpus)
    candidates = list(starts)
    trial = min(TRIAL_ITERATIONS, iterations) if len(candidates) > 1 else 0
    tried = [refine(corpus, start, iterations=trial, world=world) for start in candidates]
    return max(tried, key=lambda state: state.log_likelihood)


@checked()
def fold_in(corpus: Corpus, topics: Topics, *, passes: int = FOLD_IN_PASSES) -> Tensor:
    """The expected counts of fixed topics in documents: D x K, float32. Those of a document depend on it alone.

    passes: the most updates; a document's updates end when its counts move by less than STILL_SHARE of its tokens.
    """
    corpus = as_corpus(corpus)
    beta, alpha = topics.beta.float(), topics.alpha.float()
    even = torch.ones(len(corpus), len(alpha)) / len(alpha) * corpus.lengths.float()[:, None]
    return expect(corpus, beta, alpha, even, passes=passes, words=False, still=STILL_SHARE**2)[0]


@checked()
def mixtures(corpus: Corpus, topics: Topics, *, passes: int = FOLD_IN_PASSES) -> Tensor:
    """The topic mixtures of documents: D x K, rows that sum to 1, float64. Empty ones have the Dirichlet's mean."""
    corpus = as_corpus(corpus)
    counts = fold_in(corpus, topics, passes=passes).double() + topics.alpha
    return counts / counts.sum(1, keepdim=True)


def dirichlet(documents: Tensor, alpha: Tensor, world: World) -> Tensor:
    """The Dirichlet's parameters (K, float64) from the expected counts of all ranks' documents (D x K).

    alpha: where to start. A few steps of the fixed point of Minka, "Estimating a Dirichlet distribution", 2000.
    A collective of all ranks.
    """
    counts, lengths = documents.double(), documents.sum(1).double()
    for _ in range(ALPHA_STEPS):
        own = (torch.digamma(counts + alpha) - torch.digamma(alpha)).sum(0)
        whole = (torch.digamma(lengths + alpha.sum()) - torch.digamma(alpha.sum())).sum()
        sums = sum_over_ranks(world, torch.cat([own, whole.reshape(1)]))
        alpha = (alpha * sums[:-1] / sums[-1].clamp_min(1e-30)).clamp_min(LEAST_ALPHA)
    return alpha


def expect(
    corpus: Corpus,
    beta: Tensor,
    alpha: Tensor,
    documents: Tensor,
    *,
    passes: int = PASSES,
    words: bool = True,
    still: float = -1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """The expected counts of documents (D x K) and of words (K x V), float32, and the tokens' log-likelihood in nats.

    beta: topics, K x V; alpha: the Dirichlet's parameters, K; documents: their counts so far, D x K; all float32.
    passes: updates of each document; words: whether to count words in the last of them. A document's updates end when
    its counts move by less than sqrt(still) of its tokens; words must not be counted then.
    """
    if documents.device.type != "cpu":
        return expect_on_device(corpus, beta, alpha, documents, passes=passes, words=words)
    topics, width = len(alpha), padded(len(alpha), torch.float32)
    columns = torch.zeros(beta.shape[1], width)
    columns[:, :topics] = beta.T
    theta, prior = torch.zeros(len(corpus), width), torch.zeros(1, width)
    theta[:, :topics], prior[0, :topics] = documents, alpha
    edges = document_edges(corpus, parts=threads())  # As many sums as threads, always added up in the same order.
    parts = max(1, len(edges) - 1)
    sums, room = torch.zeros(parts, beta.shape[1] if words else 0, width), torch.zeros(parts, 3, width)
    likelihood = torch.zeros(parts, 1, dtype=torch.float64)
    kernel, places = kernels.expected_counts(min(width, 16)), {begin: place for place, begin in enumerate(edges)}
    arrays = [part.numpy() for part in (corpus.offsets, corpus.words, corpus.counts, columns, theta, prior)]

    def update(begin: int, end: int) -> None:
        own = [part[places[begin]].numpy() for part in (sums, likelihood, room)]
        kernel(*arrays, *own, passes, still, words, begin, end)

    in_parallel(update, edges)
    # The kernel's probabilities are in units of the sum of a document's weights: its tokens and the sum of alpha.
    before = documents.sum(1).double() if passes == 1 else corpus.lengths
    weights = (corpus.lengths * (before + alpha.sum()).log()).sum()
    return theta[:, :topics], sums.sum(0)[:, :topics].T, likelihood.sum() - weights


def expect_on_device(
    corpus: Corpus, beta: Tensor, alpha: Tensor, documents: Tensor, *, passes: int = PASSES, words: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """The same as `expect`, by torch's own operations on the device of `documents`, a batch of documents at a time."""
    device, columns, updated, first = documents.device, beta.T.contiguous(), [documents[:0]], 0
    sums, likelihood = torch.zeros_like(columns), torch.zeros((), dtype=torch.float64, device=device)
    for part in (batch.to(device) for batch in corpus.batches(max(1, BATCH_NONZEROS // len(alpha)))):
        theta, chosen = documents[first : first + len(part)], columns[part.words]
        for _ in range(passes):
            weights = theta + alpha
            shares = chosen * weights[part.document]
            chance = shares.sum(1)
            shares *= torch.where(chance > 0, part.counts / chance, 0.0)[:, None]
            theta = torch.zeros_like(theta).index_add_(0, part.document, shares)
        updated.append(theta)
        first += len(part)
        if words:
            sums.index_add_(0, part.words, shares)
            relative = torch.where(chance > 0, chance / weights.sum(1)[part.document], 1.0)
            likelihood += (part.counts.double() * relative.double().log()).sum()
    return torch.cat(updated), sums.T, likelihood


def _beginning(corpus: Corpus, start: Topics, mixed: float, world: World) -> Refined:
    """The counts of a start, `mixed` of them from the frequencies of words in all ranks' documents."""
    counts = sum_over_ranks(world, corpus.frequencies)
    shares = start.alpha / start.alpha.sum()
    words = (1 - mixed) * start.beta * counts.sum() * shares[:, None] + mixed * counts * shares[:, None]
    documents = corpus.lengths.float()[:, None] * shares.float()
    alpha = start.alpha.double().clamp_min(LEAST_ALPHA)
    return Refined(words.float().to(world.device), documents.to(world.device), alpha.to(world.device))
