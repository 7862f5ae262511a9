"""The forecaster as a job and a request meet it: DeepAR's formats, its refusals, resuming."""

from __future__ import annotations

import gzip
import json as python_json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.algorithms import ALGORITHMS
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.forecasting import draws as draws_module
from polyadic.forecasting.cells import CELLS
from polyadic.forecasting.decoders import DECODERS
from polyadic.forecasting.series import Series
from polyadic.formats import json
from polyadic.jobs.channels import Channel
from polyadic.jobs.job import Job
from polyadic.readers.series.records import read_series
from tests.helpers.ranks import on_ranks
from tests.helpers.tiny_jobs import FORECASTER, Kept, job, lines, records, tiny, train


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return train("forecaster", tmp_path_factory.mktemp("model"), {"epochs": "1"})


def fit(folder: Path, train_files: dict[str, bytes], test: dict[str, bytes] | None = None, **changes: object) -> Any:
    channels = {"train": train_files} | ({"test": test} if test is not None else {})
    algorithm, prepared = job({**FORECASTER, "epochs": "1", **changes}, folder, channels)
    return algorithm.fit(prepared)


def query(**changes: Any) -> dict[str, Any]:
    return {"start": "2021-05-01 03:00:00", "target": [1.0, 2, None, 4, "NaN", 6, 7.5], **changes}


def test_a_job_prints_deepars_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = train("forecaster", tmp_path, {"test_quantiles": "[0.1, 0.5, 0.9]"})
    printed = capsys.readouterr().out
    number = r"(\S+)"
    for epoch in (0, 1):
        assert re.search(rf"^#quality_metric: host=algo-1, epoch={epoch}, train loss <loss>={number}$", printed, re.M)
    assert "#progress_metric: host=algo-1, completed 50 % of epochs\n" in printed
    assert "#progress_metric: host=algo-1, completed 100 % of epochs\n" in printed
    final = re.findall(rf"^#quality_metric: host=algo-1, train final_loss <loss>={number}$", printed, re.M)
    assert final == [f"{model.metrics['train:final_loss']:.10g}"]
    for name in ("RMSE", "mean_wQuantileLoss", "seasonal_naive_RMSE", "seasonal_naive_mean_wQuantileLoss"):
        score = f"{model.metrics[f'test:{name}']:.10g}"
        assert f"#quality_metric: host=algo-1, test {name} <loss>={score}\n" in printed
        assert f"#test_score (algo-1, {name}): {score}\n" in printed
    losses = re.findall(rf"^#test_score \(algo-1, wQuantileLoss\[(0\.[159])\]\): {number}$", printed, re.M)
    assert [level for level, _ in losses] == ["0.1", "0.5", "0.9"]
    mean = sum(float(loss) for _, loss in losses) / 3
    assert model.metrics["test:mean_wQuantileLoss"] == pytest.approx(mean)


def test_the_final_loss_is_that_of_the_weights_that_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = train(
        "forecaster",
        tmp_path,
        {"epochs": "12", "early_stopping_patience": "2", "learning_rate": "1", "dropout_rate": "0"},
    )
    losses = [float(one) for one in re.findall(r"epoch=\d+, train loss <loss>=(\S+)", capsys.readouterr().out)]
    assert losses[-1] > min(losses), "the case must end on a worse epoch"
    assert model.metrics["train:final_loss"] == pytest.approx(min(losses))


def test_the_scores_are_those_of_the_withheld_points(tmp_path: Path) -> None:
    """By asking the model for what follows each series without its last points."""
    model = train("forecaster", tmp_path, {"num_eval_samples": "20", "test_quantiles": "[0.5]"})
    settings = {"num_samples": 20, "output_types": ["mean", "quantiles"], "quantiles": ["0.5"]}
    series = records()
    history = [{**one, "target": one["target"][:-3]} for one in series]
    answers = model.predict([model.parse(one, settings) for one in history])
    actual = np.array([one["target"][-3:] for one in series])
    mean = np.array([answer["mean"] for answer in answers])
    median = np.array([answer["quantiles"]["0.5"] for answer in answers])
    assert model.metrics["test:RMSE"] == pytest.approx(np.sqrt(np.mean((actual - mean) ** 2)), rel=1e-4)
    loss = np.abs(actual - median).sum() / np.abs(actual).sum()
    assert model.metrics["test:mean_wQuantileLoss"] == pytest.approx(loss, rel=1e-4)


