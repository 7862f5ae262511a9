"""The history of weights: which change a rollback undoes, and a file that is broken."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts import history
from scripts.aws import UsageError
from scripts.history import Action, Change, append, last_standing, read, settle

ACTIONS: list[Action] = ["split", "promote", "deploy", "promote"]

Command = Callable[..., tuple[int, str, str]]


def test_a_split_after_a_rollback_is_what_the_next_rollback_undoes() -> None:
    def change(action: Any, after: float) -> Change:
        return Change("", "ab", action, {"A": 0.0}, {"A": after})

    line = [change("split", 1.0), change("split", 2.0), change("rollback", 1.0), change("split", 3.0)]
    assert last_standing(line) == line[3]
    assert last_standing([*line, change("rollback", 1.0)]) == line[0]
    assert last_standing([]) is None


def test_another_endpoints_changes_are_not_rolled_back(command: Command) -> None:
    other = {
        "time": "2026-11-28T12:00:00+00:00",
        "endpoint": "other",
        "action": "split",
        "before": {"A": 0.2},
        "after": {"A": 0.1},
    }
    Path("weights.jsonl").write_text(json.dumps(other) + "\n")
    code, out, err = command("traffic", "rollback", "ab", "--dry-run")
    assert (code, out) == (1, "")
    assert err == "error: nothing to roll back: weights.jsonl holds no standing split of 'ab'\n"
    assert command("traffic", "rollback", "other", "--dry-run")[0] == 0


def test_a_deployment_ends_what_can_be_rolled_back_and_a_promotion_can_be() -> None:
    line = [Change(str(number), "ab", action, {"A": 0.0}, {"A": 1.0}, "held") for number, action in enumerate(ACTIONS)]
    assert last_standing(line) == line[-1]
    assert last_standing(line[:-1]) is None
    line[2] = replace(line[2], settled=None)  # It was rolled back, or nobody knows.
    assert last_standing(line[:-1]) == line[1]


def test_a_change_that_holds_is_one_change(tmp_path: Path) -> None:
    path, change = tmp_path / "weights.jsonl", Change("2026-11-29T12:00:00+00:00", "ab", "split", {}, {"A": 1.0})
    append(path, change)
    settled = settle(path, change)
    assert settled.settled is not None and read(path, "ab") == [settled] and len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize("line", ['{"time": "cut off', '{"time": "t"}', "[]", "1"])
def test_a_broken_line_is_named(command: Command, line: str) -> None:
    append(Path("weights.jsonl"), Change("2026-11-29T12:00:00+00:00", "ab", "split", {"A": 1.0}, {"A": 2.0}))
    with Path("weights.jsonl").open("a") as file:
        file.write(line + "\n")
    code, out, err = command("traffic", "rollback", "ab")
    assert (code, out) == (2, "")
    assert err == "error: weights.jsonl, line 2 is not a change of weights; mend or remove it\n"


@pytest.mark.parametrize(
    "line",
    [
        b"\xff",
        b"[" * 100_000,
        b'{"time": "soon", "endpoint": "ab", "action": "split", "before": {}, "after": {}}',
        b'{"time": "2026-11-28", "endpoint": "ab", "action": "split", "before": 7, "after": {}}',
        b'{"time": "2026-11-28", "endpoint": "ab", "action": "split", "before": {"A": "x"}, "after": {}}',
        b'{"time": "2026-11-28", "endpoint": "ab", "action": "split", "before": {}, "after": {}, "models": 7}',
    ],
)
def test_a_line_that_is_no_change_is_named(line: bytes) -> None:
    Path("weights.jsonl").write_bytes(line)
    with pytest.raises(UsageError, match=r"weights\.jsonl, line 1 is not a change of weights"):
        history.read(Path("weights.jsonl"), "ab")


def test_a_history_that_cannot_be_read_is_named() -> None:
    Path("folder").mkdir()
    with pytest.raises(UsageError, match="cannot read the history folder: Is a directory"):
        history.read(Path("folder"), "ab")
    assert history.read(Path("absent"), "ab") == []


def test_a_time_without_a_zone_is_utc() -> None:
    assert history.seconds_of("1970-01-01T00:01:00") == history.seconds_of("1970-01-01T01:01:00+01:00") == 60.0
