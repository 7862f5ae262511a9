"""What Tucker refuses, and what it says."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.tucker.fit import tucker
from polyadic.errors import UserError

REFUSED: list[tuple[Tensor, dict[str, Any], str]] = [
    (torch.ones(2, 3), {}, r"give one of ranks, such as \[20, 20, 5\], and tol"),
    (torch.ones(2, 3), {"ranks": (1, 1), "tol": 0.1}, "give one of ranks"),
    (torch.ones(2, 3), {"ranks": (1,)}, r"ranks is \(1,\): give one number, or a list of 2"),
    (torch.ones(2, 3), {"ranks": (1, 1, 1)}, r"ranks is \(1, 1, 1\): give one number, or a list of 2"),
    (torch.ones(2, 3), {"ranks": (1, 4)}, r"ranks\[1\] is 4: mode 1 has 3 rows, so it must be from 1 to 3"),
    (torch.ones(2, 3), {"ranks": (0, 1)}, r"ranks\[0\] is 0: it must be a whole number, 1 or more"),
    (
        torch.ones(9, 3, 3),
        {"ranks": (5, 2, 2)},
        r"ranks\[0\] is 5: with ranks \[5, 2, 2\] no more than 4, the product of the others, are of use",
    ),
    (torch.ones(2, 3), {"tol": 0.0}, r"tol is 0: in float32 it must be 1e-05 or more, and less than 1"),
    (torch.ones(2, 3), {"tol": -0.1}, "tol is -0.1: it must be a finite number, 0 or more"),
    (torch.ones(2, 3), {"tol": 1.0}, "tol is 1: in float32 it must be"),
    (torch.ones(2, 3), {"tol": 1e-9}, "tol is 1e-09: in float32 it must be 1e-05 or more"),
    (torch.ones(2, 3).double(), {"tol": 1e-15}, "tol is 1e-15: in float64 it must be 2e-14 or more"),
    (torch.ones(2, 3), {"tol": 0.1, "method": "nonnegative"}, "nonnegative cannot tell ranks from tol: give ranks"),
    (torch.ones(2, 3), {"tol": 0.1, "range_finder": "randomized"}, "range_finder randomized cannot tell ranks"),
    (
        torch.ones(2, 3),
        {"tol": 0.1, "method": "hosvd"},
        "unknown method 'hosvd': did you mean 'st-hosvd'",
    ),
    (torch.ones(2, 3), {"tol": 0.1, "range_finder": "svd"}, "unknown range_finder 'svd': known are auto, gram, random"),
    (torch.ones(5), {"ranks": (1,)}, "the tensor has 1 modes: a decomposition needs 2 or more"),
    (torch.zeros(2, 0, 3), {"ranks": (1, 1, 1)}, r"the tensor is empty: its shape is \(2, 0, 3\)"),
    (torch.zeros(2, 3), {"ranks": (1, 1)}, "the tensor is all zero: there is nothing to decompose"),
    (torch.tensor([[1.0, math.nan]]), {"ranks": (1, 1)}, "NaN or infinite"),
    (torch.tensor([[1.0, math.inf]]), {"tol": 0.1}, "NaN or infinite"),
    (
        torch.tensor([[1.0, -1e-3]]),
        {"ranks": (1, 1), "method": "nonnegative"},
        "the tensor has negative entries: method nonnegative needs none. Use st-hosvd or hooi",
    ),
]


@pytest.mark.timeout(10)
@pytest.mark.parametrize(("tensor", "how", "message"), REFUSED)
def test_what_cannot_be_decomposed_is_refused(tensor: Tensor, how: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        tucker(tensor, **how)


@pytest.mark.timeout(10)
def test_a_tensor_whose_core_overflows_is_refused() -> None:
    with pytest.raises(UserError, match="overflow float32: divide it by a constant, or use dtype float64"):
        tucker(torch.full((4, 5, 6), 3e38), (1, 1, 1))
