"""What other packages' users reported, each as the right behaviour here; those of layers stand in their own tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.errors import UserError
from polyadic.regression import tensor_regression
from tests.helpers.samples import planted, table
from tests.helpers.tiny_jobs import job

ADAM = {"solver": "adam", "epochs": "40", "mini_batch_size": "16", "learning_rate": "0.01"}
each_solver = pytest.mark.parametrize("solver", [{"solver": "als"}, ADAM], ids=["als", "adam"])


def fit(folder: Path, settings: dict[str, str], x: Any, label: Any) -> Any:
    algorithm, prepared = job({"rank": "2", "wd": "0.001", **settings}, folder, {"train": {"a.jsonl": table(x, label)}})
    return algorithm.fit(prepared)


@pytest.mark.parametrize("ranks", [[2], [2, 2, 2]])
@pytest.mark.parametrize("form", ["tucker", "tensor-train"])
def test_a_rank_list_of_the_wrong_length_is_told(form: str, ranks: list[int]) -> None:
    """tensorly#194: a bare IndexError."""
    x, label = planted(30, shape=(4, 5))
    given = [*ranks, 2] if form == "tensor-train" and len(ranks) == 1 else ranks
    with pytest.raises(UserError, match="rank is .*: it must be a number, or a list of"):
        tensor_regression(torch.from_numpy(x), torch.from_numpy(label), given, weight=form)


@each_solver
def test_there_are_classifiers(solver: dict[str, str], tmp_path: Path) -> None:
    """tensorly#273: regressors alone."""
    x, score = planted(200)
    label = np.digitize(score, np.quantile(score, [1 / 3, 2 / 3]))
    model = fit(tmp_path, {"predictor_type": "multiclass_classifier", **solver}, x, label)
    assert model.metrics["train:multiclass_accuracy"] > 0.85


@each_solver
@pytest.mark.parametrize("size", [1e-5, 1e5])
def test_large_and_small_numbers_are_learned_by_the_usual_rate(
    solver: dict[str, str], size: float, tmp_path: Path
) -> None:
    """fastFM#70: gradients were NaN until the rate was 1e-7."""
    x, score = planted(200)
    model = fit(tmp_path, {"predictor_type": "regressor", **solver}, x * size, score * size)
    assert model.metrics["train:r2"] > 0.9


@each_solver
def test_classes_that_nothing_confuses_have_a_finite_loss(solver: dict[str, str], tmp_path: Path) -> None:
    """xlearn#316: the log loss of sure answers was NaN."""
    x, score = planted(150, noise=0.0)
    label = (score > np.median(score)).astype(int)
    settings = {"predictor_type": "binary_classifier", **solver, "wd": "0"}
    model = fit(tmp_path, settings, 1000 * x, label)
    assert 0 <= model.metrics["train:objective_loss"] < 0.3
    answers = model.predict([model.parse({"features": (1e6 * each).tolist()}, {}) for each in x[:20]])
    assert all(0 <= answer["score"] <= 1 for answer in answers)


@each_solver
def test_columns_of_zeros_and_constant_ones_are_no_fault(solver: dict[str, str], tmp_path: Path) -> None:
    """fastFM#46: a column of zeros ended the process."""
    x, score = planted(150)
    x[:, 2], x[:, :, 1] = 0, 7
    model = fit(tmp_path, {"predictor_type": "regressor", **solver}, x, score - score.mean() + x[:, 0, 0])
    assert np.isfinite(model.metrics["train:rmse"])
    [answer] = model.predict([model.parse({"features": x[0].tolist()}, {})])
    assert np.isfinite(answer["score"])


@each_solver
def test_the_mean_of_the_labels_is_kept(solver: dict[str, str], tmp_path: Path) -> None:
    """tensorly-notebooks#11: without an intercept predictions were off by the mean."""
    x, score = planted(150)
    model = fit(tmp_path, {"predictor_type": "regressor", **solver}, x, score + 1000)
    answers = model.predict([model.parse({"features": each.tolist()}, {}) for each in x])
    assert np.mean([answer["score"] for answer in answers]) == pytest.approx((score + 1000).mean(), abs=0.2)
