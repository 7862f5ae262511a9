"""Tensor -> factors: each decomposition is a pure function of a tensor, its ranks and a World."""

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.cp.sampled import sampled_cp
from polyadic.decomposition.gcp.lbfgs import gcp
from polyadic.decomposition.gcp.stochastic import gcp_stochastic
from polyadic.decomposition.train.completion import complete_tensor_train
from polyadic.decomposition.train.cross import tensor_cross
from polyadic.decomposition.train.svd import tensor_train
from polyadic.decomposition.tucker.fit import tucker

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
