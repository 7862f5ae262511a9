"""The operations between the products of a recurrence: kernels against the forms that torch has of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from polyadic.forecasting import recurrence_operations
from polyadic.tensor.kernels import vectors
from polyadic.tensor.kernels.jit import jit

each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
HIDDEN = [1, 7, 8, 16, 21]
intrinsics: Any = vectors
"""As a kernel calls them: numba gives their first argument."""


def randoms(dtype: torch.dtype, *shapes: tuple[int, ...]) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=random, dtype=torch.float64).to(dtype) for shape in shapes]


def by_kernel(function: Any, *arguments: Any) -> None:
    """Given the memory of the tensors; given these themselves a function takes torch's form."""
    function(*(argument.numpy() if isinstance(argument, Tensor) else argument for argument in arguments))


@pytest.mark.parametrize(("lagged", "rank"), [(1, 1), (8, 3), (13, 2), (24, 4)])
@each_dtype
def test_products_and_their_gradients_are_torchs(lagged: int, rank: int, dtype: torch.dtype) -> None:
    v, past, d = randoms(dtype, (5, rank), (5, lagged + 9), (5, rank * (lagged + 1)))
    mine, other = torch.empty_like(d), torch.empty_like(d)
    by_kernel(recurrence_operations.products, v, past, 4, lagged, mine)
    recurrence_operations.products(v, past, 4, lagged, other)
    assert torch.equal(mine, other)
    dv, dpast = torch.empty_like(v), torch.ones_like(past)
    other_dv, other_dpast = torch.empty_like(v), torch.ones_like(past)
    by_kernel(recurrence_operations.products_back, d, v, past, 4, lagged, dv, dpast)
    recurrence_operations.products_back(d, v, past, 4, lagged, other_dv, other_dpast)
    torch.testing.assert_close(dv, other_dv)
    torch.testing.assert_close(dpast, other_dpast)


@pytest.mark.parametrize("hidden", HIDDEN)
@each_dtype
def test_gates_and_their_gradients_are_torchs(hidden: int, dtype: torch.dtype) -> None:
    z, before, dpast, dc = randoms(dtype, (5, 4 * hidden), (5, hidden), (5, 2 * hidden), (5, hidden))
    outcomes = []
    for plain in (False, True):
        opened, dh, behind = 4 * z, dpast.clone(), dc.clone()
        after, squashed, past, dz = (torch.zeros_like(tensor) for tensor in (before, before, dpast, z))
        forward, back = (
            (opened, before, after, squashed, past, hidden),
            (opened, before, squashed, dh, hidden, behind, dz),
        )
        for function, arguments in ((recurrence_operations.gates, forward), (recurrence_operations.gates_back, back)):
            function(*arguments) if plain else by_kernel(function, *arguments)
        outcomes.append((opened, after, squashed, past, behind, dz))
    for mine, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(mine, other, atol=2e-6 if dtype == torch.float32 else 1e-12, rtol=1e-5)


def test_logistic_and_tangent_are_right_over_all_of_float32() -> None:
    @jit
    def kernel(x: Any, logistic_x: Any, tangent_x: Any) -> None:
        for row in range(len(x)):
            intrinsics.store(logistic_x, row, 0, intrinsics.logistic(intrinsics.load(x, row, 0, 8)))
            intrinsics.store(tangent_x, row, 0, intrinsics.tangent(intrinsics.load(x, row, 0, 8)))

    around = torch.cat([torch.linspace(-30, 30, 8000), torch.tensor([-3e38, -1e4, -90, -1e-30, 0, 1e-30, 90, 3e38])])
    x = around.reshape(-1, 8).contiguous()
    logistic_x, tangent_x = torch.empty_like(x), torch.empty_like(x)
    kernel(x.numpy(), logistic_x.numpy(), tangent_x.numpy())
    torch.testing.assert_close(logistic_x.double(), x.double().sigmoid(), atol=1.5e-7, rtol=0)
    torch.testing.assert_close(tangent_x.double(), x.double().tanh(), atol=3e-7, rtol=0)