def test_the_withheld_points_do_not_enter_the_forecast(model: Any) -> None:
    series = read_series(query(), model.frequency, 3)
    longer = Series(np.concatenate([series.target, np.array([1e9], np.float32)]), series.minutes)
    cut = Series(longer.target[:-1], longer.minutes)
    assert np.array_equal(model.forecast([series], 5).samples_BSP, model.forecast([cut], 5).samples_BSP)


def test_an_answer_has_what_was_asked_for(model: Any) -> None:
    asked = {"num_samples": 7, "output_types": ["mean", "quantiles", "samples"], "quantiles": ["0.1", "0.50", "0.9"]}
    answer = json.decode(json.encode(model.predict([model.parse(query(), asked)])))[0]
    samples = np.array(answer["samples"])
    assert samples.shape == (7, 3)
    assert answer["mean"] == pytest.approx(samples.mean(0), abs=1e-5)
    assert list(answer["quantiles"]) == ["0.1", "0.50", "0.9"]
    for level, values in answer["quantiles"].items():
        assert values == pytest.approx(np.quantile(samples, float(level), axis=0), abs=1e-5)


@pytest.mark.parametrize(
    ("configuration", "keys"),
    [
        ({}, {"mean", "quantiles"}),
        ({"output_types": ["mean"]}, {"mean"}),
        ({"output_types": ["mean"], "quantiles": []}, {"mean"}),
        ({"output_types": ["samples", "quantiles"]}, {"samples", "quantiles"}),
    ],
)
def test_only_what_was_asked_for_is_answered(model: Any, configuration: dict[str, Any], keys: set[str]) -> None:
    answer = model.predict([model.parse(query(), configuration)])[0]
    assert answer.keys() == keys
    if "quantiles" in keys:
        assert list(answer["quantiles"]) == [f"0.{n}" for n in range(1, 10)]


def test_instances_of_different_configurations_are_answered_together(model: Any) -> None:
    wanted = [{"num_samples": n, "output_types": ["samples"]} for n in (3, 8, 3)]
    parsed = [model.parse(query(target=[n + k for k in range(7)]), one) for n, one in enumerate(wanted)]
    together = model.predict(parsed)
    assert [len(answer["samples"]) for answer in together] == [3, 8, 3]
    for one, answer in zip(parsed, together, strict=True):
        assert np.allclose(model.predict([one])[0]["samples"], answer["samples"], atol=1e-4)


def test_only_the_context_counts(model: Any) -> None:
    long = query(start="2021-05-01 00:00:00", target=[99, -99, 5, 1.0, 2, None, 4, 5, 6])
    short = query(start="2021-05-01 03:00:00", target=[1.0, 2, None, 4, 5, 6])
    one, other = model.predict([model.parse(each, {}) for each in (long, short)])
    assert np.allclose(one["mean"], other["mean"], atol=1e-5)


def test_before_a_short_series_all_is_missing(model: Any) -> None:
    long = query(start="2021-05-01 00:00:00", target=[None, None, None, 4, 5, 6])
    short = query(start="2021-05-01 03:00:00", target=[4, 5, 6])
    one, other = model.predict([model.parse(each, {}) for each in (long, short)])
    assert np.allclose(one["mean"], other["mean"], atol=1e-5)


