"""What an lda job may set."""

from __future__ import annotations

from polyadic.jobs import hyperparameters as hyper
from polyadic.options import option


class Hyperparameters(hyper.Hyperparameters):
    """What an lda job may set: the names and defaults of SageMaker's LDA, and the refinement's own."""

    num_topics: int = option("topics to find", ge=1, tunable=(1, 150))
    feature_dim: int | None = option(
        "terms of the vocabulary; where empty those of channel vocabulary, or as many as the documents need", None, ge=1
    )
    mini_batch_size: int | None = option(
        "documents that the moments take at a time; it changes memory, not topics", None, ge=1
    )
    alpha0: float = option("sum of the Dirichlet's parameters", 1.0, gt=0, tunable=(0.1, 10))
    max_restarts: int = option("starts of the decomposition, at most", 10, ge=1)
    max_iterations: int = option("sweeps of the decomposition, at most", 1000, ge=1)
    tol: float = option("the decomposition stops when its fit changes by less in a sweep", 1e-8, gt=0)
    refine_iterations: int = option(
        "iterations over the documents after the moments; 0 gives the topics of the moments alone", 100, ge=0
    )
    refine_starts: int = option(
        "seeds of the moments that the refinement tries for 15 iterations, to go on with the likeliest", 4, ge=1
    )
    whitening_power_steps: int = option("power steps of the randomised whitening", 1, ge=0)
    seed: int = option("of the sketch, the starts and the halves of test documents", 0, ge=0)
