"""The likelihoods of an observation."""

from polyadic.forecasting.likelihoods._likelihood import LIKELIHOODS, SMALLEST_DISPERSION, SMALLEST_SCALE, Likelihood

__all__ = ["LIKELIHOODS", "SMALLEST_DISPERSION", "SMALLEST_SCALE", "Likelihood"]