def test_a_series_without_a_value_is_forecast_at_the_level_of_the_training_data(tmp_path: Path) -> None:
    model = train("forecaster", tmp_path, {"scaling": "train"})
    for target in ([], [None] * 6):
        mean = model.predict([model.parse(query(target=target), {})])[0]["mean"]
        assert np.abs(np.array(mean) - model.fixed[0]).max() < 3 * model.fixed[1]


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_forecasts_scale_with_the_series(model: Any, factor: float) -> None:
    target = [3.0, 1, 4, 1, 5, 9]
    one, other = model.predict(
        [model.parse(query(target=values), {}) for values in (target, [factor * value for value in target])]
    )
    assert np.allclose(np.array(other["mean"]) / factor, one["mean"], rtol=1e-3)


NOT_NUMBERS = r"it must be a list of numbers, null where one is missing"
INSTANCES: dict[str, tuple[object, str]] = {
    "empty": (query(target=[]), "target has no value in its context, the last context_length = 6 time stamps"),
    "nulls": (query(target=[1.0] + [None] * 6), "target has no value in its context"),
    "a text": (query(target=[1, 2, "three", 4, 5, 6]), f"target holds 'three' at place 3: {NOT_NUMBERS}"),
    "numbers as text": (query(target=["1", "2", "3", "4", "5", "6"]), f"target holds '1' at place 1: {NOT_NUMBERS}"),
    "a list": (query(target=[1, 2, [3], 4, 5, 6]), f"target holds \\[3\\] at place 3: {NOT_NUMBERS}"),
    "lists": (query(target=[[1, 2]] * 6), f"target holds \\[1, 2\\] at place 1: {NOT_NUMBERS}"),
    "an object": (query(target=[1, 2, {"v": 3}, 4, 5, 6]), f"target holds {{'v': 3}} at place 3: {NOT_NUMBERS}"),
    "true": (query(target=[True, 2, 3, 4, 5, 6]), f"target holds True at place 1: {NOT_NUMBERS}"),
    "infinite": (query(target=["Infinity", 2, 3, 4, 5, 6]), "target holds "),
    "beyond float32": (query(target=[1e300, 2, 3, 4, 5, 6]), "target holds "),
    "no list": (query(target=5), f"target is 5: {NOT_NUMBERS}"),
    "null": (query(target=None), f"target is None: {NOT_NUMBERS}"),
    "no target": ({"start": "2021-05-01 03:00:00"}, "a series is "),
    "no start": ({"target": [1, 2, 3, 4, 5, 6]}, "a series is "),
    "a list of numbers": ([1, 2, 3, 4, 5, 6], r"got \[1, 2, 3, 4, 5, 6\]: a series is "),
    "a bad start": (query(start="yesterday"), "start is 'yesterday': it must be a time stamp"),
    "a time zone": (query(start="2021-05-01 03:00:00+02:00"), "it must be a time stamp .*, without a time zone"),
}


@pytest.mark.parametrize("what", sorted(INSTANCES))
def test_a_bad_instance_is_refused(model: Any, what: str) -> None:
    instance, message = INSTANCES[what]
    with pytest.raises(UserError, match=message):
        model.parse(instance, {})


SAMPLES = "it must be an integer from 1 to 10000"
OUTPUTS = "it must be a list of mean, quantiles, samples"
CONFIGURATIONS: list[tuple[dict[str, Any], str]] = [
    *[
        ({"num_samples": bad}, f"configuration.num_samples is .*: {SAMPLES}")
        for bad in (0, -1, 10_001, "5", 2.5, True, None)
    ],
    *[
        ({"quantiles": bad}, "configuration.quantiles is .*: it must be a list")
        for bad in ("0.5", 0.5, None, [None], [[0.5]])
    ],
    *[
        ({"quantiles": [bad]}, f"configuration.quantiles holds {bad!r}, which is out of range")
        for bad in ("0", "1", "1.5", "-0.1", "half", "nan", 2.0, "")
    ],
    *[({bad: 1}, f"unknown key of configuration '{bad}': ") for bad in ("num_sample", "output", "temperature")]
    + [
        ({"output_types": bad}, f"configuration.output_types is .*: {OUTPUTS}")
        for bad in ("mean", [], ["median"], [1], None, [["mean"]], [{"mean": 1}], ["mean", "median"])
    ],
]


