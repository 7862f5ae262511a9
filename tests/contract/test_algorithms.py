"""One contract over every algorithm: a tiny case trains, is written down, and answers the same when read again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import torch

from polyadic.algorithms import algorithms, required
from polyadic.artifact import Artifact
from polyadic.errors import UserError
from polyadic.formats import json
from tests.helpers.tiny_jobs import INSTANCES, covers_every_algorithm, tiny, train

each = pytest.mark.parametrize("name", sorted(algorithms()))

READ_AGAIN = """
import sys
from pathlib import Path
import orjson
from polyadic.algorithms import named
from polyadic.artifact import Artifact
from polyadic.formats import json
artifact = Artifact.read(Path(sys.argv[1]))
model = named(artifact.algorithm).load(artifact)
instances = orjson.loads(sys.stdin.buffer.read())
sys.stdout.buffer.write(json.encode(model.predict([model.parse(one, {}) for one in instances])))
"""


def test_every_algorithm_has_a_tiny_job() -> None:
    assert covers_every_algorithm()


@each
def test_a_trained_model_answers_the_same_in_a_fresh_process(name: str, tmp_path: Path) -> None:
    model = train(name, tmp_path / "data")
    model.artifact().write(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.json", "model.safetensors"]
    answers = json.encode(model.predict([model.parse(one, {}) for one in INSTANCES[name]]))
    fresh = subprocess.run(
        [sys.executable, "-W", "error", "-c", READ_AGAIN, str(tmp_path / "model")],
        input=orjson.dumps(INSTANCES[name]),
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert fresh.returncode == 0, fresh.stderr.decode()
    assert orjson.loads(fresh.stdout) == orjson.loads(answers)
    assert len(orjson.loads(answers)) == len(INSTANCES[name])


@each
def test_the_same_job_gives_the_same_model(name: str, tmp_path: Path) -> None:
    one, other = (train(name, tmp_path).artifact() for _ in range(2))
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(value, other.tensors[key]) for key, value in one.tensors.items())
    assert one.metrics == other.metrics or name == "forecaster"


@each
def test_the_artifact_names_algorithm_hyperparameters_and_metrics(name: str, tmp_path: Path) -> None:
    artifact = train(name, tmp_path / "data").artifact()
    artifact.write(tmp_path)
    found = Artifact.read(tmp_path)
    assert found.algorithm == name
    assert found.hyperparameters == artifact.hyperparameters
    assert set(required(algorithms()[name])) <= found.hyperparameters.keys()
    assert found.metrics == artifact.metrics and found.metrics
    assert algorithms()[name].Hyperparameters(**found.hyperparameters)


@each
def test_an_answer_does_not_depend_on_its_neighbours(name: str, tmp_path: Path) -> None:
    model = train(name, tmp_path)
    queries = [model.parse(one, {}) for one in INSTANCES[name]]
    together = json.decode(json.encode(model.predict(queries)))
    assert len(together) == len(queries) > 1
    for query, answer in zip(queries, together, strict=True):
        alone = json.decode(json.encode(model.predict([query])))[0]
        assert_close(alone, answer)


def assert_close(one: object, other: object) -> None:
    """Equal but for round-off, whatever their nesting."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_close(one[key], other[key])
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_close(mine, theirs)
    else:
        assert one == pytest.approx(other, abs=1e-4)


@each
def test_the_warm_up_example_is_a_good_instance(name: str, tmp_path: Path) -> None:
    model = train(name, tmp_path)
    answers = model.predict([model.parse(model.example(), {})])
    assert len(answers) == 1 and b"null" not in json.encode(answers)


def for_steps(name: str, steps: str) -> dict[str, str]:
    """The hyperparameter that bounds an algorithm's steps, where it takes more than one."""
    key = "epochs" if name == "forecaster" else "max_iterations"
    return {key: steps} if key in algorithms()[name].Hyperparameters.model_fields else {}


@each
@pytest.mark.parametrize("instance", [None, 5, "text", [], [1, 2], {}, {"index": None}, {"target": [1]}])
def test_what_is_no_instance_is_the_users_fault(name: str, instance: object, tmp_path: Path) -> None:
    model = train(name, tmp_path, for_steps(name, "1"))
    with pytest.raises(UserError):
        model.parse(instance, {})


@each
def test_a_job_that_is_told_to_stop_still_gives_a_model(name: str, tmp_path: Path) -> None:
    model = train(name, tmp_path / "data", stop_requested=lambda: True)
    model.artifact().write(tmp_path)
    assert Artifact.read(tmp_path).algorithm == name
    assert model.predict([model.parse(model.example(), {})])


@each
def test_a_dry_run_ends_after_one_step(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(name, tmp_path, for_steps(name, "1000000"), dry_run=True)
    printed = capsys.readouterr().out
    assert "iteration=2" not in printed and "epoch=1" not in printed


@each
def test_a_required_channel_without_files_is_refused(name: str, tmp_path: Path) -> None:
    algorithm, _ = tiny(name, tmp_path)
    from tests.helpers.tiny_jobs import SETTINGS, job

    _, prepared = job(SETTINGS[name], tmp_path / "empty", {"train": {"readme.txt": b"no data"}})
    with pytest.raises(UserError, match=r"channel train holds no data: no file ends in \..* \(found: readme.txt in"):
        algorithm.fit(prepared)
