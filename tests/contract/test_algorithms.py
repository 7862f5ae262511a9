"""One contract over every algorithm: its tiny job trains, is written down, and answers the same when read again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch

from polyadic.algorithms import ALGORITHMS
from polyadic.artifact import Artifact
from polyadic.errors import UserError
from polyadic.formats import json
from tests.helpers.tiny_jobs import job, tiny, train

each = pytest.mark.parametrize("name", sorted(ALGORITHMS))

READ_AGAIN = """
import sys
from pathlib import Path
import orjson
from polyadic.algorithms import named
from polyadic.artifact import Artifact
from polyadic.formats import json
answers = {}
for name, instances in orjson.loads(sys.stdin.buffer.read()).items():
    artifact = Artifact.read(Path(sys.argv[1]) / name)
    model = named(artifact.algorithm).load(artifact)
    answers[name] = json.decode(json.encode(model.predict([model.parse(instance, {}) for instance in instances])))
sys.stdout.buffer.write(orjson.dumps(answers))
"""


def answers(model: Any, instances: Any) -> Any:
    """The model's answers as a client reads them."""
    return json.decode(json.encode(model.predict([model.parse(instance, {}) for instance in instances])))


@pytest.fixture(scope="module")
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The model of the tiny job of every algorithm that is tested."""
    tested = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    return {name: train(name, tmp_path_factory.mktemp(name)) for name in ALGORITHMS if name in tested}


@pytest.fixture(scope="module")
def read_again(models: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the models answer to the instances of their tiny jobs in a fresh process that reads their artifacts."""
    folder = tmp_path_factory.mktemp("models")
    for name, model in models.items():
        model.artifact().write(folder / name)
        assert sorted(path.name for path in (folder / name).iterdir()) == ["model.json", "model.safetensors"]
    fresh = subprocess.run(
        [sys.executable, "-W", "error", "-c", READ_AGAIN, str(folder)],
        input=orjson.dumps({name: list(ALGORITHMS[name].tiny_job.instances) for name in models}),
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert fresh.returncode == 0, fresh.stderr.decode()
    answers_by_name: dict[str, Any] = orjson.loads(fresh.stdout)
    return answers_by_name


@each
def test_an_algorithm_declares_what_documents_show(name: str) -> None:
    algorithm = ALGORITHMS[name]
    assert algorithm.summary and algorithm.reads and algorithm.answers
    assert len(algorithm.tiny_job.instances) > 1
    assert algorithm.tiny_job.steps is None or algorithm.tiny_job.steps in algorithm.hyperparameters.model_fields
    assert any(metric.objective for metric in algorithm.metrics), (
        "declare a metric that a tuner can use: objective=True"
    )
    assert {spec.name for spec in algorithm.channels if spec.required} <= algorithm.tiny_job.channels().keys()


@each
def test_a_trained_model_answers_the_same_in_a_fresh_process(
    name: str, models: dict[str, Any], read_again: dict[str, Any]
) -> None:
    instances = ALGORITHMS[name].tiny_job.instances
    assert read_again[name] == answers(models[name], instances)
    assert len(read_again[name]) == len(instances)


@each
def test_the_same_job_gives_the_same_model(name: str, models: dict[str, Any], tmp_path: Path) -> None:
    first, second = models[name].artifact(), train(name, tmp_path).artifact()
    assert first.tensors.keys() == second.tensors.keys()
    assert all(torch.equal(tensor, second.tensors[key]) for key, tensor in first.tensors.items())
    assert first.metrics == second.metrics


@each
def test_the_artifact_names_algorithm_hyperparameters_and_metrics(
    name: str, models: dict[str, Any], tmp_path: Path
) -> None:
    artifact = models[name].artifact()
    artifact.write(tmp_path)
    reread = Artifact.read(tmp_path)
    assert reread.algorithm == name
    assert reread.hyperparameters == artifact.hyperparameters
    assert set(ALGORITHMS[name].required) <= reread.hyperparameters.keys()
    assert reread.metrics == artifact.metrics and reread.metrics
    assert ALGORITHMS[name].hyperparameters(**reread.hyperparameters)


@each
def test_an_answer_does_not_depend_on_its_neighbours(name: str, models: dict[str, Any]) -> None:
    instances = ALGORITHMS[name].tiny_job.instances
    for instance, answer in zip(instances, answers(models[name], instances), strict=True):
        assert_close(answers(models[name], [instance])[0], answer)


def assert_close(left: object, right: object) -> None:
    """Equal but for round-off, whatever their nesting."""
    if isinstance(left, dict) and isinstance(right, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_close(left[key], right[key])
    elif isinstance(left, list) and isinstance(right, list):
        assert len(left) == len(right)
        for mine, theirs in zip(left, right, strict=True):
            assert_close(mine, theirs)
    else:
        assert left == pytest.approx(right, rel=1e-5, abs=1e-5)


@each
def test_the_warm_up_example_is_a_good_instance(name: str, models: dict[str, Any]) -> None:
    predictions = models[name].predict([models[name].parse(models[name].example(), {})])
    assert len(predictions) == 1 and b"null" not in json.encode(predictions)


@each
@pytest.mark.parametrize("instance", [None, 5, "text", [], [1, 2], {}, {"index": None}, {"target": [1]}])
def test_what_is_no_instance_is_the_users_fault(name: str, instance: object, models: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        models[name].parse(instance, {})


@each
def test_a_job_that_is_told_to_stop_still_gives_a_model(name: str, tmp_path: Path) -> None:
    model = train(name, tmp_path / "data", stop_requested=lambda: True)
    model.artifact().write(tmp_path)
    assert Artifact.read(tmp_path).algorithm == name
    assert model.predict([model.parse(model.example(), {})])


@each
def test_a_dry_run_ends_after_one_step(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = ALGORITHMS[name].tiny_job.steps
    assert train(name, tmp_path, {steps: "1000000"} if steps else {}, dry_run=True)
    printed = capsys.readouterr().out
    assert "iteration=2" not in printed and "epoch=1" not in printed


@each
def test_a_required_channel_without_files_is_refused(name: str, tmp_path: Path) -> None:
    settings = ALGORITHMS[name].tiny_job.hyperparameters
    algorithm, prepared = job(settings, tmp_path, {"train": {"readme.txt": b"no data"}})
    with pytest.raises(
        UserError, match=r"channel train holds no file that can be read \(found: readme.txt\): .*Files are \."
    ):
        algorithm.fit(prepared)


@pytest.mark.parametrize("name", sorted(name for name in ALGORITHMS if ALGORITHMS[name].report))
def test_a_report_is_written_where_there_is_one(name: str, models: dict[str, Any], tmp_path: Path) -> None:
    report = ALGORITHMS[name].report
    assert report is not None
    report(tmp_path, models[name])
    assert name in (tmp_path / "report.html").read_text() or name == "lda"


def test_algorithms_that_are_guessed_require_different_hyperparameters() -> None:
    guessed = [algorithm for algorithm in ALGORITHMS.values() if algorithm.guessed]
    assert all(algorithm.required for algorithm in guessed)
    for algorithm in guessed:
        others = [
            other for other in guessed if other is not algorithm and set(other.required) <= set(algorithm.required)
        ]
        assert not others, f"a job of {algorithm.name} may mean {others[0].name}"


def test_tiny_jobs_take_the_files_they_declare(tmp_path: Path) -> None:
    for name, algorithm in ALGORITHMS.items():
        _, prepared = tiny(name, tmp_path / name)
        assert prepared.channels.keys() == algorithm.tiny_job.channels().keys()
