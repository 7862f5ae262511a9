"""A new slab as JSON: what it becomes, and every refusal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from polyadic.errors import UserError
from polyadic.lowrank import fold_in
from polyadic.lowrank.fold_in import parse_fold_in
from polyadic.lowrank.indices import Mode
from polyadic.lowrank.questions import Slice
from tests.helpers.small_models import MODES

LARGEST = float(np.finfo(np.float64).max)


def test_a_whole_slab_has_nan_where_it_holds_null() -> None:
    slab = parse_fold_in({"fold_in": {"mode": 2, "slab": [[1, 2.5, None, 0, 0]] * 6}}, MODES, LARGEST)
    assert (slab.mode, slab.index, slab.question, slab.size) == (2, None, None, 0)
    np.testing.assert_array_equal(slab.values, [[1, 2.5, math.nan, 0, 0]] * 6)


@pytest.mark.parametrize(
    ("absent", "zeros"), [({}, False), ({"absent": "missing"}, False), ({"absent": "zeros"}, True)]
)
def test_entries_of_a_slab_are_read_with_what_the_others_are(absent: dict[str, str], zeros: bool) -> None:
    entries = {"mode": 0, "indices": [["bob", 3], [0, 0]], "values": [1, 2.5], **absent}
    slab = parse_fold_in({"fold_in": entries}, MODES, LARGEST)
    assert slab.index is not None and slab.index.tolist() == [[1, 3], [0, 0]]
    assert slab.values.tolist() == [1, 2.5] and slab.zeros is zeros


def test_a_question_beside_a_slab_leaves_its_mode_out() -> None:
    slab = parse_fold_in({"fold_in": {"mode": 1, "slab": [[0] * 4] * 6}, "index": [None, 2]}, MODES, LARGEST)
    assert slab.question == Slice((None, 2), 6) and slab.size == 6


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"fold_in": 3}, r"fold_in is 3: it must be {\"mode\": 0, \"slab\": \[...\]}"),
    ({"fold_in": {"mode": 0}}, "fold_in is {'mode': 0}: it must be"),
    ({"fold_in": {"slab": []}}, "it must be"),
    ({"fold_in": {"mode": 0, "indices": [[0, 0]]}}, "it must be"),
    ({"fold_in": {"mode": 3, "slab": []}}, "fold_in.mode is 3: it must be an integer from 0 to 2"),
    ({"fold_in": {"mode": True, "slab": []}}, "fold_in.mode is True: it must be"),
    ({"fold_in": {"mode": 0, "slab": [], "weights": 1}}, "unknown key 'weights'"),
    ({"fold_in": {"mode": 0, "slab": 1}}, "fold_in.slab is 1: it must be nested lists, 5 x 4"),
    ({"fold_in": {"mode": 0, "slab": [[0] * 4] * 4}}, "fold_in.slab is a list of 4: it must be nested lists, 5 x 4"),
    (
        {"fold_in": {"mode": 0, "slab": [[0] * 4] * 4 + [[0] * 3]}},
        r"slab\[4\] is a list of 3: it must be a list of 4 num",
    ),
    ({"fold_in": {"mode": 0, "slab": [[0] * 4] * 4 + [7]}}, r"fold_in.slab\[4\] is 7: it must be a list of 4 numbers"),
    (
        {"fold_in": {"mode": 0, "slab": [[0, 0, 0, "1"]] * 5}},
        r"fold_in.slab\[0\] holds '1': give finite numbers, and null",
    ),
    ({"fold_in": {"mode": 0, "slab": [[0, 0, 0, True]] * 5}}, "holds True"),
    ({"fold_in": {"mode": 0, "slab": [[0, 0, 0, [1]]] * 5}}, r"holds \[1\]"),
    (
        {"fold_in": {"mode": 0, "slab": [[0, float("inf"), 0, 0]] * 5}},
        r"fold_in.slab holds inf at \[0, 1\]: give finite",
    ),
    ({"fold_in": {"mode": 0, "slab": [[0, 0, 0, 10**400]] * 5}}, "fold_in.slab holds 10+…: give finite"),
    ({"fold_in": {"mode": 0, "slab": [[None] * 4] * 5}}, "fold_in.slab holds nothing but null: give at least one"),
    (
        {"fold_in": {"mode": 0, "slab": [[0] * 4] * 5, "values": [1]}},
        "fold_in has slab and values: give the slab whole",
    ),
    ({"fold_in": {"mode": 0, "indices": [], "values": []}}, r"fold_in.indices is \[\]"),
    ({"fold_in": {"mode": 0, "indices": [[0, 9]], "values": [1]}}, r"fold_in.indices\[0\]\[1\] is 9: mode 2 has rows"),
    ({"fold_in": {"mode": 1, "indices": [["ann", 0]], "values": [1]}}, r"fold_in.indices\[0\] is \['ann', 0\]"),
    (
        {"fold_in": {"mode": 0, "indices": [[0, 0]], "values": []}},
        "fold_in.values is a list of 0: it must be a list of 1",
    ),
    ({"fold_in": {"mode": 0, "indices": [[0, 0]], "values": 1}}, "fold_in.values is 1: it must be a list of 1"),
    ({"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [None]}}, "fold_in.values holds None: give finite numbers"),
    ({"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [float("nan")]}}, "fold_in.values holds nan"),
    ({"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [10**400]}}, "fold_in.values holds 10+"),
    (
        {"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [1], "absent": "mean"}},
        "absent is 'mean': it must be 'miss",
    ),
    (
        {"fold_in": {"mode": 0, "indices": [[0, 0], [1, 0], ["ann", 0]], "values": [1, 2, 3]}},
        r"fold_in.indices\[2\] names the entry of indices\[0\] again: give each entry once",
    ),
    (
        {"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [1]}, "index": [0, 1, 2]},
        r"beside fold_in, whose mode 0 the index leaves out: got .* with 2 integers",
    ),
    ({"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [1]}, "top_k": 2}, "with 2 integers"),
]


@pytest.mark.parametrize(("instance", "message"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_what_is_no_slab_is_refused(instance: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_fold_in(instance, MODES, LARGEST)


def test_a_number_that_the_precision_of_the_model_cannot_hold_is_refused() -> None:
    largest = float(np.finfo(np.float32).max)
    slab = {"mode": 0, "slab": [[0, 1e39, 0, 0], *[[0] * 4] * 4]}
    with pytest.raises(UserError, match=r"fold_in.slab holds 1e\+39 at \[0, 1\]: .*, up to 3\.4e\+38"):
        parse_fold_in({"fold_in": slab}, MODES, largest)
    entries = {"mode": 0, "indices": [[0, 0]], "values": [-1e39]}
    with pytest.raises(UserError, match=r"fold_in.values holds -1e\+39: give finite numbers, up to 3\.4e\+38"):
        parse_fold_in({"fold_in": entries}, MODES, largest)


def test_zeros_beside_few_entries_have_a_limit_and_missing_ones_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    modes = (Mode(0, 3), Mode(1, 40_000), Mode(2, 30_000))
    entries = {"mode": 0, "indices": [[39_999, 7], [0, 29_999]], "values": [2, 4]}
    assert parse_fold_in({"fold_in": entries}, modes, LARGEST).values.tolist() == [2, 4]
    with pytest.raises(UserError, match=r"the slab has 1,200,000,000 entries: with absent 'zeros' at most 10,000,000"):
        parse_fold_in({"fold_in": {**entries, "absent": "zeros"}}, modes, LARGEST)
    zeros = {"fold_in": {"mode": 0, "indices": [[0, 0]], "values": [1], "absent": "zeros"}}
    monkeypatch.setattr(fold_in, "LARGEST_SLAB_ENTRIES", 20)
    assert parse_fold_in(zeros, MODES, LARGEST).zeros
    monkeypatch.setattr(fold_in, "LARGEST_SLAB_ENTRIES", 19)
    with pytest.raises(UserError, match="the slab has 20 entries"):
        parse_fold_in(zeros, MODES, LARGEST)
