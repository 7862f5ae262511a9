"""What the page's buttons run: the command, its environment, and what becomes of one that hangs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from local_mode.front_door.page import actions
from local_mode.front_door.page.actions import Actions, Outcome

COMMAND = """
import json, os, sys, time
if "slow" in sys.argv:
    time.sleep(60)
names = [name for name in os.environ if name.startswith("AWS_")]
print(json.dumps({"arguments": sys.argv[1:], "names": sorted(names), "url": os.environ["AWS_ENDPOINT_URL"]}))
sys.exit("refused" if "no" in sys.argv else 0)
"""


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Actions:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "traffic.py").write_text(COMMAND)
    monkeypatch.setattr(actions, "ROOT", tmp_path)
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "https://sagemaker.example")
    return Actions(tmp_path / "state")


def run(runner: Actions, change: actions.Change) -> Outcome:
    return asyncio.run(runner.run(change, "http://127.0.0.1:4566"))


def test_changes_become_commands_against_this_front_door(runner: Actions, tmp_path: Path) -> None:
    options = ["--history", str(tmp_path / "state" / "weights.jsonl"), "--poll", "0.2"]
    for change, arguments in (
        (actions.split("ab", {"A": "0.5", "B": "0.5"}), ["split", "ab", "A=0.5", "B=0.5"]),
        (actions.rollback("ab"), ["rollback", "ab"]),
        (actions.promote("ab", "B", ""), ["promote", "ab", "B"]),
        (actions.promote("ab", "B", "--it is"), ["promote", "ab", "B", "--force", "--reason=--it is"]),
    ):
        outcome = run(runner, change)
        told = json.loads(outcome.text)
        assert outcome.done and told["arguments"] == [*arguments, *options]
        assert told["url"] == "http://127.0.0.1:4566"
        assert not {"AWS_PROFILE", "AWS_ENDPOINT_URL_SAGEMAKER"} & set(told["names"])


def test_a_refusal_is_told_with_its_words(runner: Actions) -> None:
    outcome = run(runner, actions.promote("ab", "no", ""))
    assert not outcome.done and outcome.text.endswith("refused")


def test_a_command_that_hangs_is_ended(runner: Actions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "SECONDS", 0.5)
    outcome = run(runner, actions.promote("ab", "slow", ""))
    assert not outcome.done and outcome.text == "the command did not end within 0.5 seconds"
