"""Tensor regression finds planted weights, from half a dozen samples a number on, and says what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.regression import Product, Regression, tensor_regression
from polyadic.regression.weights import WEIGHTS
from polyadic.regression.weights.cp import CP
from tests.helpers.ranks import on_ranks
from tests.regression.cases import drawn_weight, labels, planted

each = pytest.mark.parametrize("name", list(WEIGHTS))


@each
@pytest.mark.parametrize("shape", [(12, 10), (8, 7, 6), (5, 4, 4, 3), (3, 3, 3, 3, 3)], ids=str)
def test_a_planted_weight_is_recovered_from_three_samples_per_number(name: str, shape: tuple[int, ...]) -> None:
    samples = 3 * drawn_weight(name, shape).degrees_of_freedom
    for seed in range(3):
        x, label, full = planted(name, shape, samples, seed=seed)
        found = tensor_regression(x, label, 2, weight=name, seed=seed)
        assert float((found.weight.full()[..., 0] - full).norm()) < 1e-4
        assert found.intercept_C.item() == pytest.approx(3, abs=1e-4)


@each
def test_noise_costs_what_the_directions_of_the_weight_cost(name: str) -> None:
    shape, noise = (8, 7, 6), 0.3
    errors, expected = [], []
    for seed in range(5):
        weight = drawn_weight(name, shape, seed=seed)
        samples = 6 * weight.degrees_of_freedom
        x, label, full = planted(name, shape, samples, noise=noise, seed=seed)
        found = tensor_regression(x, label, 2, weight=name, seed=seed)
        errors.append(float((found.weight.full()[..., 0] - full).square().sum()))
        expected.append(noise**2 * weight.degrees_of_freedom / (samples - weight.degrees_of_freedom))
    assert sum(errors) < 1.4 * sum(expected)


@pytest.mark.parametrize("loss", ["logistic", "softmax", "poisson", "huber", "absolute"])
@each
def test_each_loss_falls_with_every_sweep_and_finds_the_direction(name: str, loss: str) -> None:
    outputs = 3 if loss == "softmax" else 1
    weight = drawn_weight(name, (5, 4, 3), outputs, seed=3)
    x = torch.randn(900, 5, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    score = 2 * weight.scores(x) / weight.scores(x).std()
    found = tensor_regression(
        x, labels(loss, score), 2, weight=name, loss=loss, outputs=outputs, max_sweeps=40, restarts=2
    )
    assert all(after <= before + 1e-9 for before, after in zip(found.objective, found.objective[1:], strict=False))
    own, true = found.scores(x), score
    if loss == "softmax":
        own, true = own - own.mean(1, keepdim=True), score - score.mean(1, keepdim=True)
    assert float(torch.corrcoef(torch.stack([own.flatten(), true.flatten()]))[0, 1]) > 0.9


def test_huber_is_not_led_by_outliers() -> None:
    x, label, full = planted("cp", (6, 5, 4), 300, noise=0.05)
    label[::20] += 50
    errors = {
        loss: float((tensor_regression(x, label, 2, loss=loss).weight.full()[..., 0] - full).norm())
        for loss in ("squared", "huber", "absolute")
    }
    assert errors["huber"] < errors["squared"] / 5
    assert errors["absolute"] < errors["squared"] / 5


def test_fewer_samples_than_numbers_of_a_block_give_a_finite_answer() -> None:
    x, label, _ = planted("cp", (30, 20), 12, noise=0.1)
    for loss, labels_ in (("squared", label), ("logistic", (label > 3).double())):
        found = tensor_regression(x, labels_, 2, loss=loss, wd=1e-3, max_sweeps=20)
        assert torch.isfinite(found.scores(x)).all()


def test_a_stronger_penalty_makes_a_smaller_weight() -> None:
    x, label, _ = planted("cp", (6, 5, 4), 100, noise=0.5)
    norms = [tensor_regression(x, label, 2, wd=wd).weight.norm_squared() for wd in (1e-6, 0.1, 1.0)]
    assert norms[0] > norms[1] > norms[2] > 0


def test_weights_of_samples_count_as_copies_of_them() -> None:
    x, label, _ = planted("cp", (5, 4), 60, noise=0.3)
    counts = torch.arange(60) % 3
    weighted = tensor_regression(x, label, 1, sample_weight=counts.double(), wd=1e-9, stop_tol=1e-12)
    copied = tensor_regression(
        x.repeat_interleave(counts, 0), label.repeat_interleave(counts), 1, wd=1e-9, stop_tol=1e-12
    )
    assert torch.allclose(weighted.weight.full(), copied.weight.full(), atol=1e-5)


def test_components_are_normalised_ordered_and_of_one_sign() -> None:
    x, label, _ = planted("cp", (6, 5, 4), 200)
    weight = tensor_regression(x, label, 2).weight
    tensors = weight.tensors()
    for mode in range(3):
        factor = tensors[f"factor_{mode}"]
        assert torch.allclose(factor.norm(dim=0), torch.ones(2, dtype=factor.dtype))
        assert (factor.gather(0, factor.abs().argmax(0, keepdim=True)) > 0).all()
    sizes = tensors["outputs"].norm(dim=0)
    assert sizes[0] >= sizes[1]


def test_vectors_that_are_multiplied_equal_their_outer_product() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(150, size, generator=generator, dtype=torch.float64) for size in (4, 3, 5))
    whole = torch.einsum("ni,nj,nk->nijk", a, b, c)
    label = whole.flatten(1) @ drawn_weight("cp", (4, 3, 5), seed=2).full().flatten()
    own = tensor_regression(Product((a, b, c)), label, 2)
    formed = tensor_regression(whole, label, 2)
    assert torch.allclose(own.weight.full(), formed.weight.full(), atol=1e-4)
    assert torch.allclose(own.scores(Product((a, b, c)))[:, 0], label, atol=1e-3)


def test_bic_tells_the_planted_rank() -> None:
    x, label, _ = planted("cp", (7, 6, 5), 300, noise=0.3, rank=2)
    scores = [tensor_regression(x, label, rank).bic for rank in (1, 2, 3)]
    assert scores.index(min(scores)) == 1


def fit_on_rank(world: World, name: str, loss: str, sweeps: int) -> Regression:
    """A fit to this rank's samples."""
    x, label, _ = planted(name, (5, 4, 3), 90, noise=0.2)
    label = (label > 3).double() if loss in ("logistic", "softmax") else label
    own = slice(len(x) * world.rank // world.size, len(x) * (world.rank + 1) // world.size)
    return tensor_regression(
        x[own],
        label[own],
        2,
        weight=name,
        loss=loss,
        outputs=2 if loss == "softmax" else 1,
        wd=1e-2,
        restarts=1,
        max_sweeps=sweeps,
        stop_tol=-1,
        world=world,
    )


@each
@pytest.mark.parametrize("loss", ["squared", "logistic", "softmax"])
def test_two_ranks_equal_one(name: str, loss: str) -> None:
    """Where ranks are more than the data need, rounding chooses directions: those may differ, not what they score."""
    sweep, fit = fit_on_rank(World.alone(), name, loss, 1), fit_on_rank(World.alone(), name, loss, 60)
    for other in on_ranks(2, fit_on_rank, name, loss, 1):
        assert other.mean_loss == pytest.approx(sweep.mean_loss, rel=1e-6)
        if loss != "softmax":
            assert torch.allclose(other.weight.full(), sweep.weight.full(), atol=1e-6)
    for other in on_ranks(2, fit_on_rank, name, loss, 60):
        assert other.mean_loss == pytest.approx(fit.mean_loss, rel=2e-3)
        assert torch.allclose(other.weight.full(), fit.weight.full(), atol=2e-2)


def test_two_ranks_with_fewer_samples_than_numbers_equal_one() -> None:
    one = few_on_rank(World.alone())
    for other in on_ranks(2, few_on_rank):
        assert torch.allclose(other.weight.full(), one.weight.full(), atol=1e-5)


def few_on_rank(world: World) -> Regression:
    """A fit by dual equations, rank 1 with a single sample."""
    x, label, _ = planted("cp", (12, 10), 7, noise=0.2)
    own = slice(0, 6) if world.rank == 0 and world.size > 1 else slice(6 if world.size > 1 else 0, 7)
    return tensor_regression(x[own], label[own], 2, wd=1e-2, restarts=1, max_sweeps=5, world=world)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"label": [1.0, 2.0]}, "6 samples and 2 labels"),
        ({"loss": "logistic"}, "the loss logistic takes 0 or 1"),
        ({"loss": "poisson", "label": [-1.0] * 6}, "counts"),
        ({"loss": "softmax", "outputs": 3, "label": [0, 1, 2, 3, 0, 1]}, "labels count from 0"),
        ({"weight": "tuckr"}, "tucker"),
        ({"rank": [1, 2]}, "it must be a number, or a list of 1"),
        ({"rank": 0}, "1 or more"),
        ({"samples": np.full((6, 3, 2), np.nan)}, "not finite"),
        ({"samples": np.zeros(6)}, "along the first mode"),
        ({"samples": np.zeros((0, 3, 2)), "label": []}, "no samples"),
        ({"wd": -1.0}, "wd is -1"),
        ({"rank": 2.5}, "whole number"),
        ({"rank": None}, "whole number"),
        ({"rank": "2"}, "whole number"),
        ({"outputs": 2}, "softmax has one for each class"),
        ({"outputs": 0, "loss": "softmax"}, "outputs is 0"),
        ({"samples": np.zeros((6, 0, 2))}, "one or more rows in each other"),
        ({"sample_weight": np.zeros(6)}, "none of a weight above 0"),
        ({"sample_weight": [-1.0] * 6}, "none below 0"),
        ({"sample_weight": [1.0] * 5}, "give 6 finite numbers"),
        ({"seed": "a"}, "seed"),
        ({"loss": None}, "loss"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "-".join(value),
)
def test_what_cannot_be_fitted_is_refused(changed: dict[str, object], said: str) -> None:
    given: dict[str, object] = {"samples": np.random.default_rng(0).normal(size=(6, 3, 2)), "label": np.arange(6.0)}
    given |= {"rank": 1} | changed
    with pytest.raises(UserError, match=said):
        tensor_regression(**given)  # type: ignore[arg-type]


