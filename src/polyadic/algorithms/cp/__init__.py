"""cp: the canonical polyadic decomposition of a dense or sparse tensor."""

from polyadic.algorithms.cp.fit import CHANNELS, METRICS, NAME, SUMMARY, Hyperparameters, fit, load

__all__ = ["CHANNELS", "METRICS", "NAME", "SUMMARY", "Hyperparameters", "fit", "load"]
