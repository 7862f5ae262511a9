"""Conversions need TensorLy, and say so where it is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.tensor_train import TensorTrain
from polyadic.tensor.tucker_tensor import TuckerTensor

UNIT = torch.ones(1, 1)


@pytest.mark.parametrize(
    "convert",
    [
        CPTensor(torch.ones(1), [UNIT, UNIT], 0.0).to_tensorly,
        TuckerTensor(UNIT, [UNIT, UNIT]).to_tensorly,
        lambda: TuckerTensor.from_tensorly((UNIT, [UNIT, UNIT])),
        TensorTrain([torch.ones(1, 1, 1)]).to_tensorly,
        lambda: TensorTrain.from_tensorly([torch.ones(1, 1, 1)]),
    ],
)
def test_without_tensorly_a_conversion_says_what_to_do(
    convert: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorly", None)
    with pytest.raises(UserError, match="TensorLy is not installed here: pip install tensorly"):
        convert()
