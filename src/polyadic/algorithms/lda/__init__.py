"""lda: topics of a corpus by moment tensors, refined by the documents; a drop-in for SageMaker's LDA on many hosts."""

from polyadic.algorithms.lda.fit import CHANNELS, METRICS, NAME, SUMMARY, Hyperparameters, fit, load

__all__ = ["CHANNELS", "METRICS", "NAME", "SUMMARY", "Hyperparameters", "fit", "load"]
