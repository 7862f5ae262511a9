"""Where a CP fit begins: at singular vectors, and at models that fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.cp.fit import cp
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.sparse import SparseTensor
from tests.helpers.tensors import low_rank, some_of


@pytest.mark.parametrize("form", ["dense", "sparse", "observed"])
def test_singular_vectors_are_a_better_beginning(form: str) -> None:
    tensor = low_rank((20, 18, 16), 3, noise=0.02)[0]
    forms: dict[str, Tensor | SparseTensor] = {
        "dense": tensor,
        "sparse": SparseTensor.of(tensor),
        "observed": some_of(tensor, 0.9),
    }
    data = forms[form]
    options: Any = {"observed": form == "observed", "max_iterations": 2, "stop_tol": 0}
    first, other = (cp(data, 3, init=init, **options) for init in ("svd", "random"))
    assert first.relative_error < 0.9 * other.relative_error


def test_singular_beginnings_take_ranks_above_the_dimensions() -> None:
    tensor = low_rank((4, 3, 5), 2)[0]
    assert cp(tensor, 6, init="svd", max_iterations=50).relative_error < 0.05


@pytest.mark.parametrize(("shape", "rank"), [((4, 3, 5), 2), ((4, 3, 6), 3)])
def test_a_model_of_another_shape_or_rank_is_no_beginning(shape: tuple[int, ...], rank: int) -> None:
    tensor = low_rank((4, 3, 5), 2)[0]
    model = CPTensor(torch.ones(rank), [torch.ones(rows, rank) for rows in shape], 0.0)
    with pytest.raises(UserError, match=r"the model to begin from has shape .*: the data has \(4, 3, 5\), the job"):
        cp(tensor, 3, init=model)
