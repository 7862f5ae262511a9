"""Hyperparameters that ask for more than any machine has are refused before anything is taken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from polyadic.errors import UserError
from tests.helpers.tiny_jobs import train

HUGE = [
    ("cp", {"rank": "1000000000"}, "lower rank"),
    ("cp", {"rank": "1000000000", "loss": "poisson"}, "lower rank, or set method=adam"),
    ("lda", {"feature_dim": "1000000000000"}, "lower num_topics or feature_dim"),
    ("lda", {"num_topics": "1000000", "feature_dim": "10000000"}, "lower num_topics or feature_dim"),
    ("forecaster", {"num_cells": "10000000"}, "lower num_cells"),
    ("forecaster", {"num_layers": "1000000000"}, "lower num_cells"),
]


@pytest.mark.parametrize("name", ["tt_order", "tt_lags"])
def test_what_no_machine_unrolls_has_a_limit(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"hyperparameter {name} is 1000000: it must be .* at most"):
        train("forecaster", tmp_path, {name: "1000000"})


@pytest.mark.parametrize(("algorithm", "settings", "remedy"), HUGE)
def test_it_is_refused_with_the_sizes_and_the_remedy(
    tmp_path: Path, algorithm: str, settings: dict[str, str], remedy: str
) -> None:
    with pytest.raises(
        UserError, match=rf"{algorithm} needs about [\d,.]+ [TPE]B a process .* are there: .*{re.escape(remedy)}"
    ):
        train(algorithm, tmp_path, settings)
