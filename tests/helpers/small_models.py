"""Small decompositions as models, each with the dense tensor (6 x 5 x 4) that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from polyadic.decomposition.cp.fit import cp
from polyadic.formats import json
from polyadic.lowrank.indices import Mode
from polyadic.lowrank.model import DecompositionModel
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import reconstruct
from polyadic.tensor.numbered_names import in_order, numbered
from polyadic.tensor.tensor_train import TensorTrain
from polyadic.tensor.tucker_tensor import TuckerTensor

PEOPLE = ("ann", "bob", "cleo", "dan", "eve")
LABELS = (None, PEOPLE, None)
MODES = (Mode(0, 6), Mode(1, 5, PEOPLE), Mode(2, 4))
TUCKER_FACTORS = ((6, 3), (5, 2), (4, 4))


def build_cp(tensors: Mapping[str, Tensor], relative_error: float) -> CPTensor:
    """The CP tensor of an artifact's tensors."""
    return CPTensor(tensors["weights"], in_order("factor", tensors), relative_error)


def small_cp(dtype: torch.dtype = torch.float64, **changes: Any) -> tuple[DecompositionModel, Tensor]:
    """A CP model of 6 x 5 x 4 whose mode 1 has labels, and its dense form."""
    data = torch.rand(6, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fitted = cp(data.to(dtype), 3, max_iterations=20)
    tensors = {"weights": fitted.weights, **numbered("factor", fitted.factors)}
    model = DecompositionModel(
        algorithm="cp",
        tensors=tensors,
        build=build_cp,
        relative_error=fitted.relative_error,
        hyperparameters={"rank": 3},
        labels=LABELS,
        **changes,
    )
    return model, reconstruct(fitted.weights, [factor.double() for factor in fitted.factors])


def build_tucker(tensors: Mapping[str, Tensor], relative_error: float) -> TuckerTensor:
    """The Tucker tensor of an artifact's tensors."""
    return TuckerTensor(tensors["core"], in_order("factor", tensors), relative_error)


def build_train(tensors: Mapping[str, Tensor], relative_error: float) -> TensorTrain:
    """The tensor train of an artifact's tensors."""
    return TensorTrain(in_order("core", tensors), relative_error)


def small_tucker(dtype: torch.dtype = torch.float64) -> tuple[DecompositionModel, Tensor]:
    """A Tucker model of 6 x 5 x 4 with ranks 3, 2 and 4, and its dense form."""
    random = torch.Generator().manual_seed(1)
    core = torch.randn(3, 2, 4, generator=random, dtype=torch.float64).to(dtype)
    factors = [
        torch.linalg.qr(torch.randn(shape, generator=random, dtype=torch.float64))[0].to(dtype)
        for shape in TUCKER_FACTORS
    ]
    model = DecompositionModel(
        algorithm="tucker",
        tensors={"core": core, **numbered("factor", factors)},
        build=build_tucker,
        relative_error=0.1,
        hyperparameters={},
        labels=LABELS,
    )
    return model, torch.einsum("abc,ia,jb,kc->ijk", core.double(), *(factor.double() for factor in factors))


def small_train(dtype: torch.dtype = torch.float64) -> tuple[DecompositionModel, Tensor]:
    """A tensor train of 6 x 5 x 4 with ranks 2 and 3, and its dense form."""
    random = torch.Generator().manual_seed(2)
    shapes = ((1, 6, 2), (2, 5, 3), (3, 4, 1))
    cores = [torch.randn(shape, generator=random, dtype=torch.float64).to(dtype) for shape in shapes]
    model = DecompositionModel(
        algorithm="tensor-train",
        tensors=numbered("core", cores),
        build=build_train,
        relative_error=0.1,
        hyperparameters={},
        labels=LABELS,
    )
    return model, torch.einsum("aib,bjc,ckd->ijk", *(core.double() for core in cores))


def rank_one_model(*factors: Tensor, **changes: Any) -> DecompositionModel:
    """A CP model of one component of weight 1, from the column of each mode (I_n)."""
    tensors = {"weights": torch.ones(1), **numbered("factor", [factor[:, None] for factor in factors])}
    settings: dict[str, Any] = {"relative_error": 0.0, "hyperparameters": {}, **changes}
    return DecompositionModel(algorithm="cp", tensors=tensors, build=build_cp, **settings)


def answers_of(model: DecompositionModel, *instances: Any) -> list[dict[str, Any]]:
    """The answers to some instances as a client reads them."""
    queries = [model.parse(instance, {}) for instance in instances]
    answers: list[dict[str, Any]] = json.decode(json.encode(model.predict(queries)))
    return answers
