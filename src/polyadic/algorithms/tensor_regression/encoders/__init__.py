"""How a modality becomes numbers: one encoder per file, found by being there. A file declares `ENCODER`."""

from __future__ import annotations

from polyadic.algorithms.tensor_regression.encoders._encoder import Encoder, EncoderOptions, Prepared
from polyadic.registry import Registry

__all__ = ["ENCODERS", "Encoder", "EncoderOptions", "Prepared"]

ENCODERS: Registry[type[Encoder]] = Registry(__name__, "ENCODER", Encoder)
"""Every kind of encoder by its name."""