@pytest.mark.parametrize(("configuration", "message"), CONFIGURATIONS)
def test_a_bad_configuration_is_refused(model: Any, configuration: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        model.parse(query(), configuration)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


GOOD = lines(records())
FILES: dict[str, tuple[dict[str, bytes], str]] = {
    "nothing": ({}, "channel train holds no files: give one or more, such as those in .json"),
    "other files": ({"series.txt": b"1,2"}, r"\(found: series\.txt\): "),
    "broken JSON": (
        {"a.json": GOOD + b'{"start": \n'},
        r"a\.json is not readable as JSON Lines: broken JSON at line 5",
    ),
    "gzip cut short": ({"a.json.gz": gzip.compress(GOOD)[:-40]}, r"a\.json\.gz is not a readable gzip file"),
    **{
        f"gzip damaged at {place}": (
            {"a.json.gz": flipped(gzip.compress(GOOD), place)},
            r"a\.json\.gz is not (a )?readable",
        )
        for place in (10, 20, 30, 60, 100)
    },
    "too short": (
        {"a.json": lines(records(3, 8))},
        r"no series of channel train is as long as context_length \+ prediction_length = 9 points \(.* 8\)",
    ),
    "no series": ({"a.json": b""}, "channel train holds no series, for there is no row in a.json"),
    "a text": (
        {"a.json": GOOD + lines([query(target=[1, "two"])])},
        r"channel train, a\.json, line 5: target holds 'two' at place 2: it must be a list of numbers",
    ),
    "a list of lists": (
        {"a.json": lines([query(target=[[1, 2]] * 20)])},
        r"channel train, a\.json, line 1: target holds \[1, 2\] at place 1: it must be a list of numbers",
    ),
    "an array of series": ({"a.json": b"[1, 2]"}, r"channel train, a\.json, line 1: got \[1, 2\]: a series is"),
    "no start": ({"a.json": lines([{"target": [1] * 20}])}, r"channel train, a\.json, line 1: got .*: a series is"),
}


@pytest.mark.parametrize("what", sorted(FILES))
def test_bad_training_data_is_refused(what: str, tmp_path: Path) -> None:
    files, message = FILES[what]
    with pytest.raises(UserError, match=message):
        fit(tmp_path, files)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_freq": "5 days"}, "time_freq is '5 days': it must be M, W, D, H or min"),
        ({"time_freq": "00min"}, "time_freq is '00min': it must be M, W, D, H or min"),
        ({"time_freq": "99999999999999999999min"}, "time_freq is '99999999999999999999min': it must be M, W, D"),
        (
            {"test_quantiles": "[0.5, 1.5]"},
            r"test_quantiles is \[0\.5, 1\.5\]: it holds 1\.5, which is out of range: a quantile lies between",
        ),
        ({"test_quantiles": "[]"}, r"test_quantiles is \[\]: it is an empty list: give one or more between 0 and 1"),
        ({"test_quantiles": "[half]"}, "hyperparameter test_quantiles is 'half': it must be a list such as"),
        (
            {"cell": "gru"},
            f"hyperparameter cell is 'gru': it must be {' or '.join(CELLS)}",
        ),
        ({"context_length": "0"}, "hyperparameter context_length is 0: it must be an integer, 1 or more"),
    ],
)
def test_bad_hyperparameters_are_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        fit(tmp_path, {"a.json": GOOD}, {"a.json": GOOD}, **changes)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "channel test holds no files"),
        ({"a.json": lines([query(target=[1.0] * 20 + ["x"])])}, r"channel test, a\.json, line 1: target holds 'x'"),
    ],
)
def test_a_bad_test_channel_is_refused_before_the_training(
    files: dict[str, bytes], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=message):
        fit(tmp_path, {"a.json": GOOD}, files)
    assert "train loss" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "records_of_test",
    [records(2, 3), [query(target=[1.0] * 20 + [None] * 3)], [query(target=[None] * 20)]],
    ids=["all too short", "without a value to score", "nulls alone"],
)
def test_a_test_channel_with_nothing_to_score_costs_no_model(
    records_of_test: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = fit(tmp_path, {"a.json": GOOD}, {"a.json": lines(records_of_test)})
    assert "train:final_loss" in model.metrics and not any(name.startswith("test:") for name in model.metrics)
    assert "warning: NOTHING TO SCORE in channel test: no series of more than prediction_length = 3 points" in (
        capsys.readouterr().err
    )


def test_series_of_nulls_alone_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nulls = lines([query(target=[None] * 20), query(target=["NaN"] * 9)])
    model = fit(tmp_path / "with", {"a.json": GOOD + nulls})
    assert "warning: channel train: 2 series without any value left out, a.json, line 5, a.json, line 6" in (
        capsys.readouterr().err
    )
    other = fit(tmp_path / "without", {"a.json": GOOD})
    for name, weight in other.network.state_dict().items():
        assert torch.equal(weight, model.network.state_dict()[name])


def test_a_channel_of_nulls_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="channel train"):
        fit(tmp_path, {"a.json": lines([query(target=[None] * 20)])})


