"""Topics refined by the documents themselves: expectation-maximisation of smoothed topics, from any start.

Shapes: documents D, terms V, topics K. With N the expected counts, a token w of document d belongs to topic k with a
probability in proportion to (N_kw + eta) / (N_k + V eta) · (N_dk + alpha_k), where N_dk counts the other tokens of the
document. This is the zero-order collapsed variational update (Asuncion, Welling, Smyth and Teh, UAI 2009), but that the
token's own share stays in N_kw, and that it is found anew in each iteration, by a first pass with the token in N_dk, so
that nothing must be kept for each token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor.arguments import checked
from polyadic.tensor.kernels.padding import padded
from polyadic.tensor.kernels.threads import in_parallel, threads
from polyadic.topics import kernels
from polyadic.topics.coherence import coherence
from polyadic.topics.collectives import sum_over_ranks
from polyadic.topics.corpus import BATCH_NONZEROS, Corpus, as_corpus
from polyadic.topics.products import document_edges
from polyadic.topics.spectral import Topics

ETA = 0.05
"""Smoothing of the topics: tokens of every term that are added to each topic's own."""
PASSES = 3
"""Updates of a document's counts of topics per iteration."""
LEAST_ALPHA = 1e-4
"""The least value of a Dirichlet's parameter."""
TRIAL_ITERATIONS = 15
"""Iterations after which the likelihood tells which of several starts will end best: docs/decisions.md."""
TIED_SHARE = 1e-3
"""The share of the log-likelihood by which starts may differ after the trial and end in either order."""
COHERENT_TOKENS = 20
"""Tokens of a document in which enough words meet to tell what belongs together."""
ALPHA_ITERATIONS = 10
"""Iterations between two estimates of the Dirichlet's parameters."""
ALPHA_STEPS, STILL_ALPHA = 5, 0.01
"""Most steps of such an estimate, and the share by which the last one moves it: its counts still change themselves."""


class Expected(NamedTuple):
    """Expected counts of documents (D x K) and words (K x V), float32; the tokens' log-likelihood (float64, in nats).

    absent: the probability that no token of a document is of a topic, D x K, or no rows where it was not asked for.
    """

    documents: Tensor
    words: Tensor
    log_likelihood: Tensor
    absent: Tensor


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
    corpus = as_corpus(corpus, start.terms)
    world = world or World.alone()
    state = progress or _beginning(corpus, start, tokens_of_start, world)
    while state.iteration < iterations:
        beta, alpha = smoothed(state.words).float(), state.alpha.float()
        state.iteration += 1
        estimates = state.iteration % ALPHA_ITERATIONS == 0
        new = expect(corpus, beta, alpha, state.documents, absent=estimates)
        flat = sum_over_ranks(world, torch.cat([new.words.flatten().double(), new.log_likelihood.reshape(1)]))
        state.words, state.log_likelihood = flat[:-1].reshape(new.words.shape).float(), float(flat[-1])
        state.documents = new.documents
        if estimates:
            state.alpha = dirichlet(new.documents, new.absent, state.alpha, world)
        if not after_iteration(state):
            break
    return state


@checked(least={"iterations": 0})
def best_start(corpus: Corpus, starts: Iterable[Topics], *, iterations: int, world: World | None = None) -> Refined:
    """The start under which the documents are likeliest after a trial, refined so far.

    The trial is of TRIAL_ITERATIONS, or of `iterations` where that is less. Of starts whose likelihoods differ by less
    than TIED_SHARE, the one with the most coherent topics (NPMI) is taken where documents have COHERENT_TOKENS at the
    mean: in shorter ones too few words meet. A single start is not tried. A collective of all ranks.
    """
    corpus, candidates = as_corpus(corpus), list(starts)
    trial = min(TRIAL_ITERATIONS, iterations)
    if len(candidates) == 1 or not trial:
        return refine(corpus, candidates[0], iterations=0, world=world)
    tried = [refine(corpus, start, iterations=trial, world=world) for start in candidates]
    likeliest = max(state.log_likelihood for state in tried)
    tied = [state for state in tried if state.log_likelihood >= likeliest - TIED_SHARE * abs(likeliest)]
    world = world or World.alone()
    tokens, documents = sum_over_ranks(world, torch.tensor([float(corpus.lengths.sum()), len(corpus)])).tolist()
    if len(tied) == 1 or tokens < COHERENT_TOKENS * documents:
        return max(tried, key=lambda state: state.log_likelihood)
    return max(tied, key=lambda state: float(coherence(state.topics, corpus, world)[0].mean()))


