"""Decompositions of a size for tests, each with the dense tensor that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from polyadic.algorithms._decomposition import DecompositionModel, in_order, numbered
from polyadic.decomposition.cp import CPTensor, cp
from polyadic.tensor.dense import reconstruct

PEOPLE = ("ann", "bob", "cleo", "dan", "eve")


def build_cp(tensors: Mapping[str, Tensor], relative_error: float) -> CPTensor:
    """The CP tensor of an artifact's tensors."""
    return CPTensor(tensors["weights"], in_order("factor", tensors), relative_error)


def small_cp(dtype: torch.dtype = torch.float64, **more: Any) -> tuple[DecompositionModel, Tensor]:
    """A CP model of 6 x 5 x 4 whose mode 1 has labels, and its dense form."""
    data = torch.rand(6, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fitted = cp(data.to(dtype), 3, max_iterations=20)
    tensors = {"weights": fitted.weights, **numbered("factor", fitted.factors)}
    labels = (None, PEOPLE, None)
    settings = {"rank": 3}
    model = DecompositionModel("cp", tensors, build_cp, fitted.relative_error, settings, labels, **more)
    return model, reconstruct(fitted.weights, [factor.double() for factor in fitted.factors])
