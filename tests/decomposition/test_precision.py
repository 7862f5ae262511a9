"""Sums of squares of any size, and units in which squares stay within float32."""

from __future__ import annotations

import pytest
import torch

from polyadic.decomposition.precision import SAFE_NORM, in_safe_unit, sum_of_squares
from polyadic.tensor.dense import Slab


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("shape", [(0, 3), (5, 7), (64, 64), (3, 41, 53)])
def test_squares_are_summed_in_any_unit(shape: tuple[int, ...], factor: float) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * factor
    total = sum_of_squares(tensor)
    assert total.dtype == torch.float64 and total.shape == ()
    assert float(total) == pytest.approx(float(tensor.double().square().sum()), rel=1e-6)


def test_a_safe_norm_needs_no_unit() -> None:
    slab = Slab.whole(torch.ones(2, 3))
    assert in_safe_unit(slab, 6**0.5, SAFE_NORM) == (slab, 6**0.5, 1.0)


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_another_norm_is_divided_by_a_power_of_2_without_a_loss(factor: float) -> None:
    tensor = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)) * factor
    norm = float(tensor.double().norm())
    slab, scaled, unit = in_safe_unit(Slab.whole(tensor), norm, SAFE_NORM)
    assert 0.5 < scaled < 2 and float(slab.local.norm()) == pytest.approx(scaled, rel=1e-6)
    assert torch.equal(slab.local * unit * unit, tensor)
