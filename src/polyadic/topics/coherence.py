"""How good topics are: the words of held-out halves of documents, and how their top words go together.

Shapes: topics K, terms V, documents D.
"""

from __future__ import annotations

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.topics.collectives import total
from polyadic.topics.corpus import Corpus
from polyadic.topics.refinement import mixtures
from polyadic.topics.spectral import Topics

AT_ONCE = 2**22
"""Numbers that stand in memory at a time."""


def halves(corpus: Corpus, seed: int = 0) -> tuple[Corpus, Corpus]:
    """The tokens of each document in two random halves, of an odd number one more in the second.

    The halves are a function of the document and the seed: whichever rank has it, among whatever others. A fractional
    count is rounded to whole tokens.
    """
    counts = corpus.counts.round().long()
    own = _mixed(corpus.words * (2**20 + 7) + counts + seed)
    own = torch.zeros(len(corpus), dtype=torch.int64).index_add_(0, corpus.document, own)
    document, word = (torch.repeat_interleave(one, counts) for one in (corpus.document, corpus.words))
    lengths = torch.bincount(document, minlength=len(corpus))
    place = torch.arange(len(word)) - (lengths.cumsum(0) - lengths)[document]
    by_chance = torch.argsort(_mixed(own[document] + _mixed(place + 1)))
    order = by_chance[torch.argsort(document[by_chance], stable=True)]
    word = word[order]  # Documents still follow one another, and so do the places of their tokens.
    first = place < lengths[document] // 2
    ones = torch.ones(len(word))
    return tuple(  # type: ignore[return-value]  # Two of them.
        Corpus.of_places(document[some], word[some], ones[some], len(corpus), corpus.terms) for some in (first, ~first)
    )


def _mixed(number: Tensor) -> Tensor:
    """Numbers that look random, one for each: multiplications and shifts modulo 2^62, as splitmix has them."""
    for odd in (0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9):
        number = (number * odd) & (2**62 - 1)
        number = number ^ (number >> 31)
    return number


def per_word_log_likelihood(topics: Topics, corpus: Corpus, world: World, seed: int = 0) -> float:
    """The mean log-likelihood of the second half of each document's tokens, given the first: document completion.

    Wallach, Murray, Salakhutdinov and Mimno (ICML 2009), section 5.1; all ranks' documents. NaN where there are none.
    """
    sums, columns = torch.zeros(2, dtype=torch.float64), topics.beta.T.contiguous()
    for part in corpus.batches(max(1, AT_ONCE // max(1, len(topics.alpha)))):
        seen, scored = halves(part, seed)
        chance = (mixtures(seen, topics)[scored.document] * columns[scored.words]).sum(1)
        sums[0] += (scored.counts.double() * chance.clamp_min(1e-300).log()).sum()
        sums[1] += scored.counts.sum()
    likelihood, tokens = total(world, sums).tolist()
    return float(likelihood / tokens) if tokens else float("nan")


def top_words(topics: Topics, count: int) -> Tensor:
    """The most probable words of each topic, most probable first: K x count (or V, if that is less)."""
    return topics.beta.topk(min(count, topics.beta.shape[1]), dim=1).indices


def coherence(topics: Topics, corpus: Corpus, world: World, count: int = 10) -> tuple[Tensor, Tensor]:
    """NPMI and UMass of each topic's top words, by the documents of all ranks that hold two of them: K, K.

    NPMI is the mean over pairs of log(p_ij / p_i p_j) / -log p_ij, -1 for a pair that never meets (Lau, Newman and
    Baldwin, EACL 2014); UMass of log((D_ij + 1) / D_j), j the more probable word (Mimno et al., EMNLP 2011).
    """
    words = top_words(topics, count).cpu()
    known = torch.unique(words)
    together, documents = _together(known, corpus, world)
    place = torch.searchsorted(known, words)
    pairs = together[place[:, :, None], place[:, None, :]]  # K x count x count
    own = pairs.diagonal(dim1=1, dim2=2)
    later, earlier = torch.tril_indices(words.shape[1], words.shape[1], -1)
    both, one, other = pairs[:, later, earlier], own[:, later], own[:, earlier]
    if not len(later) or not documents:
        nothing = torch.zeros(len(words), dtype=torch.float64)
        return nothing, nothing
    share = both / documents
    information = (both * documents / (one * other).clamp_min(1)).clamp_min(1e-300).log()
    always = share >= 1
    npmi = torch.where(always, 1.0, information / -torch.where(always, 0.5, share.clamp_min(1e-300)).log())
    npmi = torch.where(both > 0, npmi, -1.0)
    return npmi.mean(1), ((both + 1) / other.clamp_min(1)).log().mean(1)


def diversity(topics: Topics, count: int = 25) -> float:
    """The share of different words among the top words of all topics (Dieng, Ruiz and Blei, TACL 2020)."""
    words = top_words(topics, count)
    return len(torch.unique(words)) / max(1, words.numel())


def _together(words: Tensor, corpus: Corpus, world: World) -> tuple[Tensor, int]:
    """In how many documents two of these words (U, rising) occur: U x U, float64; and the number of documents."""
    together = torch.zeros(len(words), len(words), dtype=torch.float64)
    for part in corpus.batches(max(1, AT_ONCE // len(words))):
        place = torch.searchsorted(words, part.words).clamp(max=len(words) - 1)
        known = words[place] == part.words
        occurs = torch.zeros(len(part), len(words))
        occurs[part.document[known], place[known]] = 1
        together += (occurs.T @ occurs).double()
    sums = total(world, torch.cat([together.flatten(), together.new_tensor([len(corpus)])]))
    return sums[:-1].reshape(together.shape), int(sums[-1])
