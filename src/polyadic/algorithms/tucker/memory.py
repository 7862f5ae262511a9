"""What memory a tucker job needs: the tensor, with its zeros, and what a sweep makes of it."""

from __future__ import annotations

from polyadic.algorithms.tucker.hyperparameters import Hyperparameters
from polyadic.jobs.memory import Need
from polyadic.readers.head import TensorHead

WORK_SHARES = {"st-hosvd": 0.2, "hooi": 2.3, "nonnegative": 0.2}
"""Of the tensor: what a method holds beside it."""


def needs(settings: Hyperparameters, head: TensorHead) -> Need:
    """The peak of a rank."""
    tensor = head.dense_bytes
    parts = {"tensor": head.bytes + (tensor if head.sparse else 0)}
    return Need(parts | {"work space": WORK_SHARES[settings.method] * tensor}, "lower ranks, or set method=st-hosvd")
