"""What memory a lda job needs: its documents, what the moments hold of terms, what the refinement holds of documents.

Shapes: K topics, V terms, D documents of a rank.
"""

from __future__ import annotations

from polyadic.algorithms.lda.hyperparameters import Hyperparameters
from polyadic.jobs.memory import Need
from polyadic.tensor.kernels.threads import threads
from polyadic.topics.corpus import Corpus
from polyadic.topics.moments import OVERSAMPLED_COLUMNS

BATCH_DOCUMENTS = 2**16
"""Documents that the moments take together where mini_batch_size is not set."""


def needs(settings: Hyperparameters, terms: int, train: Corpus | None = None, test: Corpus | None = None) -> Need:
    """The peak of a rank; without documents, what their terms need alone."""
    topics, starts = settings.num_topics, settings.refine_starts
    width = min(topics + OVERSAMPLED_COLUMNS, terms)
    documents = 0 if train is None else len(train)
    tested = 0 if test is None else len(test)
    longest = int(train.offsets.diff().max()) if train is not None and documents else 0
    batch = min(settings.mini_batch_size or BATCH_DOCUMENTS, documents)
    held = sum(12.0 * len(corpus.words) + 16.0 * len(corpus) for corpus in (train, test) if corpus is not None)
    parts = {
        "documents": held,
        "moments": 8.0 * terms * width * (4 + threads()) + 48.0 * width**3 + 16.0 * batch * width,
        "topics": 12.0 * terms * topics * starts,
        "mixtures": 1.0 * topics * max(documents * (4 * starts + 28), tested * 24) + 4.0 * topics * longest * threads(),
    }
    return Need(parts, "lower num_topics or feature_dim")
