"""What memory a tensor-train job needs: the tensor, its observed entries or its zeros, and what a sweep makes of it."""

from __future__ import annotations

from polyadic.algorithms.tensor_train.hyperparameters import Hyperparameters
from polyadic.jobs.memory import Need
from polyadic.readers.head import TensorHead

WORK_SHARE = 0.2
"""Of a dense tensor."""
COMPLETION_NUMBERS = 5
"""Of an observed entry, in float64, beside half a row of a core: its place, its value, what a step makes of them."""
GAPS_SHARE = 0.5
"""Of a dense tensor: which of its entries are there."""
SPARSE_COPIES = 5
"""Records of a sparse tensor, as they are read, dealt out, and sorted by each mode."""


def needs(settings: Hyperparameters, head: TensorHead) -> Need:
    """The peak of a rank; of a dense tensor with gaps, what is known before its observed entries are counted."""
    knob = "lower max_rank"
    if head.sparse and settings.entries == "missing":
        observed = observed_bytes(settings, head.entries) + SPARSE_COPIES * head.bytes
        return Need({"tensor": head.bytes, "observed entries": observed}, knob)
    if not head.sparse and (settings.missing == "mask" or settings.method == "completion"):
        return Need({"tensor": head.bytes, "gaps": GAPS_SHARE * head.bytes}, knob)
    if head.sparse and settings.method == "cross":
        return Need({"tensor": head.bytes, "work space": SPARSE_COPIES * head.bytes}, knob)
    parts = {"tensor": head.bytes + (head.dense_bytes if head.sparse else 0)}
    return Need(parts | {"work space": WORK_SHARE * head.dense_bytes}, knob)


def observed_bytes(settings: Hyperparameters, entries: int) -> float:
    """What a completion takes for so many observed entries."""
    return 8.0 * (COMPLETION_NUMBERS + (settings.max_rank or 1) / 2) * entries
