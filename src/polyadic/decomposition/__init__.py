"""Tensor -> factors: one decomposition a file, each a function of a tensor and its ranks."""

from polyadic.decomposition.cp import cp
from polyadic.decomposition.cp_sampled import sampled_cp
from polyadic.decomposition.gcp import gcp
from polyadic.decomposition.gcp_stochastic import gcp_stochastic
from polyadic.decomposition.tensor_completion import complete_tensor_train
from polyadic.decomposition.tensor_cross import tensor_cross
from polyadic.decomposition.tensor_train import tensor_train
from polyadic.decomposition.tucker import tucker

__all__ = [
    "complete_tensor_train",
    "cp",
    "gcp",
    "gcp_stochastic",
    "sampled_cp",
    "tensor_cross",
    "tensor_train",
    "tucker",
]