@pytest.mark.parametrize("value", [9e15, -9e15, 1e-30])
@pytest.mark.parametrize("likelihood", ["student-T", "gaussian"])
def test_what_is_within_the_limit_trains_and_answers(value: float, likelihood: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    target = (value * random.uniform(0.5, 1, 40)).tolist()
    model = fit(tmp_path, {"a.json": lines([query(target=target)])}, likelihood=likelihood)
    answer = model.predict([model.parse(query(target=target), {})])[0]
    assert np.isfinite(answer["mean"]).all()


@pytest.mark.parametrize("value", [1.1e16, -3.3e38, 10**400], ids=["large", "very large", "400 digits"])
@pytest.mark.parametrize("field", ["target", "dynamic_feat"])
def test_what_is_beyond_the_limit_is_refused_with_its_place(value: float, field: str, tmp_path: Path) -> None:
    given: list[Any] = [1.0] * 20
    record = query(target=given) | ({"dynamic_feat": [[*given[1:], value]]} if field == "dynamic_feat" else {})
    record |= {"target": [*given[1:], value]} if field == "target" else {}
    text = python_json.dumps(record).encode() + b"\n"
    with pytest.raises(UserError, match=r"a\.json, line 1: .*place 20, which is beyond 1.0e\+16: scale"):
        fit(tmp_path, {"a.json": text})


def test_what_python_writes_for_no_number_is_missing(tmp_path: Path) -> None:
    target = [1.0, float("nan"), 3.0, float("inf"), 5.0, -float("inf")] * 4
    text = python_json.dumps(query(target=target)).encode() + b"\n"
    assert b"NaN" in text and b"-Infinity" in text
    model = fit(tmp_path / "a", {"a.json": text})
    nulls = fit(tmp_path / "b", {"a.json": lines([query(target=[1.0, None, 3.0, None, 5.0, None] * 4)])})
    for name, weight in nulls.network.state_dict().items():
        assert torch.equal(weight, model.network.state_dict()[name])


def test_short_series_are_left_out_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path, {"a.json": GOOD + lines(records(2, 5))}, {"a.json": GOOD + lines(records(1, 3))})
    warned = capsys.readouterr().err
    assert "warning: 2 of 6 series are shorter than 9 points and are left out" in warned
    assert "warning: 1 test series have 3 points or fewer and are left out" in warned


def test_bf16_is_for_gpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = fit(tmp_path / "bf16", {"a.json": GOOD}, precision="bf16")
    assert "warning: precision is bf16, but a CPU computes in float32" in capsys.readouterr().err
    other = fit(tmp_path / "float32", {"a.json": GOOD})
    assert "warning: precision" not in capsys.readouterr().err
    for name, weight in other.network.state_dict().items():
        assert torch.equal(weight, one.network.state_dict()[name])


@pytest.mark.parametrize("cell", list(CELLS))
@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_every_cell_trains_with_every_decoder(cell: str, decoder: str, tmp_path: Path) -> None:
    model = fit(tmp_path, {"a.json": GOOD}, cell=cell, decoder=decoder, num_layers="2")
    assert np.isfinite(model.predict([model.parse(query(), {})])[0]["mean"]).all()


