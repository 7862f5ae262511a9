"""Weights that are smooth, or flat between edges, by hyperparameters or by choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.samples import table
from tests.helpers.tiny_jobs import job


def fit(folder: Path, settings: dict[str, str], train: dict[str, bytes], **channels: dict[str, bytes]) -> Any:
    algorithm, prepared = job(settings, folder, {"train": train, **channels})
    return algorithm.fit(prepared)


def ridge(count: int, seed: int = 0) -> tuple[Any, Any]:
    """Noise, 16 x 18, and labels of a diagonal ridge in it: smooth, and of no low rank."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 16, 18))
    full = np.exp(-np.square(np.arange(16)[:, None] - np.arange(18)) / 12)
    return x, (x * full).sum((1, 2)) + 0.5 * random.normal(size=count)


@pytest.mark.parametrize("validated", [True, False])
def test_smoothness_is_chosen_where_it_helps(
    validated: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    channels = {"validation": {"a.jsonl": table(*ridge(100, 1))}} if validated else {}
    channels["test"] = {"a.jsonl": table(*ridge(200, 2))}
    train, settings = {"a.jsonl": table(*ridge(150))}, {"predictor_type": "regressor", "wd": "0.1"}
    chosen = fit(tmp_path / "chosen", settings, train, **channels)
    assert " and smoothness 16, the best on" in capsys.readouterr().err
    plain = fit(tmp_path / "plain", {**settings, "smoothness": "0"}, train, **channels)
    assert chosen.metrics["test:rmse"] < 0.8 * plain.metrics["test:rmse"]
    given = fit(tmp_path / "given", {**settings, "smoothness": "16", "rank": "4"}, train, **channels)
    assert given.metrics["test:rmse"] < 0.8 * plain.metrics["test:rmse"]


def test_intervals_are_of_the_smooth_fit(tmp_path: Path) -> None:
    settings = {"predictor_type": "regressor", "rank": "2", "wd": "0.1", "smoothness": "100", "bootstrap": "20"}
    model = fit(tmp_path, settings, {"a.jsonl": table(*ridge(150))})
    low, high = (part.numpy() for part in model.intervals)
    whole = model.scorer.weight.full().numpy()
    inside = (low - 1e-3 <= whole) & (whole <= high + 1e-3)
    assert inside.mean() > 0.8


def regions(count: int, seed: int = 0) -> tuple[Any, Any]:
    """Noise, 20 x 18, and labels of a rectangle in it."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 20, 18))
    return x, x[:, 5:13, 4:12].sum((1, 2)) + random.normal(size=count)


def test_edges_are_chosen_where_they_help(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, test = {"a.jsonl": table(*regions(200))}, {"a.jsonl": table(*regions(300, 1))}
    settings = {"predictor_type": "regressor", "bootstrap": "5"}
    chosen = fit(tmp_path / "chosen", settings, train, test=test)
    assert " and smoothness 16 with edges, the best on" in capsys.readouterr().err
    plain = fit(tmp_path / "plain", {**settings, "edges": "false"}, train, test=test)
    assert "with edges" not in capsys.readouterr().err
    given = fit(tmp_path / "given", {**settings, "edges": "true", "rank": "1", "wd": "0.1"}, train, test=test)
    noise = 1.0  # The deviation of the labels is what no fit gets under.
    excess = [model.metrics["test:rmse"] - noise for model in (chosen, given, plain)]
    assert max(excess[:2]) < 0.7 * excess[2]
    low, high = (part.numpy() for part in chosen.intervals)
    assert low.shape == (20, 18, 1) and (low <= high).all()


def test_edges_between_few_rows_are_told_to_have_no_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = regions(60)
    settings = {"predictor_type": "regressor", "rank": "1", "wd": "0.1"}
    train = {"a.jsonl": table(x[:, :6, :5], y)}
    with_edges = fit(tmp_path / "edges", {**settings, "edges": "true"}, train)
    assert "warning: edges=true has no effect: the samples have no mode of 16 rows" in capsys.readouterr().err
    without = fit(tmp_path / "without", settings, train)
    assert with_edges.metrics == without.metrics
