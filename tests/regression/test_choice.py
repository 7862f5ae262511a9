"""The rank and the penalty that held samples speak for."""

from __future__ import annotations

import pytest
import torch

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.regression import Product, choose
from tests.helpers.ranks import on_ranks
from tests.regression.cases import planted


def test_the_planted_rank_is_chosen_and_the_fit_has_all_samples() -> None:
    x, label, full = planted("cp", (8, 7, 6), 500, noise=0.3, rank=2)
    choice = choose(x, label, ranks=(1, 2, 3, 4, 5))
    assert choice.rank == 2
    assert choice.regression.samples == 500
    assert float((choice.regression.weight.full()[..., 0] - full).norm()) < 0.2
    assert {rank for rank, _ in choice.losses} == {1, 2, 3, 4}  # Two in a row that are no better end it.


def test_few_samples_ask_for_a_penalty() -> None:
    x, label, _ = planted("cp", (12, 10), 60, noise=1.0)
    choice = choose(x, label, ranks=(2,), validation=planted("cp", (12, 10), 2000, noise=1.0)[:2])
    assert choice.wd >= 0.03
    assert choice.losses[2, choice.wd] < choice.losses[2, 1e-5]


def test_other_samples_to_choose_by_are_not_fitted_to() -> None:
    x, label, _ = planted("tucker", (6, 5), 200, noise=0.1)
    choice = choose(x[:150], label[:150], ranks=(1, 2), validation=(x[150:], label[150:]), weight="tucker")
    assert choice.regression.samples == 150


def test_products_and_classes_are_chosen_for_too() -> None:
    generator = torch.Generator().manual_seed(0)
    parts = tuple(torch.randn(300, size, generator=generator) for size in (4, 3))
    label = (parts[0][:, 0] * parts[1][:, 1] > 0).float()
    choice = choose(Product(parts), label, ranks=(1, 2), penalties=(0.1, 0.01), loss="logistic")
    right = ((choice.regression.scores(Product(parts))[:, 0] > 0) == (label > 0)).float().mean()
    assert right > 0.9


def test_too_few_samples_are_told() -> None:
    with pytest.raises(UserError, match="too few to hold"):
        choose(torch.randn(1, 3, 2), torch.zeros(1))


def chosen_on_rank(world: World) -> tuple[int, float]:
    """The choice of a rank that has a half of the samples."""
    x, label, _ = planted("cp", (6, 5, 4), 300, noise=0.3)
    own = slice(150 * world.rank, 150 * world.rank + 150)
    choice = choose(x[own], label[own], ranks=(1, 2, 3), penalties=(0.1, 1e-3), world=world)
    return choice.rank, choice.wd


def test_ranks_choose_alike() -> None:
    assert on_ranks(2, chosen_on_rank) == [(2, 1e-3)] * 2
