"""Likelihoods, cat and dynamic_feat as a forecaster's job and its requests meet them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyadic.algorithms import named
from polyadic.artifact import Artifact
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.forecasting import draws as draws_module
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.jobs.channels import Channel
from polyadic.jobs.job import Job
from tests.helpers.ranks import on_ranks
from tests.helpers.tiny_jobs import FORECASTER, job, lines, records
from tests.helpers.waves import observations


def values(likelihood: str, target: list[float | None]) -> list[float | None]:
    """A target of `records` as the likelihood takes it."""
    made = observations(LIKELIHOODS[likelihood], np.array(target, np.float64))
    return [None if known is None else value for known, value in zip(target, made.tolist(), strict=True)]


def featured(count: int = 4, length: int = 24, likelihood: str | None = None) -> list[dict[str, Any]]:
    """The tiny series with a category in each of two groupings and two dynamic features, as the likelihood takes it."""
    return [
        {
            **one,
            "target": one["target"] if likelihood is None else values(likelihood, one["target"]),
            "cat": [number % 3, number % 2],
            "dynamic_feat": [
                [float(step + number) for step in range(length)],
                [step % 5 / 5 for step in range(length)],
            ],
        }
        for number, one in enumerate(records(count, length))
    ]


def fit(folder: Path, series: list[dict[str, Any]], test: list[dict[str, Any]] | None = None, **changes: object) -> Any:
    """The model of the tiny job on these series."""
    channels = {"train": {"a.json": lines(series)}} | ({"test": {"a.json": lines(test)}} if test is not None else {})
    algorithm, prepared = job({**FORECASTER, "epochs": "1", **changes}, folder, channels)
    return algorithm.fit(prepared)


def reloaded(model: Any, folder: Path) -> Any:
    """The model as serving has it."""
    model.artifact().write(folder / "model")
    return named("forecaster").load(Artifact.read(folder / "model"))


def query(**changes: Any) -> dict[str, Any]:
    """A request that fits `featured`."""
    one = {"start": "2021-05-01 03:00:00", "target": [5.0, 6, None, 8, 7, 6, 5.5], "cat": [2, 1]}
    return {**one, "dynamic_feat": [[float(step) for step in range(10)], [0.1] * 10], **changes}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("featured")
    return reloaded(fit(folder, featured()), folder)


def means(model: Any, **changes: Any) -> Any:
    return model.predict([model.parse(query(**changes), {"num_samples": 10})])[0]["mean"]


@pytest.mark.parametrize("likelihood", sorted(LIKELIHOODS))
def test_every_likelihood_trains_is_scored_and_comes_back(likelihood: str, tmp_path: Path) -> None:
    series = featured(likelihood=likelihood)
    trained = fit(tmp_path, series, series, likelihood=likelihood.upper())
    assert trained.settings.likelihood == likelihood
    assert all(np.isfinite(value) for value in trained.metrics.values()) and "test:RMSE" in trained.metrics
    again = reloaded(trained, tmp_path)
    request = {**query(), "target": values(likelihood, query()["target"])}
    one, other = (
        each.predict([each.parse(request, {"num_samples": 20, "output_types": ["samples"]})])[0]["samples"]
        for each in (trained, again)
    )
    assert np.array_equal(one, other)
    LIKELIHOODS[likelihood].refuse(one.reshape(-1))
    assert np.isfinite(again.predict([again.parse(again.example(), {})])[0]["mean"]).all()


@pytest.mark.parametrize(
    ("likelihood", "wrong", "takes"),
    [
        ("negative-binomial", -3, "counts: whole numbers, 0 or more"),
        ("beta", 1, "values between 0 and 1, both excluded"),
    ],
)
def test_an_impossible_target_is_refused(likelihood: str, wrong: float, takes: str, tmp_path: Path) -> None:
    message = (
        rf"target holds {wrong} at place \d, but likelihood {likelihood} takes {takes}: mend the series, or choose"
    )
    series = featured(likelihood=likelihood)
    trained = fit(tmp_path / "good", series, likelihood=likelihood)
    with pytest.raises(UserError, match=message):
        trained.parse({**query(), "target": [*values(likelihood, [1.0] * 6), wrong]}, {})
    series[1]["target"][5] = wrong
    with pytest.raises(UserError, match=rf"channel train, a\.json, line 2: {message}"):
        fit(tmp_path / "bad", series, likelihood=likelihood)


def test_what_auto_has_found_is_kept(model: Any) -> None:
    assert (model.settings.cardinality, model.settings.num_dynamic_feat) == ("[3, 2]", "2")
    assert [tuple(one.weight.shape) for one in model.network.embeddings] == [(3, 10), (2, 10)]
    steps = np.concatenate([np.arange(24) + number for number in range(4)])
    assert model.network.feature_mean_J[0].item() == pytest.approx(steps.mean())
    assert model.network.feature_deviation_J[0].item() == pytest.approx(steps.std())


def test_without_any_auto_finds_none(tmp_path: Path) -> None:
    trained = reloaded(fit(tmp_path, records()), tmp_path)
    assert (trained.settings.cardinality, trained.settings.num_dynamic_feat) == ("[]", "0")
    plain = {name: value for name, value in query().items() if name in ("start", "target")}
    assert np.isfinite(trained.predict([trained.parse(plain, {})])[0]["mean"]).all()
    with pytest.raises(UserError, match=r"cat is \[2, 1\], but cardinality is \[\]: leave cat out"):
        trained.parse({**plain, "cat": [2, 1]}, {})
    with pytest.raises(
        UserError, match="dynamic_feat has 1 features, but num_dynamic_feat is 0: leave dynamic_feat out"
    ):
        trained.parse({**plain, "dynamic_feat": [[0.0] * 10]}, {})


@pytest.mark.parametrize("word", ["ignore", ""])
def test_what_is_ignored_changes_nothing(word: str, tmp_path: Path) -> None:
    ignoring = reloaded(
        fit(tmp_path / "a", featured(), featured(), cardinality=word, num_dynamic_feat=word), tmp_path / "a"
    )
    without = fit(tmp_path / "b", records(), records())
    for name, value in without.artifact().tensors.items():
        assert np.array_equal(ignoring.artifact().tensors[name], value), name
    assert (ignoring.settings.cardinality, ignoring.settings.num_dynamic_feat) == ("ignore", "ignore")
    assert np.array_equal(means(ignoring), means(ignoring, cat=[99], dynamic_feat=None))


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"cardinality": "[3,7]", "num_dynamic_feat": "2"}, ("[3, 7]", "2")),
        ({"cardinality": '"[4, 2]"', "num_dynamic_feat": '"auto"'}, ("[4, 2]", "2")),
        ({"cardinality": "AUTO", "num_dynamic_feat": "Ignore"}, ("[3, 2]", "ignore")),
    ],
)
def test_sizes_may_be_given(changes: dict[str, Any], kept: tuple[str, str], tmp_path: Path) -> None:
    settings = fit(tmp_path, featured(), embedding_dimension="3", **changes).settings
    assert (settings.cardinality, settings.num_dynamic_feat) == kept


LARGEST = "channel train, the largest of each grouping: "


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"cardinality": "[2, 2]"},
            LARGEST + r"cat is \[2, 1\], but cardinality is \[2, 2\]: number 1 must be from 0 to 1",
        ),
        ({"cardinality": "[3]"}, LARGEST + r"cat is \[2, 1\], but cardinality is \[3\]: give 1 whole numbers"),
        ({"cardinality": "[]"}, LARGEST + r"cat is \[2, 1\], but cardinality is \[\]: leave cat out"),
        ({"num_dynamic_feat": "3"}, "dynamic_feat has 2 features, but num_dynamic_feat is 3: give as many"),
        ({"num_dynamic_feat": "0"}, "dynamic_feat has 2 features, but num_dynamic_feat is 0: leave dynamic_feat out"),
        *[
            ({"cardinality": bad}, r"hyperparameter cardinality is .*: it must be auto, ignore or a list of numbers")
            for bad in ("some", "[3, 0]", "[2.5]", "3", "[3, 7", "[true]", "[2000000]", '["3"]')
        ],
        *[
            ({"num_dynamic_feat": bad}, "hyperparameter num_dynamic_feat is .*: it must be auto, ignore or the number")
            for bad in ("-1", "some", "[2]", "1.5")
        ],
    ],
)
def test_sizes_that_are_not_the_datas_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        fit(tmp_path, featured(), **changes)


def test_a_category_too_large_to_embed_is_refused_unless_it_is_ignored(tmp_path: Path) -> None:
    series = [{**one, "cat": [10**12]} for one in featured()]
    with pytest.raises(UserError, match="channel train: cat holds 1000000000000, but categories go from 0 to 999999"):
        fit(tmp_path / "a", series)
    assert fit(tmp_path / "b", series, cardinality="ignore").settings.cardinality == "ignore"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cat": [3, 0]}, r"cat is \[3, 0\], but cardinality is \[3, 2\]: number 1 must be from 0 to 2"),
        ({"cat": [0]}, r"cat is \[0\], but cardinality is \[3, 2\]: give 2 whole numbers"),
        ({"cat": [0, 0, 0]}, r"cat is \[0, 0, 0\], but cardinality is \[3, 2\]: give 2 whole numbers"),
        ({"cat": None}, r"cat is \[\], but cardinality is \[3, 2\]: give 2 whole numbers"),
        ({"dynamic_feat": None}, "dynamic_feat has 0 features, but num_dynamic_feat is 2: give as many"),
        ({"dynamic_feat": [[0.0] * 10]}, "dynamic_feat has 1 features, but num_dynamic_feat is 2: give as many"),
        ({"dynamic_feat": [[0.0] * 10, [0.0] * 9]}, r"dynamic_feat\[1\] has 9 values: there must be 10"),
        ({"dynamic_feat": [[0.0] * 7] * 2}, r"dynamic_feat\[0\] has 7 values: there must be 10"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(model: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        model.parse(query(**changes), {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"cat": [0, 2]},
            r"channel test, a\.json, line 1: cat is \[0, 2\], but cardinality is \[3, 2\]: number 2 must be from 0",
        ),
        (
            {"dynamic_feat": [[0.0] * 24]},
            r"channel test, a\.json, line 1: dynamic_feat has 1 features, but num_dynamic_feat is 2",
        ),
    ],
)
def test_a_test_channel_that_does_not_fit_is_refused_before_the_training(
    changes: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=message):
        fit(tmp_path, featured(), [{**one, **changes} for one in featured()])
    assert "train loss" not in capsys.readouterr().out


def test_before_a_short_series_features_have_their_mean(model: Any) -> None:
    """As in a longer one whose target is missing there."""
    mean = model.network.feature_mean_J.tolist()
    features = [[one, one, one, *values[3:]] for one, values in zip(mean, query()["dynamic_feat"], strict=True)]
    long = means(model, target=[None] * 3 + query()["target"][3:], dynamic_feat=features)
    cut = [values[3:] for values in features]
    short = means(model, start="2021-05-01 06:00:00", target=query()["target"][3:], dynamic_feat=cut)
    assert np.allclose(short, long, atol=1e-5)


def test_a_forecast_depends_on_categories_and_on_features_of_the_horizon(model: Any) -> None:
    usual, features = means(model), query()["dynamic_feat"]
    assert not np.allclose(means(model, cat=[0, 1]), usual)
    assert not np.allclose(means(model, cat=[2, 0]), usual)
    last = means(model, dynamic_feat=[[*features[0][:-1], 30.0], features[1]])
    assert np.array_equal(last[:2], usual[:2]) and not np.isclose(last[2], usual[2])
    before = means(model, dynamic_feat=[[99.0, *features[0][1:]], features[1]])
    assert np.array_equal(before, usual), "the first of seven values lies before the context"


def test_only_the_contexts_features_count(model: Any) -> None:
    longer = query(start="2021-05-01 01:00:00", target=[1.0, 2.0, *query()["target"]])
    longer["dynamic_feat"] = [[7.0, 8.0, *feature] for feature in query()["dynamic_feat"]]
    one, other = model.predict([model.parse(each, {}) for each in (query(), longer)])
    np.testing.assert_allclose(one["mean"], other["mean"], rtol=1e-5)


def test_instances_of_different_categories_are_answered_together(model: Any) -> None:
    asked = [model.parse(query(cat=[number, number % 2]), {}) for number in range(3)]
    for one, answer in zip(asked, model.predict(asked), strict=True):
        np.testing.assert_allclose(model.predict([one])[0]["mean"], answer["mean"], rtol=1e-4)


def test_the_scores_use_the_features_of_the_withheld_points(tmp_path: Path) -> None:
    series = featured()
    trained = fit(tmp_path, series, series, num_eval_samples="20")
    history = [{**one, "target": one["target"][:-3]} for one in series]
    answers = trained.predict([trained.parse(one, {"num_samples": 20, "output_types": ["mean"]}) for one in history])
    away = np.array([one["target"][-3:] for one in series]) - np.array([answer["mean"] for answer in answers])
    assert trained.metrics["test:RMSE"] == pytest.approx(np.sqrt(np.mean(away**2)), rel=1e-4)


def on_each_rank(world: World, folder: Path) -> dict[str, Any]:
    """The featured job with its series dealt out: the largest category is on one rank alone."""
    draws_module.FEWEST_STEPS = 3
    series = [featured()[number] for number in (0, 1, 3, 2)]
    mine = series[3:] if world.rank else series[:3]
    data = {"train": {"a.json": lines(series if world.size == 1 else mine)}, "test": {"a.json": lines(series)}}
    settings = {**FORECASTER, "dropout_rate": "0"}
    algorithm, prepared = job(settings, folder / f"{world.size}-{world.rank}", data, None, world)
    opened = prepared.channels["train"]
    train = Channel("train", opened.folder, opened.files, divided=world.size > 1)
    divided: Job[Any] = replace(prepared, channels={**prepared.channels, "train": train})
    artifact = algorithm.fit(divided).artifact()
    return {"tensors": dict(artifact.tensors), "settings": artifact.hyperparameters, "metrics": artifact.metrics}


def test_two_ranks_equal_one(tmp_path: Path) -> None:
    expected = on_each_rank(World.alone(), tmp_path)
    for answer in on_ranks(2, on_each_rank, tmp_path, hosts=2):
        assert answer["settings"] == expected["settings"]
        assert answer["tensors"].keys() == expected["tensors"].keys()
        assert answer["metrics"]["train:final_loss"] == pytest.approx(expected["metrics"]["train:final_loss"], abs=1e-4)
        for name, value in expected["tensors"].items():
            np.testing.assert_allclose(answer["tensors"][name], value, rtol=1e-6, atol=1e-5, err_msg=name)
