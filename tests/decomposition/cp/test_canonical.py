"""One way to write a model down."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from polyadic.decomposition.cp.canonical import canonical
from polyadic.tensor.cp_tensor import CPTensor


@given(st.integers(0, 1000), st.permutations(range(3)), st.lists(st.sampled_from([1.0, -1.0]), min_size=6, max_size=6))
def test_order_and_signs_make_no_difference(seed: int, order: list[int], signs: list[float]) -> None:
    random = torch.Generator().manual_seed(seed)
    factors = [torch.randn(rows, 3, generator=random, dtype=torch.float64) for rows in (4, 3, 5)]
    model = canonical(CPTensor(torch.tensor([2.0, 3.0, 1.0], dtype=torch.float64), factors, 0.1))
    assert model.weights.tolist() == [3, 2, 1]
    for factor in model.factors[:-1]:
        assert bool((factor.gather(0, factor.abs().argmax(0, keepdim=True)) > 0).all())
    first, second = torch.tensor(signs).reshape(2, 3).double()
    turned = [model.factors[0] * first, model.factors[1] * second, model.factors[2] * first * second]
    again = canonical(CPTensor(model.weights[order], [factor[:, order] for factor in turned], 0.1))
    torch.testing.assert_close(again.weights, model.weights)
    for factor, other in zip(again.factors, model.factors, strict=True):
        torch.testing.assert_close(factor, other)
    torch.testing.assert_close(again.full(), model.full())


def test_a_negative_weight_becomes_positive_and_zeros_stay() -> None:
    factors = [torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]])]
    model = canonical(CPTensor(torch.tensor([-2.0, 0.0], dtype=torch.float64), factors, 0.0))
    assert model.weights.tolist() == [2, 0] and model.full().item() == -2
