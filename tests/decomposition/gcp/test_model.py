"""Stacks of factors: where a generalized fit begins, and the model that it ends with."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.data import Data
from polyadic.decomposition.gcp.losses import LOSSES
from polyadic.decomposition.gcp.losses.bernoulli_logit import BernoulliLogit
from polyadic.decomposition.gcp.losses.gaussian import Gaussian
from polyadic.decomposition.gcp.model import begin, finish, products_of_others, split
from polyadic.decomposition.gcp.objective import count
from polyadic.distributed import World
from polyadic.tensor.cp_tensor import CPTensor
from tests.helpers.gcp_cases import FORMS, data, dense, gaps, means, normal, part

SHAPE = (7, 9, 6)


def start(name: str, form: str, init: Literal["random", "svd"] = "random", rank: int = 3) -> CPTensor:
    whole = Data.of(**part(data(name, SHAPE, 2), form, World.alone()))
    stack = begin(whole, LOSSES[name](), rank, init, 0, first=True, entries=count(whole))
    lengths = torch.stack([factor.norm(dim=0) for factor in split(stack, SHAPE)])
    if name != "bernoulli-logit":
        torch.testing.assert_close(lengths, lengths[:1].expand(3, -1))
    return finish(stack, SHAPE, torch.float64, 0.0)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("init", ["random", "svd"])
def test_a_fit_begins_with_the_datas_mean_or_norm(form: str, init: Literal["random", "svd"]) -> None:
    for name in ("poisson", "gaussian"):
        tensor, model = data(name, SHAPE, 2), dense(start(name, form, init))
        seen = tensor[gaps(SHAPE)] if form in ("masked", "observed") else tensor
        if name == "poisson":
            assert bool((model >= 0).all())
            assert float(model.mean()) == pytest.approx(float(seen.mean()))
        else:
            assert float(model.square().mean()) == pytest.approx(float(seen.square().mean()))


def test_rare_ones_begin_with_an_intercept() -> None:
    ones = torch.zeros(30, 20, 10)
    ones[::7, ::5, ::4] = 1
    whole = Data.of(**part(ones, "zeros", World.alone()))
    stack = begin(whole, BernoulliLogit(), 2, "random", 0, first=True, entries=6000)
    model = finish(stack, ones.shape, torch.float64, 0.0)
    assert float(torch.sigmoid(dense(model)).mean()) == pytest.approx(float(ones.mean()), rel=0.2)
    assert float(torch.sigmoid(dense(start("bernoulli-logit", "dense"))).mean()) == pytest.approx(0.5, abs=0.2)


def test_a_given_model_is_where_a_fit_begins() -> None:
    tensor = normal((5, 6, 7), 2)[0]
    model = cp(tensor, 2)
    stack = begin(Data.of(tensor, World.alone()), Gaussian(), 2, model, 0, first=True, entries=210)
    found = finish(stack, (5, 6, 7), torch.float64, 0.0)
    torch.testing.assert_close(dense(found), dense(model))
    torch.testing.assert_close(found.weights, model.weights)


def test_a_column_of_zeros_stays_one() -> None:
    stack = torch.cat([factor * torch.tensor([1.0, 0.0]) for factor in means((3, 4), 2)[1]])
    model = finish(stack, (3, 4), torch.float32, 0.5)
    assert model.relative_error == 0.5 and model.weights[1] == 0
    assert all(factor.isfinite().all() and factor.dtype == torch.float32 for factor in model.factors)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_products_of_all_products_of_others(count: int) -> None:
    parts = list(torch.rand(count, 3, 2, dtype=torch.float64) + 0.5)
    for own, rest in zip(parts, products_of_others(parts), strict=True):
        torch.testing.assert_close(rest * own, torch.stack(parts).prod(0))
