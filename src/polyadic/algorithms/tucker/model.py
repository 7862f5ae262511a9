"""The model of a tucker job: the tensor that its core and factors stand for, and how it is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from polyadic.artifact import Artifact
from polyadic.lowrank.model import DecompositionModel
from polyadic.tensor.numbered_names import in_order
from polyadic.tensor.tucker_tensor import TuckerTensor


def build(tensors: Mapping[str, Tensor], relative_error: float) -> TuckerTensor:
    """The Tucker tensor of `core` (R_1 x ... x R_N) and `factor_0`, `factor_1`, ... (I_n x R_n)."""
    return TuckerTensor(tensors["core"], in_order("factor", tensors), relative_error)


def load(artifact: Artifact) -> DecompositionModel:
    """The model that was written down."""
    return DecompositionModel.load(artifact, build)
