"""forecaster: a sequence-to-sequence forecaster over tensor-train LSTM cells, with DeepAR's jobs and requests."""

from polyadic.algorithms.forecaster.fit import CHANNELS, METRICS, NAME, SUMMARY, Hyperparameters, fit, load

__all__ = ["CHANNELS", "METRICS", "NAME", "SUMMARY", "Hyperparameters", "fit", "load"]
