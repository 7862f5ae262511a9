"""Components that cancel are known by their cosine."""

from __future__ import annotations

import torch

from polyadic.decomposition.cp.cancelling import cancelling
from polyadic.decomposition.cp.fit import cp
from polyadic.tensor.cp_tensor import CPTensor
from tests.helpers.tensors import low_rank


def test_components_that_take_away_what_others_add() -> None:
    random = torch.Generator().manual_seed(0)
    factors = [torch.nn.functional.normalize(torch.randn(9, 3, generator=random).double(), dim=0) for _ in range(3)]
    for factor in factors:
        factor[:, 2] = factor[:, 0]
    for sign, pairs in ((-1.0, [(0, 2)]), (1.0, [])):
        assert cancelling(CPTensor(torch.tensor([5.0, 1.0, 4.0 * sign]).double(), factors, 0.1)) == pairs


def test_a_tensor_without_a_best_fit_of_rank_two_has_a_pair() -> None:
    """a ∘ a ∘ b + a ∘ b ∘ a + b ∘ a ∘ a has rank 3, and models of rank 2 come as near as one likes."""
    a, b = torch.eye(4, dtype=torch.float64)[:2]
    terms = ((a, a, b), (a, b, a), (b, a, a))
    tensor = sum((torch.einsum("i,j,k->ijk", *term) for term in terms), torch.zeros(4, 4, 4, dtype=torch.float64))
    assert cancelling(cp(tensor, 2)) == [(0, 1)]
    assert cancelling(cp(low_rank((6, 5, 4), 2)[0], 2)) == []
