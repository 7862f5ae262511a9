"""Which algorithm a job means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from polyadic.algorithms import ALGORITHMS, choose, named
from polyadic.errors import UserError
from tests.helpers.tiny_jobs import job

DEEPAR = {"time_freq": "H", "context_length": "6", "prediction_length": "3", "epochs": "1"}

# As AWS's documentation and example notebooks for DeepAR set them.
DOCUMENTED: dict[str, dict[str, str]] = {
    "electricity": {
        "time_freq": "2H",
        "epochs": "400",
        "early_stopping_patience": "40",
        "mini_batch_size": "64",
        "learning_rate": "5E-4",
        "context_length": "84",
        "prediction_length": "84",
    },
    "synthetic": {
        "time_freq": "H",
        "context_length": "72",
        "prediction_length": "48",
        "num_cells": "40",
        "num_layers": "3",
        "likelihood": "gaussian",
        "epochs": "20",
        "mini_batch_size": "32",
        "learning_rate": "0.001",
        "dropout_rate": "0.05",
        "early_stopping_patience": "10",
    },
    "everything": {
        "_kvstore": "auto",
        "_num_gpus": "auto",
        "_num_kv_servers": "auto",
        "_tuning_objective_metric": "",
        "cardinality": "auto",
        "dropout_rate": "0.10",
        "early_stopping_patience": "",
        "embedding_dimension": "10",
        "learning_rate": "0.001",
        "likelihood": "student-t",
        "mini_batch_size": "128",
        "num_cells": "40",
        "num_dynamic_feat": "auto",
        "num_eval_samples": "100",
        "num_layers": "2",
        "test_quantiles": "[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]",
        **DEEPAR,
    },
    "cat and dynamic_feat": {"cardinality": "[3,7]", "num_dynamic_feat": "1", **DEEPAR},
    "neither": {"cardinality": "", "num_dynamic_feat": "", **DEEPAR},
}


@pytest.mark.parametrize("example", sorted(DOCUMENTED))
def test_a_deepar_job_is_a_forecaster(example: str) -> None:
    algorithm, settings = choose(DOCUMENTED[example])
    assert algorithm.name == "forecaster"
    assert settings.model_dump()["time_freq"] == DOCUMENTED[example]["time_freq"]


def test_deepars_defaults_are_ours() -> None:
    _, few = choose(DEEPAR)
    _, everything = choose(DOCUMENTED["everything"])
    assert few == everything


@pytest.mark.parametrize("example", ["synthetic", "everything"])
def test_a_deepar_job_runs_unchanged(example: str, tmp_path: Path) -> None:
    """But for its size: lengths and epochs as small as the data."""
    raw = {**DOCUMENTED[example], **DEEPAR}
    algorithm, prepared = job(raw, tmp_path, ALGORITHMS["forecaster"].tiny_job.channels())
    assert algorithm.fit(prepared).artifact().metrics["test:RMSE"] > 0


def test_a_job_with_a_rank_is_a_cp() -> None:
    algorithm, settings = choose({"rank": "5"})
    assert algorithm.name == "cp" and settings.model_dump()["rank"] == 5


@pytest.mark.parametrize("name", ["cp", '"cp"', '"\\"cp\\""', " cp "])
def test_an_algorithm_is_named_in_every_producers_way(name: str) -> None:
    assert choose({"algorithm": name, "rank": "5"})[0].name == "cp"


def refusal(raw: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        choose(raw)
    return str(caught.value)


DEEPAR_LIKELIHOODS = ("gaussian", "beta", "negative-binomial", "student-T", "deterministic-L1")
"""As DeepAR's documentation lists them."""

CHOICES = "set algorithm to one of " + "; ".join(
    f"{algorithm.name} (needs {', '.join(algorithm.required)})" if algorithm.required else algorithm.name
    for algorithm in ALGORITHMS.values()
)
KNOWN = ", ".join(ALGORITHMS)


def test_where_none_fits_the_choices_are_listed() -> None:
    message = refusal({"num_cells": "40"})
    assert message == f"hyperparameter algorithm is missing, and the others (num_cells) fit no algorithm: {CHOICES}"


def test_where_several_fit_the_choices_are_listed() -> None:
    message = refusal({**DEEPAR, "rank": "5"})
    assert "fit cp and forecaster" in message and message.endswith(CHOICES)


def test_an_algorithm_that_requires_no_hyperparameter_is_never_guessed() -> None:
    assert refusal({"ranks": "[2, 2]"}).endswith(f"the others (ranks) fit no algorithm: {CHOICES}")
    assert choose({"algorithm": "tucker", "ranks": "[2, 2]"})[0].name == "tucker"


@pytest.mark.parametrize("raw", [{}, {"sagemaker_region": "eu-west-1", "_tuning_objective_metric": "x"}])
def test_without_any_hyperparameter_the_choices_are_listed(raw: dict[str, Any]) -> None:
    message = refusal(raw)
    assert "no hyperparameters" in message and message.endswith(CHOICES)


@pytest.mark.parametrize(
    ("name", "hint"), [("forcaster", "did you mean 'forecaster'? "), ("CP", "did you mean 'cp'? "), ("kmeans", "")]
)
def test_a_misspelt_algorithm_has_its_nearest_named(name: str, hint: str) -> None:
    assert (
        refusal({"algorithm": name, "rank": "5"})
        == f"unknown algorithm {name!r}: {hint}{'Known' if hint else 'known'} are {KNOWN}"
    )
    with pytest.raises(UserError, match="unknown algorithm"):
        named(name)


def test_a_misspelt_hyperparameter_of_a_named_algorithm_has_its_nearest_named() -> None:
    message = refusal({"algorithm": "cp", "rnk": "5"})
    assert "unknown hyperparameter 'rnk': did you mean 'rank'?" in message
    assert "hyperparameter rank is missing: it must be an integer, 1 or more" in message


def test_a_misspelt_required_hyperparameter_has_its_nearest_named_without_an_algorithm() -> None:
    message = refusal({"time_freq": "H", "context_length": "6", "prediction_lenght": "3", "epochs": "1"})
    assert "did you mean 'prediction_length'?" in message


@pytest.mark.parametrize("likelihood", DEEPAR_LIKELIHOODS)
def test_every_likelihood_of_deepars_is_here_however_it_is_capitalised(likelihood: str) -> None:
    for written in (likelihood, likelihood.lower(), likelihood.upper()):
        assert choose({**DEEPAR, "likelihood": written})[1].model_dump()["likelihood"] == likelihood


def test_another_likelihood_is_refused_with_those_that_are_here() -> None:
    message = refusal({**DEEPAR, "likelihood": "poisson"})
    assert message.startswith("hyperparameter likelihood is 'poisson': it must be ")
    assert all(likelihood in message for likelihood in DEEPAR_LIKELIHOODS)
