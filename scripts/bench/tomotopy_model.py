"""tomotopy's collapsed Gibbs sampler on our corpora."""

from __future__ import annotations

import numpy as np
import tomotopy
import torch
from torch import Tensor

from polyadic.topics.corpus import Corpus
from scripts.bench.topic_data import tokens


def tomotopy_model(corpus: Corpus, topics: int) -> tomotopy.LDAModel:
    """A model of the documents that has not been trained."""
    model = tomotopy.LDAModel(k=topics, seed=0)
    for words in tokens(corpus):
        model.add_doc(words.astype(str).tolist())
    return model


def tomotopy_beta(model: tomotopy.LDAModel, terms: int) -> Tensor:
    """Its topics in our order of the terms; a term that it has not seen has next to nothing."""
    beta = np.full((model.k, terms), 1e-9)
    place = np.array([int(word) for word in model.used_vocabs])
    for topic in range(model.k):
        beta[topic, place] = model.get_topic_word_dist(topic)
    return torch.from_numpy(beta / beta.sum(1, keepdims=True))