def dirichlet(documents: Tensor, absent: Tensor, alpha: Tensor, world: World) -> Tensor:
    """The Dirichlet's parameters (K, float64) from the expected counts of all ranks' documents (D x K).

    absent (D x K): the probability that a count is 0; alpha: where to start. A few steps of the fixed point of Minka,
    "Estimating a Dirichlet distribution", 2000. It sums digamma(n + alpha) - digamma(alpha), which is 0 at n = 0 and
    steep beside it, over whole numbers n that are not known: counts of 0 are taken with their probability, the others
    as their mean, as by Teh, Newman and Welling, NIPS 2006. A collective of all ranks.
    """
    counts, lengths = documents.double(), documents.sum(1).double()
    present = 1 - absent.double()
    counts = counts / present.clamp_min(1e-12)
    for _ in range(ALPHA_STEPS):
        own = (present * (torch.digamma(counts + alpha) - torch.digamma(alpha))).sum(0)
        whole = (torch.digamma(lengths + alpha.sum()) - torch.digamma(alpha.sum())).sum()
        sums = sum_over_ranks(world, torch.cat([own, whole.reshape(1)]))
        factors = sums[:-1] / sums[-1].clamp_min(1e-30)
        alpha = (alpha * factors).clamp_min(LEAST_ALPHA)
        if float((factors - 1).abs().max()) < STILL_ALPHA:
            break
    return alpha


def expect(
    corpus: Corpus, beta: Tensor, alpha: Tensor, documents: Tensor, *, passes: int = PASSES, absent: bool = False
) -> Expected:
    """What is expected of the tokens of documents, under fixed topics.

    beta: topics, K x V; alpha: the Dirichlet's parameters, K; documents: their counts so far, D x K; all float32.
    passes: updates of each document, of which the last is counted; absent: whether to say which topics are absent.
    """
    if documents.device.type != "cpu":
        return expect_on_device(corpus, beta, alpha, documents, passes=passes, absent=absent)
    topics, width = len(alpha), padded(len(alpha), torch.float32)
    columns = torch.zeros(beta.shape[1], width)
    columns[:, :topics] = beta.T
    theta, prior = torch.zeros(len(corpus), width), torch.zeros(1, width)
    theta[:, :topics], prior[0, :topics] = documents, alpha
    edges = document_edges(corpus, parts=threads())  # As many sums as threads, always added up in the same order.
    parts, longest = max(1, len(edges) - 1), int(corpus.offsets.diff().max()) if len(corpus) else 0
    sums, room = torch.zeros(parts, beta.shape[1], width), torch.zeros(parts, 2 + longest, width)
    likelihood, none = torch.zeros(parts, 1, dtype=torch.float64), torch.zeros(len(corpus) if absent else 0, width)
    kernel, places = kernels.expected_counts(min(width, 16)), {begin: place for place, begin in enumerate(edges)}
    arrays = [part.numpy() for part in (corpus.offsets, corpus.words, corpus.counts, columns, theta, prior)]

    def update(begin: int, end: int) -> None:
        counted, chances, space = (part[places[begin]].numpy() for part in (sums, likelihood, room))
        kernel(*arrays, counted, chances, none.numpy(), space, passes, begin, end)

    in_parallel(update, edges)
    return Expected(theta[:, :topics], sums.sum(0)[:, :topics].T, likelihood.sum(), none[:, :topics])


def expect_on_device(
    corpus: Corpus, beta: Tensor, alpha: Tensor, documents: Tensor, *, passes: int = PASSES, absent: bool = False
) -> Expected:
    """The same as `expect`, by torch's own operations on the device of `documents`, a batch of documents at a time."""
    columns, first = beta.T.contiguous(), 0
    updated, none = [documents[:0]], [documents[:0]]
    sums, likelihood = torch.zeros_like(columns), torch.zeros((), dtype=torch.float64, device=documents.device)
    for part in (batch.to(documents.device) for batch in corpus.batches(max(1, BATCH_NONZEROS // len(alpha)))):
        theta, chosen, counts = documents[first : first + len(part)], columns[part.words], part.counts[:, None]
        shares, itself = torch.zeros_like(chosen), torch.zeros_like(counts)
        for _ in range(passes):
            weights = (theta + alpha)[part.document]
            products = chosen * torch.maximum(weights - itself * shares, alpha)
            chance, sizes = products.sum(1, keepdim=True), weights.sum(1, keepdim=True) - itself
            shares, itself = torch.where(chance > 0, products / chance, 0.0), counts.clamp_max(1.0)
            theta = torch.zeros_like(theta).index_add_(0, part.document, shares * counts)
        updated.append(theta)
        first += len(part)
        sums.index_add_(0, part.words, shares * counts)
        likelihood += (counts.double() * torch.where(chance > 0, chance / sizes, 1.0).double().log()).sum()
        if absent:
            logarithms = counts * torch.log1p(-shares.clamp_max(1 - 1e-7))
            none.append(torch.zeros_like(theta).index_add_(0, part.document, logarithms).exp())
    return Expected(torch.cat(updated), sums.T, likelihood, torch.cat(none))


def _beginning(corpus: Corpus, start: Topics, mixed: float, world: World) -> Refined:
    """The counts of a start, `mixed` of them from the frequencies of words in all ranks' documents."""
    counts = sum_over_ranks(world, corpus.frequencies)
    shares = start.alpha / start.alpha.sum()
    words = (1 - mixed) * start.beta * counts.sum() * shares[:, None] + mixed * counts * shares[:, None]
    documents = corpus.lengths.float()[:, None] * shares.float()
    alpha = start.alpha.double().clamp_min(LEAST_ALPHA)
    return Refined(words.float().to(world.device), documents.to(world.device), alpha.to(world.device))