def test_constant_labels_and_constant_features_give_a_finite_answer() -> None:
    x = torch.randn(20, 4, 3, dtype=torch.float64)
    x[:, 1] = 0
    found = tensor_regression(x, torch.full((20,), 5.0), 2)
    assert torch.allclose(found.scores(x), torch.full((20, 1), 5.0, dtype=torch.float64), atol=1e-3)


def test_samples_of_order_two_are_taken_and_the_mean_of_the_labels_is_kept() -> None:
    """tensorly/tensorly#19 and tensorly-notebooks#11: order 2 failed, and predictions were off by the mean."""
    x, label, _ = planted("cp", (6, 5), 200, noise=0.1)
    found = tensor_regression(x, label + 100, 2)
    assert float((found.scores(x)[:, 0] - label - 100).mean()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", ["squared", "absolute", "huber"])
def test_units_and_offsets_of_labels_change_nothing(loss: str) -> None:
    x, label, full = planted("cp", (5, 4), 150, noise=0.05)
    for scale, offset in ((1.0, 0.0), (1e-4, 0.0), (1e5, 0.0), (1.0, 1e6)):
        found = tensor_regression(x.float(), label * scale + offset, 2, loss=loss)
        assert float((found.weight.full()[..., 0].double() / scale - full).norm()) < 0.1


@each
def test_units_of_samples_change_nothing(name: str) -> None:
    x, label, full = planted(name, (5, 4, 3), 300, noise=0.05)
    for size in (1e-6, 1e-3, 1e6):
        found = tensor_regression((x * size).float(), label, 2, weight=name, wd=1e-3)
        assert float((found.weight.full()[..., 0].double() * size - full).norm()) < 0.1


@each
@pytest.mark.parametrize("loss", ["squared", "absolute", "huber", "logistic"])
def test_a_fit_begins_where_an_earlier_one_ended(name: str, loss: str) -> None:
    x, label, _ = planted(name, (5, 4, 3), 200, noise=0.2)
    label = (label > 3).double() if loss == "logistic" else 1e4 * label
    first = tensor_regression(x, label, 2, weight=name, loss=loss, wd=1e-2, stop_tol=1e-9)
    before = {key: part.clone() for key, part in first.weight.tensors().items()}
    again = tensor_regression(x, label, 2, weight=name, loss=loss, wd=1e-2, stop_tol=1e-9, init=first.weight)
    assert again.objective[0] == pytest.approx(first.objective[-1], rel=1e-3)
    assert all(torch.equal(part, before[key]) for key, part in first.weight.tensors().items())
    other = tensor_regression(x, label, 1, weight="cp" if name != "cp" else "tucker", loss=loss, max_sweeps=1)
    with pytest.raises(UserError, match="init is no"):
        tensor_regression(x, label, 2, weight=name, loss=loss, init=other.weight)


def test_scores_are_of_samples_of_the_same_shape_in_any_type() -> None:
    x, label, _ = planted("cp", (5, 4), 60)
    found = tensor_regression(x.float(), label, 2)
    assert torch.allclose(found.scores(x), found.scores(x.numpy()))
    assert found.scores(x[:0]).shape == (0, 1)
    with pytest.raises(UserError, match="those of the fit are"):
        found.scores(x.permute(0, 2, 1))


def uneven(world: World, samples: int, name: str) -> float:
    """A fit of which rank 0 has all samples but a few, near where starts are compared in another way."""
    import polyadic.regression.fit as fit

    fit.LARGE_NUMBERS = 2 * 30 * 20
    x, label, _ = planted("cp", (5, 4), 61, noise=0.1)
    cuts = [0, samples, len(x)]
    own = slice(cuts[world.rank], cuts[world.rank + 1]) if world.size > 1 else slice(None)
    return tensor_regression(x[own], label[own], 2, weight=name, world=world).mean_loss


@each
def test_ranks_may_have_unlike_numbers_of_samples_and_none(name: str) -> None:
    for samples in (30, 31, 61):
        first, second = on_ranks(2, uneven, samples, name, seconds=60, fresh=True)
        assert first == pytest.approx(second)


def refused_on_one(world: World) -> str:
    """What a rank says where rank 1 alone is given labels that are too few."""
    x, label, _ = planted("cp", (5, 4), 20)
    try:
        tensor_regression(x, label[: 20 - world.rank], 2, world=world)
    except UserError as error:
        return str(error)
    return ""


def test_what_one_rank_cannot_fit_all_refuse() -> None:
    assert (
        on_ranks(2, refused_on_one, seconds=60)
        == ["there are 20 samples and 19 labels: give a label for each sample"] * 2
    )


@pytest.mark.parametrize(
    "parts",
    [(), (torch.zeros(3, 2), torch.zeros(2, 2)), (torch.zeros(3),), (torch.zeros(3, 2, 1),), (torch.zeros(3, 0),)],
    ids=str,
)
def test_parts_that_make_no_product_are_refused(parts: tuple[torch.Tensor, ...]) -> None:
    with pytest.raises(UserError, match="the parts of a product"):
        Product(parts)


def test_parts_of_a_product_may_be_arrays_of_any_type() -> None:
    made = Product((np.ones((3, 2), np.uint8), torch.ones(3, 4)))  # type: ignore[arg-type]
    assert made.shape == (3, 2, 4)
    assert made.dtype == torch.float64


def test_components_that_are_the_same_and_samples_of_zeros_have_a_fit() -> None:
    """The penalty is singular then, and no sample says anything."""
    same = [torch.ones(20, 6), torch.ones(20, 6)]
    label = torch.arange(12.0)
    found = tensor_regression(torch.zeros(12, 20, 20), label, 6, init=CP(same, torch.ones(1, 6)), wd=1e-2)
    assert float(found.intercept_C[0]) == pytest.approx(float(label.mean()), abs=1e-4)
    assert torch.isfinite(found.weight.full()).all()


def test_the_penalty_of_components_that_cancel_is_that_of_their_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    u, v = (torch.randn(20, 1, generator=generator) for _ in range(2))
    nearly = CP([torch.cat([u, u * (1 + 1e-6)], 1) * 1e3, torch.cat([v, -v], 1)], torch.ones(1, 2))
    whole = nearly.full().double()
    assert nearly.norm_squared() == pytest.approx(float(whole.square().sum()), rel=0.5)
    assert nearly.norm_squared() >= 0