@pytest.mark.parametrize("time_freq", ["M", "W", "D", "15min"])
def test_every_frequency_trains(time_freq: str, tmp_path: Path) -> None:
    model = fit(tmp_path, {"a.json": GOOD}, time_freq=time_freq)
    assert model.artifact().hyperparameters["time_freq"] == time_freq
    assert np.isfinite(model.predict([model.parse(query(), {})])[0]["mean"]).all()


@pytest.mark.parametrize("steps", [2, 9, 18])
def test_resuming_equals_never_stopping_to_the_bit(
    steps: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where every step was done but the last lines were not printed: 9 steps are an epoch."""
    changes = {"dropout_rate": "0.2", "early_stopping_patience": "5"}
    whole, printed = train("forecaster", tmp_path, changes), capsys.readouterr().out
    kept, calls = Kept(), 0

    def killed() -> bool:
        nonlocal calls
        calls += 1
        return calls >= steps

    train("forecaster", tmp_path, changes, checkpoints=kept, stop_requested=killed)
    capsys.readouterr()
    resumed = train("forecaster", tmp_path, changes, checkpoints=kept)
    for name, value in whole.artifact().tensors.items():
        assert torch.equal(resumed.artifact().tensors[name], value), name
    final = re.findall(r".*(?:final_loss|RMSE|QuantileLoss).*", printed)
    assert re.findall(r".*(?:final_loss|RMSE|QuantileLoss).*", capsys.readouterr().out) == final
    assert resumed.metrics == whole.metrics


def test_a_finished_job_that_is_started_again_ends_the_same(tmp_path: Path) -> None:
    kept = Kept()
    whole = train("forecaster", tmp_path, checkpoints=kept)
    again = train("forecaster", tmp_path, checkpoints=kept)
    assert again.metrics == whole.metrics


def on_each_rank(world: World, folder: Path) -> dict[str, Any]:
    """The tiny job with its files on every host; and with the training series dealt out, one host without any."""
    draws_module.FEWEST_STEPS = 3
    settings = {"dropout_rate": "0"}
    answers = {"replicated": train("forecaster", folder / f"r{world.rank}", settings, world=world).artifact()}
    data = ALGORITHMS["forecaster"].tiny_job.channels()
    mine = data["train"] if world.rank == 1 else {}
    algorithm, prepared = job(
        {**FORECASTER, **settings}, folder / f"d{world.rank}", {**data, "train": mine}, None, world
    )
    opened = prepared.channels["train"]
    channels = {**prepared.channels, "train": Channel("train", opened.folder, opened.files, divided=True)}
    divided: Job[Any] = replace(prepared, channels=channels)
    answers["divided"] = algorithm.fit(divided).artifact()
    return answers


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return on_ranks(2, on_each_rank, tmp_path_factory.mktemp("ranks"), hosts=2)


@pytest.mark.parametrize("kind", ["replicated", "divided"])
def test_two_ranks_equal_one(two_ranks: list[dict[str, Any]], kind: str, tmp_path: Path) -> None:
    expected = train("forecaster", tmp_path, {"dropout_rate": "0"}).artifact()
    for answers in two_ranks:
        for name, value in expected.tensors.items():
            torch.testing.assert_close(answers[kind].tensors[name], value, atol=1e-5, rtol=0, msg=name)
        for name in ("train:final_loss", "test:RMSE", "test:mean_wQuantileLoss", "test:seasonal_naive_RMSE"):
            assert answers[kind].metrics[name] == pytest.approx(expected.metrics[name], abs=1e-4)


def test_a_forecaster_without_a_test_channel_is_not_scored(tmp_path: Path) -> None:
    algorithm, prepared = tiny("forecaster", tmp_path)
    channels = {"train": prepared.channels["train"]}
    model = algorithm.fit(replace(prepared, channels=channels))
    assert set(model.artifact().metrics) == {"train:final_loss"}
