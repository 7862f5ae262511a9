"""The stack of factors: where each lies, and which are copied again."""

from __future__ import annotations

import torch

from polyadic.tensor.stack import Stack
from tests.helpers.tensors import normal_factors


def test_factors_lie_one_above_another_padded_with_zeros() -> None:
    factors = normal_factors([2, 3], 5, torch.float32)
    rows = Stack([2, 3]).of(factors)
    assert rows.shape == (5, 8) and not rows[:, 5:].any()
    assert torch.equal(rows[:, :5], torch.cat(factors))


def test_only_factors_that_are_other_objects_are_copied() -> None:
    stack, factors = Stack([2, 3]), normal_factors([2, 3], 2, torch.float32)
    first = stack.of(factors).clone()
    factors[0].mul_(2)
    assert torch.equal(stack.of(factors), first), "the same object is taken to be unchanged"
    factors[1] = factors[1] * 3
    assert torch.equal(stack.of(factors)[2:, :2], factors[1])
    assert stack.of(normal_factors([2, 3], 9, torch.float32)).shape == (5, 16)


def test_a_factor_written_to_its_rows_is_not_copied_over() -> None:
    stack, factors = Stack([2, 3]), normal_factors([2, 3], 2, torch.float32)
    rows = stack.of(factors)
    stack.rows(1)[:, :2] = 7
    factors[1] = stack.written(1, 2)
    assert torch.equal(factors[1], torch.full((3, 2), 7.0))
    assert stack.of(factors) is rows and torch.equal(rows[2:, :2], torch.full((3, 2), 7.0))
    assert torch.equal(rows[:2, :2], factors[0])
