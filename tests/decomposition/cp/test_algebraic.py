"""Starts from eigenvectors: exact where the tensor is, also for collinear components and orders above three."""

from __future__ import annotations

import numpy as np
import pytest

from polyadic.decomposition.cp.algebraic import algebraic_starts
from scripts.bench.planted import Family, whole


@pytest.mark.parametrize(
    "family",
    [
        Family((5, 5, 5), 5),
        Family((6, 5, 2), 4),
        Family((7, 6, 5), 5, cosine=0.99),
        Family((3, 3, 3, 3, 2), 8),
        Family((3, 2, 3, 2, 2), 5),
    ],
    ids=Family.title,
)
def test_an_exact_tensor_is_found_at_once(family: Family) -> None:
    tensor = whole(family.planted(1)[1])
    starts = algebraic_starts(tensor, family.rank, 0, 3)
    assert len(starts) == 3
    errors = [np.linalg.norm(whole(factors) - tensor) / np.linalg.norm(tensor) for factors in starts]
    assert min(errors) < 1e-6


@pytest.mark.parametrize(("shape", "rank"), [((6, 5), 2), ((6, 5, 4), 1), ((9, 3, 3), 5), ((3, 3, 3), 4)])
def test_there_is_none_where_no_two_groups_of_modes_carry_the_rank(shape: tuple[int, ...], rank: int) -> None:
    assert algebraic_starts(np.random.default_rng(0).standard_normal(shape), rank, 0, 3) == []


def test_a_tensor_without_a_mixture_of_full_rank_has_none() -> None:
    tensor = np.zeros((4, 4, 4))
    tensor[0, 0, 0] = 1
    assert all(np.isfinite(factor).all() for start in algebraic_starts(tensor, 3, 0, 3) for factor in start)
