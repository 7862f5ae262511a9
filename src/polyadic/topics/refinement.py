"""Topics refined by the documents themselves: expectation-maximisation of smoothed topics, from any start.

Shapes: documents D, terms V, topics K. A token w of document d belongs to topic k with probability in proportion to
(N_kw + eta) / (N_k + V eta) · (N_dk + alpha_k), N the expected counts: the zero-order collapsed variational update with
the token's own share left in the counts, which needs no memory a token (Asuncion, Welling, Smyth and Teh, UAI 2009).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor.kernels.padding import padded
from polyadic.tensor.kernels.threads import in_parallel, threads
from polyadic.topics import kernels
from polyadic.topics.collectives import total
from polyadic.topics.corpus import AT_ONCE, Corpus
from polyadic.topics.products import document_edges
from polyadic.topics.spectral import Topics

ETA = 0.05
"""Smoothing of the topics: tokens of every term that each topic is thought to have had."""
PASSES = 3
"""Updates of a document's own topics an iteration."""
FOLD_IN, STILL = 100, 1e-4
"""Updates of a document whose topics are fixed, at most, and the share of its tokens that may still move."""
LEAST = 1e-4
"""A Dirichlet's parameter is no smaller than this."""
EVERY = 10
"""Iterations between two estimates of the Dirichlet's parameters."""
TRIAL = 15
"""Iterations after which the likelihood tells which of several starts ends best: docs/decisions.md."""
STEPS = 5
"""Steps of such an estimate: the counts that it is made from are no better."""


@dataclass
class Refined:
    """Where a refinement stands, changed in place by it: expected counts of words (K x V) and of documents (D x K)."""

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
    """Rows on the simplex from expected counts (K x V)."""
    return (words + ETA) / (words.sum(1, keepdim=True) + words.shape[1] * ETA)


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
    """Iterates over this rank's documents until `iterations` are done, or `after_iteration` returns False.

    The start's topics are mixed with the words of the corpus, so that no word is impossible in any of them.
    """
    world = world or World.alone()
    at = progress or _beginning(corpus, start, tokens_of_start, world)
    while at.iteration < iterations:
        beta, alpha = smoothed(at.words).float(), at.alpha.float()
        at.documents, words, likelihood = expect(corpus, beta, alpha, at.documents)
        flat = total(world, torch.cat([words.flatten().double(), likelihood.reshape(1)]))
        at.words, at.log_likelihood = flat[:-1].reshape(words.shape).float(), float(flat[-1])
        at.iteration += 1
        if at.iteration % EVERY == 0:
            at.alpha = dirichlet(at.documents, at.alpha, world)
        if not after_iteration(at):
            break
    return at


def best_start(corpus: Corpus, starts: Iterable[Topics], *, iterations: int, world: World | None = None) -> Refined:
    """The start whose documents are likeliest after TRIAL iterations (or `iterations`), so far refined.

    One that is alone is not tried.
    """
    begun = list(starts)
    trial = min(TRIAL, iterations) if len(begun) > 1 else 0
    tried = [refine(corpus, one, iterations=trial, world=world) for one in begun]
    return max(tried, key=lambda at: at.log_likelihood)


def fold_in(corpus: Corpus, topics: Topics, *, passes: int = FOLD_IN) -> Tensor:
    """Expected counts of the topics in documents, the topics fixed: D x K; no document sees another.

    Up to `passes` updates, fewer where a document's counts move by less than STILL of its tokens.
    """
    beta, alpha = topics.beta.float(), topics.alpha.float()
    even = torch.ones(len(corpus), len(alpha)) / len(alpha) * corpus.lengths.float()[:, None]
    return expect(corpus, beta, alpha, even, passes=passes, words=False, still=STILL**2)[0]


def mixtures(corpus: Corpus, topics: Topics, *, passes: int = FOLD_IN) -> Tensor:
    """The topic mixtures of documents, rows on the simplex: D x K. An empty document has the Dirichlet's mean."""
    counts = fold_in(corpus, topics, passes=passes).double() + topics.alpha
    return counts / counts.sum(1, keepdim=True)


def dirichlet(documents: Tensor, alpha: Tensor, world: World) -> Tensor:
    """The Dirichlet's parameters (K) from expected counts (D x K), some steps of Minka's fixed point (2000)."""
    counts, lengths = documents.double(), documents.sum(1).double()
    for _ in range(STEPS):
        own = (torch.digamma(counts + alpha) - torch.digamma(alpha)).sum(0)
        whole = (torch.digamma(lengths + alpha.sum()) - torch.digamma(alpha.sum())).sum()
        sums = total(world, torch.cat([own, whole.reshape(1)]))
        alpha = (alpha * sums[:-1] / sums[-1].clamp_min(1e-30)).clamp_min(LEAST)
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
    """Expected counts of documents (D x K) and words (K x V), float32, and the log-likelihood of the tokens.

    A document whose counts move by less than sqrt(still) of its tokens needs no more passes; words must not be counted
    then.
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

    def some(begin: int, end: int) -> None:
        own = [part[places[begin]].numpy() for part in (sums, likelihood, room)]
        kernel(*arrays, *own, passes, still, words, begin, end)

    in_parallel(some, edges)
    # A token's probability is over the weights of all topics, which add up to the document's own tokens and alpha.
    before = documents.sum(1).double() if passes == 1 else corpus.lengths
    weights = (corpus.lengths * (before + alpha.sum()).log()).sum()
    return theta[:, :topics], sums.sum(0)[:, :topics].T, likelihood.sum() - weights


def expect_on_device(
    corpus: Corpus, beta: Tensor, alpha: Tensor, documents: Tensor, *, passes: int = PASSES, words: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """The same as `expect` by torch's own operations, some documents on the device at a time: for a GPU."""
    device, columns, found, first = documents.device, beta.T.contiguous(), [documents[:0]], 0
    sums, likelihood = torch.zeros_like(columns), torch.zeros((), dtype=torch.float64, device=device)
    for part in (one.to(device) for one in corpus.batches(max(1, AT_ONCE // len(alpha)))):
        theta, chosen = documents[first : first + len(part)], columns[part.words]
        for _ in range(passes):
            weights = theta + alpha
            shares = chosen * weights[part.document]
            chance = shares.sum(1)
            shares *= torch.where(chance > 0, part.counts / chance, 0.0)[:, None]
            theta = torch.zeros_like(theta).index_add_(0, part.document, shares)
        found.append(theta)
        first += len(part)
        if words:
            sums.index_add_(0, part.words, shares)
            relative = torch.where(chance > 0, chance / weights.sum(1)[part.document], 1.0)
            likelihood += (part.counts.double() * relative.double().log()).sum()
    return torch.cat(found), sums.T, likelihood


def _beginning(corpus: Corpus, start: Topics, mixed: float, world: World) -> Refined:
    counts = total(world, corpus.frequencies)
    shares = start.alpha / start.alpha.sum()
    words = (1 - mixed) * start.beta * counts.sum() * shares[:, None] + mixed * counts * shares[:, None]
    documents = corpus.lengths.float()[:, None] * shares.float()
    alpha = start.alpha.double().clamp_min(LEAST)
    return Refined(words.float().to(world.device), documents.to(world.device), alpha.to(world.device))
