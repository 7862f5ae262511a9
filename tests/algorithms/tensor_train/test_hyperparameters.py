"""The settings of a tensor-train job: what auto means."""

from __future__ import annotations

import pytest

from polyadic.algorithms.tensor_train.hyperparameters import Hyperparameters
from polyadic.jobs.hyperparameters import parse


@pytest.mark.parametrize(
    ("method", "gaps", "expected"),
    [("auto", True, "completion"), ("auto", False, "svd"), ("cross", True, "cross"), ("svd", False, "svd")],
)
def test_auto_is_completion_where_entries_are_missing(method: str, gaps: bool, expected: str) -> None:
    assert parse(Hyperparameters, {"max_rank": "2", "method": method}).method_for(gaps=gaps) == expected
