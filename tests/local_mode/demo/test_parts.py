import json
from pathlib import Path
from typing import Any

import pytest

from local_mode.demo import door
from local_mode.demo.experiment import Look
from local_mode.demo.progress import TrainingProgress
from local_mode.demo.scores import summary
from local_mode.demo.traffic import Request, ask_all, write_actuals
from local_mode.demo.training import RECIPES, steps
from local_mode.errors import LocalModeError
from local_mode.front_door import orphans
from local_mode.stopping import Stopped, StopRequest
from scripts.feedback import read_rows
from scripts.recipe import read_recipe


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [("air-rank-8", "air-rank-20", "rank"), ("climate-seed-0", "climate-seed-1", "seed")],
)
def test_the_recipes_of_a_pair_differ_in_one_hyperparameter(one: str, other: str, name: str) -> None:
    first, second = (read_recipe(RECIPES / f"{recipe}.yaml", {}) for recipe in (one, other))
    given, changed = first.hyperparameters, second.hyperparameters
    assert {key for key in given | changed if given.get(key) != changed.get(key)} == {name}
    assert first.channels == second.channels
    assert steps(one) == steps(other) > 0


def test_actuals_are_what_feedback_reads(tmp_path: Path) -> None:
    write_actuals([Request("a", {}, 1.5), Request("b", {}, [1.0, None, 3.0])], tmp_path / "actuals.jsonl")
    assert list(read_rows(tmp_path / "actuals.jsonl", "inference_id")) == [("a", 1.5), ("b", [1.0, None, 3.0])]


class Runtime:
    """An endpoint whose two variants take turns."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def invoke_endpoint(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return {"InvokedProductionVariant": "AB"[len(self.asked) % 2], "Body": self}

    def read(self) -> bytes:
        return b'{"predictions": [{"value": 2.5}]}'


def test_requests_carry_their_ids_and_are_counted_by_variant(capsys: pytest.CaptureFixture[str]) -> None:
    runtime = Runtime()
    requests = [Request("a", {"index": (1, 2)}, 1.0), Request("b", {}, 1.0, {"num_samples": 5}), Request("c", {}, 1.0)]
    answers = ask_all(runtime, "air", requests, StopRequest())
    assert [answer.variant for answer in answers] == ["B", "A", "B"]
    assert [answer.prediction["value"] for answer in answers] == [2.5] * 3
    assert [asked["InferenceId"] for asked in runtime.asked] == ["a", "b", "c"]
    assert [json.loads(asked["Body"]) for asked in runtime.asked[:2]] == [
        {"instances": [{"index": [1, 2]}]},
        {"instances": [{}], "configuration": {"num_samples": 5}},
    ]
    assert capsys.readouterr().out.endswith("s: A answered 1, B answered 2\n")


def test_a_stop_request_ends_the_requests() -> None:
    stop = StopRequest()
    stop.receive(2, None)
    with pytest.raises(Stopped):
        ask_all(Runtime(), "air", [Request("a", {}, 1.0)], stop)


def test_the_table_has_a_row_for_each_comparison() -> None:
    known = {"design": "pairs", "requests": 1400, "difference": -3.8829, "lower": -5.5, "upper": -2.25}
    looks = [
        Look("B against A", {**known, "verdict": "better"}),
        Look("C against A", {**known, "lower": None, "upper": None, "verdict": "undecided"}),
    ]
    lines = summary(looks).splitlines()
    assert lines[1].split() == ["B", "against", "A", "pairs", "1,400", "-3.88", "-5.5", "-2.25", "better"]
    assert lines[2].split()[-4:] == ["-3.88", "-", "-", "undecided"]
    assert len({len(line) for line in lines}) == 1


def test_progress_without_a_terminal_is_a_few_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress = TrainingProgress("cp", 8, tmp_path / "log")
    for step in range(8):
        progress(f"algo-1 | #quality_metric: host=algo-1, epoch={step}, train loss <loss>={step}.5")
        progress(f"algo-1 | #quality_metric: host=algo-1, epoch={step}, train speed <speed>=1")
    progress.close()
    assert capsys.readouterr().out.splitlines() == [
        f"  cp: step {step} of at most 8, loss {step - 1}.5" for step in (2, 4, 6, 8)
    ]
    assert len((tmp_path / "log").read_text().splitlines()) == 16


def test_an_earlier_state_is_removed_and_a_used_one_is_not(tmp_path: Path) -> None:
    state = tmp_path / "state"
    door.empty(state)
    state.mkdir()
    with orphans.lock(state), pytest.raises(LocalModeError, match="is in use"):
        door.empty(state)
    door.empty(state)
    assert not state.exists()


def test_only_a_state_is_removed(tmp_path: Path) -> None:
    with pytest.raises(LocalModeError, match="no state of a front door"):
        door.empty(tmp_path)
    assert tmp_path.exists()
