"""Ranks that a shape allows, and what a truncation keeps. What is refused is tested by test_tensor_train.py."""

from __future__ import annotations

import torch

from polyadic.tensor.train_ranks import feasible_ranks, kept_rank, positive_signs, tolerance


def test_ranks_are_capped_by_the_shape() -> None:
    assert feasible_ranks((3, 4, 5), 100, None) == [3, 5]
    assert feasible_ranks((2, 3, 50, 3), [100, 100, 100], None) == [2, 6, 3]
    assert feasible_ranks((9, 3, 9), [1, 9], None) == [1, 3]
    assert feasible_ranks((9, 3, 9), [9, 1], None) == [3, 1]
    assert feasible_ranks((3, 4, 5), None, 0.1) == [3, 5]


def test_the_kept_rank_is_the_least_whose_rest_is_allowed() -> None:
    squares = torch.tensor([4.0, 2.0, 1.0, 0.0])
    assert [kept_rank(squares, allowed, 9) for allowed in (0, 0.9, 1, 2.9, 3, 6.9, 7, 100)] == [3, 3, 2, 2, 1, 1, 1, 1]
    assert kept_rank(squares, 0, 2) == 2
    assert kept_rank(torch.zeros(3), 0, 2) == 1


def test_signs_make_the_largest_entry_positive() -> None:
    columns = torch.tensor([[1.0, -3.0, 0.0], [-2.0, 1.0, 0.0]])
    assert positive_signs(columns).tolist() == [-1, -1, 1]


def test_a_tolerance_is_never_under_the_round_off() -> None:
    assert tolerance(0.25, torch.float64) == 0.25
    assert tolerance(None, torch.float32) == tolerance(0.0, torch.float32) == 30 * torch.finfo(torch.float32).eps
