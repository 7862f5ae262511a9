"""Weight tensors of few numbers: one form per file, found by being there, each of which declares `WEIGHT`."""

from __future__ import annotations

from polyadic.registry import Registry
from polyadic.regression.weights._weight import Block, Weight

__all__ = ["WEIGHTS", "Block", "Weight"]

WEIGHTS: Registry[type[Weight]] = Registry(__name__, "WEIGHT", Weight)
"""Every form by its name."""
