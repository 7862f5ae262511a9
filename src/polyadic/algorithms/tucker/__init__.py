"""tucker: a small core and a factor a mode, of given ranks or within a relative error."""

from polyadic.algorithms.tucker.fit import CHANNELS, METRICS, NAME, SUMMARY, Hyperparameters, fit, load

__all__ = ["CHANNELS", "METRICS", "NAME", "SUMMARY", "Hyperparameters", "fit", "load"]
