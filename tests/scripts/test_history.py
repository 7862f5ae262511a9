"""The history of weights: which change a rollback undoes, and a file that is broken."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.history import Change, append, last_standing

Command = Callable[..., tuple[int, str, str]]


def test_a_split_after_a_rollback_is_what_the_next_rollback_undoes() -> None:
    def change(action: Any, after: float) -> Change:
        return Change("", "ab", action, {"A": 0.0}, {"A": after})

    line = [change("split", 1.0), change("split", 2.0), change("rollback", 1.0), change("split", 3.0)]
    assert last_standing(line) == line[3]
    assert last_standing([*line, change("rollback", 1.0)]) == line[0]
    assert last_standing([]) is None


def test_another_endpoints_changes_are_not_rolled_back(command: Command) -> None:
    other = {"time": "t", "endpoint": "other", "action": "split", "before": {"A": 0.2}, "after": {"A": 0.1}}
    Path("weights.jsonl").write_text(json.dumps(other) + "\n")
    code, out, err = command("traffic", "rollback", "ab", "--dry-run")
    assert (code, out) == (1, "")
    assert err == "error: nothing to roll back: weights.jsonl holds no standing split of 'ab'\n"
    assert command("traffic", "rollback", "other", "--dry-run")[0] == 0


@pytest.mark.parametrize("line", ['{"time": "cut off', '{"time": "t"}', "[]", "1"])
def test_a_broken_line_is_named(command: Command, line: str) -> None:
    append(Path("weights.jsonl"), "ab", "split", {"A": 1.0}, {"A": 2.0})
    with Path("weights.jsonl").open("a") as file:
        file.write(line + "\n")
    code, out, err = command("traffic", "rollback", "ab")
    assert (code, out) == (2, "")
    assert err == "error: weights.jsonl, line 2 is not a change of weights; mend or remove it\n"
