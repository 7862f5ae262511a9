"""tensor-train: a chain of small cores, of given ranks or within a relative error; completion of missing entries."""

from polyadic.algorithms.tensor_train.fit import CHANNELS, METRICS, NAME, SUMMARY, Hyperparameters, fit, load

__all__ = ["CHANNELS", "METRICS", "NAME", "SUMMARY", "Hyperparameters", "fit", "load"]
