"""The three kinds of failure and the text that SageMaker shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from polyadic.errors import (
    FAILURE_LIMIT,
    AlgorithmError,
    InstanceError,
    PlatformError,
    PolyadicError,
    UserError,
    classify,
    failure_text,
    kind,
    shorten,
)


@pytest.mark.parametrize(
    ("error", "name", "exit_code", "status"),
    [
        (UserError("rank is 0"), "UserError", 1, 400),
        (InstanceError(3, "too short"), "UserError", 1, 400),
        (AlgorithmError("a fault"), "AlgorithmError", 2, 500),
        (PlatformError("disk full"), "PlatformError", 3, 503),
        (PolyadicError("something"), "PolyadicError", 2, 500),
    ],
)
def test_each_kind_has_its_exit_code_and_status(error: PolyadicError, name: str, exit_code: int, status: int) -> None:
    assert (kind(error), error.exit_code, error.http_status) == (name, exit_code, status)
    assert classify(error) is error


@pytest.mark.parametrize("error", [OSError("disk"), ConnectionResetError("gone"), TimeoutError("late")])
def test_an_operating_system_error_is_the_platforms(error: Exception) -> None:
    found = classify(error)
    assert isinstance(found, PlatformError)
    assert str(error) in str(found)


@pytest.mark.parametrize("entries", [2**60, 2**62])
def test_want_of_memory_is_the_users(entries: int) -> None:
    for allocate in (np.empty, torch.empty):
        with pytest.raises((MemoryError, RuntimeError)) as refused:
            allocate(entries // 8)
        found = classify(refused.value)
        assert isinstance(found, UserError) and str(found).startswith("out of memory ("), str(found)


def test_an_unknown_error_is_ours_and_says_so() -> None:
    found = classify(ZeroDivisionError("division by zero"))
    assert isinstance(found, AlgorithmError)
    assert str(found).startswith("division by zero (ZeroDivisionError)")
    assert "report" in str(found)


def test_an_instance_error_names_the_instance() -> None:
    error = InstanceError(7, "target has 3 values")
    assert (str(error), error.index) == ("instances[7]: target has 3 values", 7)


@pytest.mark.parametrize("length", [0, 10, 980, 1023, 1024, 5000])
def test_the_failure_text_fits_and_begins_with_the_sentence(length: int) -> None:
    text = failure_text(UserError("x" * length), "algo-2")
    assert len(text) <= FAILURE_LIMIT
    assert text.endswith(" [UserError on algo-2]")
    assert text.startswith("x" * min(length, 980))
    assert ("…" in text) == (length > FAILURE_LIMIT - len(" [UserError on algo-2]"))


def test_shorten_shows_the_beginning() -> None:
    assert shorten("abc") == "'abc'"
    assert len(shorten(list(range(1000)))) == 80
    assert shorten(list(range(1000))).startswith("[0, 1, 2") and shorten(list(range(1000))).endswith("…")
