"""The rank and the penalty that held samples speak for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.regression import Product, choice, choose
from tests.helpers.ranks import on_ranks
from tests.regression.cases import planted


def test_the_planted_rank_is_chosen_and_the_fit_has_all_samples() -> None:
    x, label, full = planted("cp", (8, 7, 6), 500, noise=0.3, rank=2)
    choice = choose(x, label, ranks=(1, 2, 3, 4, 5))
    assert choice.rank == 2
    assert choice.regression.samples == 500
    assert float((choice.regression.weight.full()[..., 0] - full).norm()) < 0.2
    assert {rank for rank, *_ in choice.losses} == {1, 2, 3, 4}  # Two in a row that are no better end it.


def test_few_samples_ask_for_a_penalty() -> None:
    x, label, _ = planted("cp", (12, 10), 60, noise=1.0)
    choice = choose(x, label, ranks=(2,), validation=planted("cp", (12, 10), 2000, noise=1.0)[:2])
    assert choice.wd >= 0.03
    assert (
        choice.losses[2, choice.wd, 0.0, False] < choice.losses[2, min(wd for _, wd, *_ in choice.losses), 0.0, False]
    )


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


def pictures(count: int, edges: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise, 16 x 18, labels of a diagonal ridge in it, or of single pixels; and that."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.arange(16.0)[:, None], torch.arange(18.0)
    full = torch.exp(-((rows - columns) ** 2) / 12)
    if edges:
        full = (torch.outer(torch.arange(16) % 3 == 0, torch.arange(18) % 4 == 0)).float() * 0.3
    x = torch.randn(count, 16, 18, generator=generator)
    return x, x.flatten(1) @ full.flatten() + 0.5 * torch.randn(count, generator=generator), full


def test_smooth_weights_are_found_smooth_and_others_are_not() -> None:
    errors = {}
    for edges in (False, True):
        x, label, full = pictures(300 if edges else 150, edges)
        chosen = choose(x, label, ranks=(1, 2, 4, 6), penalties=(0.1, 0.01))
        plain = choose(x, label, ranks=(1, 2, 4, 6), penalties=(0.1, 0.01), ways=[(0, False)])
        assert (chosen.smoothness, chosen.edges) == ((0 if edges else 16), False)
        found = [each.regression.weight.full()[..., 0] for each in (chosen, plain)]
        errors[edges] = [float((each - full).norm() / full.norm()) for each in found]
    assert errors[False][0] < 0.7 * errors[False][1]
    assert errors[True][0] == pytest.approx(errors[True][1])


def regions(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise, 24 x 20, labels of a rectangle in it; and that."""
    generator = torch.Generator().manual_seed(seed)
    full = torch.zeros(24, 20)
    full[6:17, 5:13] = 1
    x = torch.randn(count, 24, 20, generator=generator)
    return x, x.flatten(1) @ full.flatten() + torch.randn(count, generator=generator), full


def test_what_is_flat_between_edges_is_found_so() -> None:
    x, label, full = regions(300)
    chosen = choose(x, label, ranks=(1, 2), penalties=(0.1, 0.01))
    plain = choose(x, label, ranks=(1, 2), penalties=(0.1, 0.01), ways=[(0, False), (16, False)])
    errors = [float((each.regression.weight.full()[..., 0] - full).norm()) for each in (chosen, plain)]
    assert chosen.edges and errors[0] < 0.6 * errors[1]


