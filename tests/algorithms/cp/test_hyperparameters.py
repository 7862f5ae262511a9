"""The settings of a cp job: names, choices, and what auto means."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from polyadic.algorithms.cp.hyperparameters import Hyperparameters
from polyadic.decomposition.gcp.losses import LOSSES
from polyadic.decomposition.gcp.losses.huber import Huber
from polyadic.errors import UserError
from polyadic.jobs.hyperparameters import parse


def settings(**changes: Any) -> Hyperparameters:
    return parse(Hyperparameters, {"rank": "2", **changes})


def test_the_former_name_of_the_stopping_tolerance_is_refused_with_the_present_one() -> None:
    message = r"hyperparameter tol is called stop_tol here: a number, 0 or more \(stop when the fit changes by less"
    with pytest.raises(UserError, match=message):
        settings(tol="1e-6")
    assert settings(stop_tol="1e-3").stop_tol == 1e-3


def test_every_loss_may_be_chosen() -> None:
    assert get_args(Hyperparameters.model_fields["loss"].annotation) == tuple(LOSSES)
    for name in LOSSES:
        assert settings(loss=name).loss_function() == LOSSES[name]()


def test_a_loss_takes_its_own_parameters() -> None:
    assert settings(loss="huber", huber_delta="0.25").loss_function() == Huber(0.25)


@pytest.mark.parametrize(
    ("changes", "every_entry", "method"),
    [
        ({}, True, "auto"),
        ({}, False, "auto"),
        ({"method": "nls"}, False, "nls"),
        ({"loss": "gamma"}, True, "lbfgs"),
        ({"loss": "gamma"}, False, "adam"),
        ({"loss": "gamma", "method": "lbfgs"}, False, "lbfgs"),
        ({"method": "sampled-als"}, True, "sampled-als"),
        ({"method": "adam"}, True, "adam"),
    ],
)
def test_auto_is_the_method_that_fits_the_loss_and_the_data(
    changes: dict[str, str], every_entry: bool, method: str
) -> None:
    assert settings(**changes).method_for(every_entry=every_entry) == method
