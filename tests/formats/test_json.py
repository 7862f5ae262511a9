"""application/json: what is written for numbers and arrays, and where a fault is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.formats import json
from tests.helpers.format_checks import check_damaged, check_round_trip, json_values


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_writes_null_for_a_number_that_is_not_finite(value: float) -> None:
    assert json.encode([value, 1.5]) == b"[null,1.5]"
    assert json.encode({"mean": np.array([value, 1.5], np.float32)}) == b'{"mean":[null,1.5]}'


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_arrays_are_lists_in_json(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    for view in (array, array.T, array[:, ::2], array[0, 0]):
        assert json.decode(json.encode(view)) == view.tolist()


def test_broken_json_is_located() -> None:
    with pytest.raises(UserError, match="broken JSON at line 2, column 7: "):
        json.decode(b'{"a": 1,\n "b": x}')


@pytest.mark.slow
@settings(deadline=None)
@given(value=json_values, data=st.data())
def test_any_value_comes_back(value: Any, data: st.DataObject) -> None:
    check_round_trip(json.FORMAT, value)
    check_damaged(json.FORMAT, value, data)