@pytest.mark.parametrize("weighted", [False, True])
def test_large_samples_are_divided_without_a_copy_and_the_losses_are_the_same(
    weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, label, _ = planted("cp", (6, 5), 200, noise=0.5)
    options: dict[str, Any] = {"sample_weight": torch.arange(200) % 3} if weighted else {}
    copied = choose(x, label, ranks=(1, 2), penalties=(0.1, 1e-3), **options)
    monkeypatch.setattr(choice, "COPIED_NUMBERS", 0)
    counted = choose(x, label, ranks=(1, 2), penalties=(0.1, 1e-3), **options)
    assert (counted.rank, counted.wd) == (copied.rank, copied.wd)
    assert counted.losses == pytest.approx(copied.losses, rel=0.02)  # The unit of all samples is not that of some.


@pytest.mark.parametrize("last", [1, 30, 1000])
def test_a_stop_returns_the_best_so_far(last: int) -> None:
    x, label, _ = planted("cp", (8, 7, 6), 500, noise=0.3, rank=2)
    sweeps = 0

    def counted(_: object) -> bool:
        nonlocal sweeps
        sweeps += 1
        return sweeps < last

    found = choose(x, label, ranks=(1, 2, 3), penalties=(0.1, 1e-3), after_sweep=counted)
    assert sweeps <= last
    every = choose(x, label, ranks=(1, 2, 3), penalties=(0.1, 1e-3))
    same = {key: loss for key, loss in found.losses.items() if every.losses[key] == loss}
    assert len(same) >= len(found.losses) - 1  # Only the fit that was stopped differs.
    key = min(found.losses, key=lambda tried: found.losses[tried])
    assert (found.rank, found.wd) == key[:2]
    assert (found.regression.samples == 500) == (last == 1000)


def test_a_stop_during_the_last_fit_keeps_the_one_that_was_chosen() -> None:
    x, label, _ = planted("cp", (8, 7, 6), 500, noise=0.3, rank=2)
    total = 0

    def every(_: object) -> bool:
        nonlocal total
        total += 1
        return True

    whole = choose(x, label, ranks=(2,), penalties=(1e-3,), after_sweep=every)
    last, total = total, 0
    found = choose(x, label, ranks=(2,), penalties=(1e-3,), after_sweep=lambda state: every(state) and total < last)
    assert whole.regression.samples == 500 and found.regression.samples < 450
    assert found.losses == whole.losses


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


def test_the_unit_of_labels_does_not_change_the_choice() -> None:
    x, label, _ = planted("cp", (5, 4), 80, noise=0.3)
    label[:4] += 20
    choices = [choose(x, label * scale, loss="huber", ranks=(1, 2, 3), penalties=(0.1, 1e-3)) for scale in (1e-3, 1e3)]
    assert (choices[0].rank, choices[0].wd) == (choices[1].rank, choices[1].wd)


def test_weights_of_samples_and_lists_of_ranks_are_taken() -> None:
    x, label, _ = planted("tucker", (6, 5), 300, noise=0.1, seed=1)
    weights = (torch.arange(300) % 3).double()
    choice = choose(x, label, ranks=([1, 1], [2, 2]), penalties=(1e-2,), weight="tucker", sample_weight=weights)
    assert choice.rank == [2, 2]
    assert choice.regression.samples == 300
    assert set(choice.losses) == {((1, 1), 1e-2, 0.0, False), ((2, 2), 1e-2, 0.0, False)}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ranks": ()}, "one or more of each"),
        ({"penalties": ()}, "one or more of each"),
        ({"ways": ()}, "one or more of each"),
        ({"ways": [16.0]}, "give pairs of a smoothness"),
        ({"ways": [(16.0,)]}, "give pairs of a smoothness"),
        ({"ways": [(-1.0, False)]}, "smoothness of a way"),
        ({"ways": [(0.0, True)]}, "give smoothness above 0"),
        ({"wd": 0.1}, "no wd, smoothness, edges or init"),
        ({"edges": True}, "no wd, smoothness, edges or init"),
        ({"label": torch.zeros(4)}, "20 samples and 4 labels"),
        ({"validation": (torch.zeros(5, 3, 2), torch.zeros(1))}, "5 validation samples and 1 labels"),
        ({"validation": (torch.zeros(5, 2, 3), torch.zeros(5))}, "validation samples have shape"),
        ({"validation": (torch.full((5, 3, 2), float("nan")), torch.zeros(5))}, "not finite"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "-".join(value),
)
def test_what_cannot_be_chosen_by_is_refused(changed: dict[str, object], said: str) -> None:
    given: dict[str, object] = {"samples": torch.randn(20, 3, 2), "label": torch.randn(20)} | changed
    with pytest.raises(UserError, match=said):
        choose(**given)  # type: ignore[arg-type]
