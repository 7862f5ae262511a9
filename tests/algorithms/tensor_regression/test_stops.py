"""A job of als that is told to stop while it searches keeps the best model that it has found so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.samples import planted, table
from tests.helpers.tiny_jobs import job

pytestmark = pytest.mark.slow


def fit(
    folder: Path, settings: dict[str, str], channels: dict[str, dict[str, bytes]], calls: int | None = None
) -> tuple[Any, int]:
    """The model of a job that is told to stop when it asks for the `calls`-th time, and how often it asked."""
    asked = 0

    def told() -> bool:
        nonlocal asked
        asked += 1
        return calls is not None and asked >= calls

    algorithm, prepared = job({"predictor_type": "regressor", **settings}, folder, channels, stop_requested=told)
    return algorithm.fit(prepared), asked


@pytest.mark.parametrize("settings", [{}, {"wd": "0.001"}, {"rank": "1"}], ids=str)
@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("calls", [1, 12, 30])
def test_the_best_so_far_is_kept(settings: dict[str, str], validated: bool, calls: int, tmp_path: Path) -> None:
    x, y = planted(300, noise=0.1)
    channels = {"train": {"a.jsonl": table(x, y)}}
    if validated:
        channels["validation"] = {"a.jsonl": table(*planted(100, 1, noise=0.1))}
    model, _ = fit(tmp_path, settings, channels, calls)
    instances = [model.parse({"features": row.tolist()}, {}) for row in x]
    scores = np.array([answer["score"] for answer in model.predict(instances)])
    assert np.corrcoef(scores, y)[0, 1] > 0.9
    whole, _ = fit(tmp_path / "whole", settings, channels)
    assert model.artifact().metadata.keys() == whole.artifact().metadata.keys()


def test_a_stop_after_the_rank_was_chosen_keeps_the_fit_to_all_samples(tmp_path: Path) -> None:
    """Ranks are compared by BIC, on all samples; then penalties, on a part of them."""
    channels = {"train": {"a.jsonl": table(*planted(400, noise=0.1))}}
    by_bic, calls = fit(tmp_path / "bic", {"wd": "0.001"}, channels)
    for later in (1, 5, 20):
        model, _ = fit(tmp_path / f"{later}", {}, channels, calls + later)
        for name, part in by_bic.artifact().tensors.items():
            torch.testing.assert_close(model.artifact().tensors[name], part)
