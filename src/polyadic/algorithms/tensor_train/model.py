"""The model of a tensor-train job: the tensor that its cores stand for, and how it is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from polyadic.artifact import Artifact
from polyadic.lowrank.model import DecompositionModel
from polyadic.tensor.numbered_names import in_order
from polyadic.tensor.tensor_train import TensorTrain


def build(tensors: Mapping[str, Tensor], relative_error: float) -> TensorTrain:
    """The train of `core_0`, `core_1`, ... (r_{n-1} x I_n x r_n)."""
    return TensorTrain(in_order("core", tensors), relative_error)


def load(artifact: Artifact) -> DecompositionModel:
    """The model that was written down."""
    return DecompositionModel.load(artifact, build)
