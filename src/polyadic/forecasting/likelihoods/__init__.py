"""The likelihoods of an observation: one per file, found by being there.

A file declares `LIKELIHOOD`, an instance of a subclass of `Likelihood`. A network sees an observation y as
x = (see(y) - level) / scale, and its raw outputs (... x size), the first of which is the location of x, say how likely
each x is.
"""

from __future__ import annotations

from polyadic.forecasting.likelihoods._likelihood import Likelihood
from polyadic.registry import Registry

__all__ = ["LIKELIHOODS", "Likelihood"]

LIKELIHOODS: Registry[Likelihood] = Registry(__name__, "LIKELIHOOD", Likelihood)
"""Every likelihood by its name."""
