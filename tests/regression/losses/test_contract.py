"""What every loss promises: its gradient is that of its value, and its curvature bounds or equals the second one."""

from __future__ import annotations

import pytest
import torch

from polyadic.errors import UserError
from polyadic.regression.losses import LOSSES, Loss, named
from tests.regression.cases import labels

each = pytest.mark.parametrize("loss", [named(name) for name in LOSSES], ids=lambda loss: loss.name)
B, P = 11, 4


def scores(loss: Loss) -> torch.Tensor:
    """Scores of B samples, some of them far off."""
    generator = torch.Generator().manual_seed(1)
    return 2 * torch.randn(B, 3 if loss.name == "softmax" else 1, generator=generator, dtype=torch.float64)


@each
def test_the_gradient_is_that_of_the_value(loss: Loss) -> None:
    score = scores(loss).requires_grad_()
    label = labels(loss.name, scores(loss))
    (expected,) = torch.autograd.grad(loss.value(score, label).sum(), score)
    assert torch.allclose(loss.gradient(score.detach(), label), expected, atol=1e-8)


@each
def test_rows_make_the_curvature_or_a_bound_of_it(loss: Loss) -> None:
    score, label = scores(loss), labels(loss.name, scores(loss))
    rows = torch.randn(B, score.shape[1], P, dtype=torch.float64)
    weighted = loss.weighted(rows, score, label).reshape(-1, P)
    own = weighted.T @ weighted

    def summed(step: torch.Tensor) -> torch.Tensor:
        return loss.value(score + rows @ step, label).sum()

    nothing = torch.zeros(P, dtype=torch.float64)
    exact: torch.Tensor = torch.autograd.functional.hessian(summed, nothing)  # type: ignore[no-untyped-call]
    if loss.exact:
        assert float(torch.linalg.eigvalsh(own - exact)[0]) > -1e-8
    else:
        assert torch.allclose(own, exact, rtol=1e-6)


@each
def test_the_start_is_where_a_constant_model_is_best(loss: Loss) -> None:
    score = scores(loss)[:1].expand(400, -1)
    label, ones = labels(loss.name, score), torch.ones(400, dtype=torch.float64)
    begun = loss.start(label, ones, score.shape[1])
    value = float(loss.value(begun.expand(400, -1), label).mean())
    moved = [float(loss.value((begun + step).expand(400, -1), label).mean()) for step in (-0.2, 0.2)]
    assert value <= min(moved) + 1e-9 or loss.name == "softmax"
    assert loss.gradient(begun.expand(400, -1), label).mean(0).abs().max() < 0.02


@each
def test_labels_of_another_kind_are_told(loss: Loss) -> None:
    assert bool(loss.allowed(labels(loss.name, scores(loss))).all())
    assert not bool(loss.allowed(torch.tensor([float("nan")])).any())


def test_an_unknown_loss_names_the_nearest() -> None:
    with pytest.raises(UserError, match="logistic"):
        named("logistics")


def test_large_scores_stay_finite() -> None:
    for loss in (named("logistic"), named("poisson")):
        score = torch.tensor([[800.0], [-800.0]], dtype=torch.float64)
        label, rows = torch.tensor([0.0, 1.0]), torch.ones(2, 1, 1, dtype=torch.float64)
        assert torch.isfinite(loss.value(score, label)).all()
        assert torch.isfinite(loss.weighted(rows, score, label)).all()
