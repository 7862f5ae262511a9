"""One Gauss-Newton step: the kernel's and that of torch's products are the same, on one rank and on several."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.cp.newton import Quadratic, by_products, newton_step, stacked, unstacked
from polyadic.distributed import World
from polyadic.tensor.layout import Layer
from tests.helpers.ranks import on_ranks

SHAPE, RANK = (9, 5, 7), 3


def quadratic(world: World, l2: float = 0.0, free: tuple[bool, ...] = (True, True, True)) -> Quadratic:
    """A model about random factors, whose first mode's rows are divided over the ranks."""
    random = torch.Generator().manual_seed(0)
    factors = [torch.randn(rows, RANK, generator=random, dtype=torch.float64) for rows in SHAPE]
    gradient = [torch.randn(rows, RANK, generator=random, dtype=torch.float64) for rows in SHAPE]
    first = Layer(
        SHAPE[0] * world.rank // world.size, SHAPE[0] * (world.rank + 1) // world.size, world.split(world.rank)
    )
    layers = (first, *(Layer.of_all(rows, world) for rows in SHAPE[1:]))

    def own(parts: list[Tensor]) -> list[Tensor]:
        return [part[layer.held][layer.own] for part, layer in zip(parts, layers, strict=True)]

    grams = [factor.T @ factor for factor in factors]
    may = [torch.full_like(rows, float(moves)) for rows, moves in zip(own(factors), free, strict=True)]
    return Quadratic(own(factors), own(gradient), grams, may, l2, layers, world)


@pytest.mark.parametrize("l2", [0.0, 0.2])
@pytest.mark.parametrize("free", [(True, True, True), (True, False, True)])
def test_the_kernels_step_is_that_of_products(l2: float, free: tuple[bool, ...]) -> None:
    model = quadratic(World.alone(), l2, free)
    (step, promise), (other, promised) = newton_step(model, 0.5), by_products(model, 0.5)
    for own, their in zip(step, other, strict=True):
        torch.testing.assert_close(own, their, rtol=1e-6, atol=1e-8)
    assert promise == pytest.approx(promised, rel=1e-6) and promise > 0
    assert all(bool((own == 0).all()) for own, moves in zip(step, free, strict=True) if not moves)


def first_rows(world: World) -> tuple[Tensor, Tensor, float]:
    step, promise = newton_step(quadratic(world, 0.1), 0.5)
    return world.gather_rows(step[0]), step[1], promise


def test_ranks_that_divide_the_rows_take_the_same_step() -> None:
    alone = first_rows(World.alone())
    for whole, other, promise in on_ranks(2, first_rows):
        torch.testing.assert_close(whole, alone[0], rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(other, alone[1], rtol=1e-6, atol=1e-8)
        assert promise == pytest.approx(alone[2], rel=1e-6)


def test_a_stack_holds_factors_in_whole_registers() -> None:
    factors = [torch.rand(rows, 3, dtype=torch.float64) for rows in (4, 2)]
    stack, edges = stacked(factors)
    assert stack.shape == (6, 4) and edges.tolist() == [0, 4, 6] and not stack[:, 3].any()
    for factor, again in zip(factors, unstacked(stack, edges, 3), strict=True):
        assert torch.equal(factor, again)
