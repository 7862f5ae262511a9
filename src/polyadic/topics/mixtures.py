"""The topics of a document, under topics that are fixed: what is served, and what held-out words are judged by.

Shapes: documents D, terms V, topics K.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from polyadic.tensor.arguments import checked
from polyadic.tensor.kernels.padding import padded
from polyadic.tensor.kernels.threads import in_parallel
from polyadic.topics import kernels
from polyadic.topics.corpus import Corpus, as_corpus
from polyadic.topics.products import document_edges
from polyadic.topics.spectral import Topics

FEW_WORDS = 1024
"""Of all documents, which one thread has done before others were told to help."""
MOST_TOKENS = 4096
"""Of more tokens, a document's mixture would hardly be another."""


@checked()
def mixtures(corpus: Corpus, topics: Topics) -> Tensor:
    """The expected topic mixtures of documents given their words: D x K, rows that sum to 1, float64.

    corpus: documents, or a matrix of counts, D x V; topics: K over V terms. A document's mixture depends on it alone;
    an empty one has the Dirichlet's mean. It is the mean of two passes of assumed-density filtering (Minka and
    Lafferty, UAI 2002), one forward and one backward over its tokens. Of a few words, which may be of one topic or of
    another, such a filter keeps both in mind, where an update that is repeated until it is still chooses one of them.
    """
    corpus = as_corpus(corpus, topics.terms)
    count, width = len(topics.alpha), padded(len(topics.alpha), torch.float64)
    used, words = (part.numpy() for part in torch.unique(corpus.words, return_inverse=True))
    columns, prior, out = (np.zeros((rows, width)) for rows in (len(used), 1, len(corpus)))
    columns[:, :count], prior[0, :count] = topics.beta.double().cpu().numpy().T[used], topics.alpha.cpu()
    kernel = kernels.filtered(16 if width % 16 == 0 else min(width, 8))
    arrays = (corpus.offsets.numpy(), words, corpus.counts.numpy(), columns, prior, out)

    def update(begin: int, end: int) -> None:
        kernel(*arrays, np.zeros((2, width)), float(MOST_TOKENS), begin, end)

    in_parallel(update, document_edges(corpus) if len(words) > FEW_WORDS else (0, len(corpus)))
    return torch.from_numpy(out[:, :count] / out[:, :count].sum(1, keepdims=True))
