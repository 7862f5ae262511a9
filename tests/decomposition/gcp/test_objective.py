"""The loss of a generalized CP model and its gradient, for each loss and each form of a tensor."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.data import Data
from polyadic.decomposition.gcp import objective as gcp_objective
from polyadic.decomposition.gcp import parts as gcp_parts
from polyadic.decomposition.gcp.lbfgs import gcp
from polyadic.decomposition.gcp.loss import Loss
from polyadic.decomposition.gcp.losses import LOSSES
from polyadic.decomposition.gcp.losses.bernoulli_logit import BernoulliLogit
from polyadic.decomposition.gcp.losses.gaussian import Gaussian
from polyadic.decomposition.gcp.losses.poisson import Poisson
from polyadic.decomposition.gcp.objective import Objective
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.dense import reconstruct
from polyadic.tensor.sparse import SparseTensor
from tests.helpers.gcp_cases import FORMS, LOSS_NAMES, data, gaps, means, normal, part

SHAPES = [(9, 7), (6, 5, 4), (3, 4, 5, 2), (2, 3, 2, 4, 3)]


def plain(loss: Loss, tensor: Tensor, seen: Tensor, stack: Tensor, l2: float) -> tuple[Tensor, Tensor]:
    """The mean loss an entry and |X - Y|², of the whole reconstruction."""
    factors = list(torch.split(stack, list(tensor.shape)))
    model = reconstruct(torch.ones(stack.shape[1], dtype=stack.dtype), factors)
    square = ((tensor - loss.mean(model))[seen]).square().sum()
    return (loss.value(tensor, model)[seen].sum() + l2 * stack.square().sum()) / seen.sum(), square


@pytest.mark.parametrize("name", LOSS_NAMES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_is_autograds(
    shape: tuple[int, ...], form: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcp_parts, "BLOCK_ENTRIES", {"cpu": 24})  # Several blocks, the last of them not full.
    tensor, loss = data(name, shape, 2), LOSSES[name]()
    seen = gaps(shape) if form in ("masked", "observed") else torch.ones(shape, dtype=torch.bool)
    stack = torch.rand(sum(shape), 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.1
    expected, square = plain(loss, tensor, seen, stack.requires_grad_(), l2=0.7)
    found = Objective(Data.of(**part(tensor, form, World.alone())), loss, 0.7)(stack.detach())
    assert found.loss == pytest.approx(expected.item(), rel=1e-10)
    assert found.square == pytest.approx(square.item(), rel=1e-10)
    torch.testing.assert_close(found.gradient, torch.autograd.grad(expected, stack)[0])


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_float32_is_evaluated_in_float32(form: str) -> None:
    tensor, loss = data("poisson", (6, 5, 4), 2), Poisson()
    stack = torch.rand(15, 3, generator=torch.Generator().manual_seed(1)) + 0.1
    exact = Objective(Data.of(**part(tensor, form, World.alone())), loss)(stack.double())
    found = Objective(Data.of(**part(tensor.float(), form, World.alone())), loss)(stack)
    assert found.loss == pytest.approx(exact.loss, rel=1e-5)
    torch.testing.assert_close(found.gradient, exact.gradient, rtol=1e-4, atol=1e-6)


def test_the_error_is_true_also_where_round_off_would_drown_it() -> None:
    """Of a near-exact model in float32, |X|² - 2 <X, Y> + |Y|² is round-off."""
    tensor, factors = normal((20, 15, 12), 3)
    tensor, stack = tensor.float(), torch.cat(factors).float() * (1 + 1e-5)
    model = reconstruct(torch.ones(3).double(), list(torch.split(stack.double(), [20, 15, 12])))
    for form in ("dense", "zeros"):
        objective = Objective(Data.of(**part(tensor, form, World.alone())), Gaussian())
        found = objective.error(stack, objective(stack))
        assert found == pytest.approx(float((tensor.double() - model).norm() / tensor.double().norm()), rel=1e-2)


def test_gamma_takes_absent_entries_as_zeros_and_refuses_written_ones() -> None:
    rates = means((6, 5, 4), 2)[0]
    sparse = SparseTensor.of(torch.where(gaps(rates.shape), rates, 0))
    assert math.isfinite(gcp(sparse, 2, "gamma", max_iterations=5).relative_error)
    written = SparseTensor(
        sparse.indices, torch.zeros_like(sparse.values).index_fill_(0, torch.tensor([0]), 1), (6, 5, 4)
    )
    with pytest.raises(UserError, match="the tensor holds 0: loss gamma"):
        gcp(written, 2, "gamma")


def test_zeros_too_many_to_go_through_are_refused_where_no_closed_form_sums_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sparse = SparseTensor.of(data("bernoulli-logit", (6, 5, 4), 2))
    monkeypatch.setattr(gcp_objective, "MOST_ENTRIES", 119)
    message = "the tensor has 120 entries, zeros among them: with loss bernoulli-logit .* 119 at most. Use method=adam"
    with pytest.raises(UserError, match=message):
        gcp(sparse, 2, BernoulliLogit())
    for loss in ("gaussian", "poisson"):
        gcp(sparse, 2, loss, max_iterations=3)
    gcp(sparse, 2, "huber", observed=True, max_iterations=3)
