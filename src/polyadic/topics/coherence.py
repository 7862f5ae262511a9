"""How good topics are: the likelihood of held-out halves of documents, and how often topics' top words meet.

Shapes: topics K, terms V, documents D.
"""

from __future__ import annotations

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor.arguments import checked
from polyadic.topics.collectives import sum_over_ranks
from polyadic.topics.corpus import Corpus, as_corpus
from polyadic.topics.mixtures import mixtures
from polyadic.topics.spectral import Topics

WORK_NUMBERS = 2**22
"""Numbers of work memory, about."""
TOKENS_BY_CHANCE = 1000
"""Tokens of one word in a document that are dealt to its halves by chance; of what is more, each half has as many."""


def halves(corpus: Corpus, seed: int = 0) -> tuple[Corpus, Corpus]:
    """Two corpora of D documents, which have the tokens of each document in two random halves.

    Of an odd number of tokens, the second half has one more. The halves depend on the document and the seed alone, not
    on the rank that has it nor on the other documents. Counts are rounded to whole tokens.
    """
    counts = corpus.counts.round().long()
    alike = (counts - TOKENS_BY_CHANCE).clamp_min(0) // 2
    document_seeds = _mixed(corpus.words * (2**20 + 7) + counts + seed)
    document_seeds = torch.zeros(len(corpus), dtype=torch.int64).index_add_(0, corpus.document, document_seeds)
    by_chance = counts - 2 * alike
    document, word = (torch.repeat_interleave(column, by_chance) for column in (corpus.document, corpus.words))
    lengths = torch.bincount(document, minlength=len(corpus))
    place = torch.arange(len(word)) - (lengths.cumsum(0) - lengths)[document]
    shuffled = torch.argsort(_mixed(document_seeds[document] + _mixed(place + 1)))
    order = shuffled[torch.argsort(document[shuffled], stable=True)]
    word = word[order]  # Only tokens of the same document have changed places.
    in_first = place < lengths[document] // 2

    def half(tokens: Tensor) -> Corpus:
        many = alike > 0
        documents = torch.cat([document[tokens], corpus.document[many]])
        words = torch.cat([word[tokens], corpus.words[many]])
        numbers = torch.cat([torch.ones(int(tokens.sum())), alike[many].float()])
        return Corpus.of_places(documents, words, numbers, len(corpus), corpus.terms)

    return half(in_first), half(~in_first)


def _mixed(number: Tensor) -> Tensor:
    """Numbers under 2^62 that look random, another for each number.

    They are made by multiplications and shifts, as in SplitMix (Steele, Lea and Flood, OOPSLA 2014).
    """
    for odd in (0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9):
        number = (number * odd) & (2**62 - 1)
        number = number ^ (number >> 31)
    return number


@checked()
def per_word_log_likelihood(topics: Topics, corpus: Corpus, world: World | None = None, seed: int = 0) -> float:
    """The mean log-likelihood, in nats per token, of the second halves of all ranks' documents given the first halves.

    This is document completion: Wallach, Murray, Salakhutdinov and Mimno, ICML 2009, section 5.1. NaN where no document
    has a token in its second half. A collective of all ranks.
    """
    corpus, world = as_corpus(corpus, topics.terms), world or World.alone()
    sums, columns = torch.zeros(2, dtype=torch.float64), topics.beta.T.contiguous()
    for part in corpus.batches(max(1, WORK_NUMBERS // max(1, len(topics.alpha)))):
        seen, scored = halves(part, seed)
        chance = (mixtures(seen, topics)[scored.document] * columns[scored.words]).sum(1)
        sums[0] += (scored.counts.double() * chance.clamp_min(1e-300).log()).sum()
        sums[1] += scored.counts.sum()
    likelihood, tokens = sum_over_ranks(world, sums).tolist()
    return float(likelihood / tokens) if tokens else float("nan")


@checked()
def top_words(topics: Topics, count: int) -> Tensor:
    """The most probable words of each topic, the most probable first: K x min(count, V), integers from 0."""
    return topics.beta.topk(min(count, topics.beta.shape[1]), dim=1).indices


@checked()
def coherence(topics: Topics, corpus: Corpus, world: World | None = None, count: int = 10) -> tuple[Tensor, Tensor]:
    """NPMI and UMass of each topic's `count` top words: K and K, float64; 0 where there are no pairs or no documents.

    With D_i the documents of all ranks that hold word i, D_ij those that hold i and j, and p their shares of D: NPMI is
    the mean over pairs of log(p_ij / (p_i p_j)) / -log p_ij, -1 for a pair that never meets and 1 for one that every
    document holds (Lau, Newman and Baldwin, EACL 2014). UMass is the mean of log((D_ij + 1) / D_j), where j is the more
    probable word (Mimno, Wallach, Talley, Leenders and McCallum, EMNLP 2011). A collective of all ranks.
    """
    corpus, world = as_corpus(corpus, topics.terms), world or World.alone()
    words = top_words(topics, count).cpu()
    known = torch.unique(words)
    together, documents = _together(known, corpus, world)
    place = torch.searchsorted(known, words)
    pairs = together[place[:, :, None], place[:, None, :]]  # K x count x count
    own = pairs.diagonal(dim1=1, dim2=2)
    later, earlier = torch.tril_indices(words.shape[1], words.shape[1], -1)
    both, count_later, count_earlier = pairs[:, later, earlier], own[:, later], own[:, earlier]
    if not len(later) or not documents:
        zeros = torch.zeros(len(words), dtype=torch.float64)
        return zeros, zeros
    share = both / documents
    information = (both * documents / (count_later * count_earlier).clamp_min(1)).clamp_min(1e-300).log()
    always = share >= 1
    npmi = torch.where(always, 1.0, information / -torch.where(always, 0.5, share.clamp_min(1e-300)).log())
    npmi = torch.where(both > 0, npmi, -1.0)
    return npmi.mean(1), ((both + 1) / count_earlier.clamp_min(1)).log().mean(1)


@checked()
def diversity(topics: Topics, count: int = 25) -> float:
    """The share of different words among all topics' `count` top words, 0 to 1: Dieng, Ruiz and Blei, TACL 2020."""
    words = top_words(topics, count)
    return len(torch.unique(words)) / max(1, words.numel())


def _together(words: Tensor, corpus: Corpus, world: World) -> tuple[Tensor, int]:
    """In how many documents each pair of these words (U, rising) occurs: U x U, float64; and D, over all ranks."""
    together = torch.zeros(len(words), len(words), dtype=torch.float64)
    for part in corpus.batches(max(1, WORK_NUMBERS // len(words))):
        place = torch.searchsorted(words, part.words).clamp(max=len(words) - 1)
        known = words[place] == part.words
        occurs = torch.zeros(len(part), len(words))
        occurs[part.document[known], place[known]] = 1
        together += (occurs.T @ occurs).double()
    sums = sum_over_ranks(world, torch.cat([together.flatten(), together.new_tensor([len(corpus)])]))
    return sums[:-1].reshape(together.shape), int(sums[-1])
