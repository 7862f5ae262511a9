"""What a forecaster's training begins with: an earlier model, validation, scaling, the calendar."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.algorithms import ALGORITHMS
from polyadic.errors import UserError
from polyadic.forecasting.decoders import DECODERS
from tests.helpers.tiny_jobs import FORECASTER, job, lines, records, train


def fit(folder: Path, changes: dict[str, object], **channels: dict[str, bytes]) -> Any:
    algorithm, prepared = job(
        {**FORECASTER, **changes}, folder, {**ALGORITHMS["forecaster"].tiny_job.channels(), **channels}
    )
    return algorithm.fit(prepared)


def written(model: Any, folder: Path) -> dict[str, bytes]:
    """The files of a model."""
    model.artifact().write(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def hourly(count: int, length: int) -> dict[str, bytes]:
    random = np.random.default_rng(1)
    series = [{"start": "2021-03-01 00:00:00", "target": random.normal(size=length).tolist()} for _ in range(count)]
    return {"a.json": lines(series)}


@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_training_goes_on_from_an_earlier_model(
    decoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = fit(tmp_path / "first", {"decoder": decoder, "scaling": "train", "epochs": "5"})
    earlier = written(first, tmp_path / "model")
    changes: dict[str, object] = {"decoder": decoder, "scaling": "train", "epochs": "1", "learning_rate": "1e-12"}
    other = {"a.json": lines([{**one, "target": [9.0] * 20} for one in records()])}
    second = fit(tmp_path / "second", changes, train=other, model=earlier)
    assert "going on from the model of channel model" in capsys.readouterr().err
    for name, value in first.network.state_dict().items():
        torch.testing.assert_close(second.network.state_dict()[name], value, atol=1e-9, rtol=0)
    assert second.fixed == first.fixed and first.fixed is not None


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"num_cells": "5"}, "num_cells"),
        ({"cell": "lstm"}, "cell"),
        ({"tt_rank": "7"}, "tt_rank"),
        ({"time_freq": "2H"}, "time_freq"),
        ({"likelihood": "gaussian"}, "likelihood"),
    ],
)
def test_a_model_of_another_shape_is_refused(changes: dict[str, object], name: str, tmp_path: Path) -> None:
    earlier = written(train("forecaster", tmp_path / "first", {"epochs": "1"}), tmp_path / "model")
    with pytest.raises(
        UserError, match=f"{name} is {changes[name]}, but .* in the model of channel model: .* Set it as there"
    ):
        fit(tmp_path / "second", changes, model=earlier)


def test_a_context_may_change_but_for_a_direct_decoder(tmp_path: Path) -> None:
    for decoder in ("autoregressive", "direct"):
        first = fit(tmp_path / decoder, {"decoder": decoder, "epochs": "1"})
        earlier = written(first, tmp_path / f"{decoder}-model")
        changes: dict[str, object] = {"decoder": decoder, "epochs": "1", "context_length": "8"}
        if decoder == "autoregressive":
            fit(tmp_path / f"{decoder}-on", changes, model=earlier)
        else:
            with pytest.raises(UserError, match="context_length is 8, but 6 in the model of channel model"):
                fit(tmp_path / f"{decoder}-on", changes, model=earlier)


def test_the_model_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    earlier = written(train("cp", tmp_path / "first"), tmp_path / "model")
    with pytest.raises(UserError, match="channel model holds a model of cp: this job needs one of forecaster"):
        fit(tmp_path / "second", {}, model=earlier)


def test_the_weights_of_the_lowest_validation_loss_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Noise can't be learned: the longer the training, the worse on other noise."""
    changes: dict[str, object] = {"epochs": "12", "num_cells": "16", "learning_rate": "0.1", "dropout_rate": "0"}
    model = fit(tmp_path, changes, train=hourly(1, 24), validation=hourly(4, 30))
    printed = capsys.readouterr().out
    losses = [float(one) for one in re.findall(r"epoch=\d+, validation loss <loss>=(\S+)", printed)]
    assert len(losses) == 12 and losses[-1] > min(losses), "the case must end on a worse epoch"
    assert model.metrics["train:final_loss"] == pytest.approx(min(losses))
    assert [held for _, held in model.history] == pytest.approx(losses)


def test_patience_counts_epochs_of_validation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes: dict[str, object] = {"epochs": "40", "num_cells": "16", "learning_rate": "0.1", "dropout_rate": "0"}
    fit(tmp_path, {**changes, "early_stopping_patience": "2"}, train=hourly(1, 24), validation=hourly(4, 30))
    losses = [float(one) for one in re.findall(r"validation loss <loss>=(\S+)", capsys.readouterr().out)]
    assert len(losses) == losses.index(min(losses)) + 3 < 40


def test_a_validation_channel_too_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"no series of channel validation has 9 points, .* \(the longest has 8\): give the points before",
    ):
        fit(tmp_path, {}, validation=hourly(2, 8))


def test_windows_are_scaled_by_the_training_data_where_asked(tmp_path: Path) -> None:
    model = fit(tmp_path, {"scaling": "train", "epochs": "1"})
    values = np.array([value for one in records() + records(2, 30) for value in one["target"] if value is not None])
    level, scale = model.fixed
    assert (level, scale) == pytest.approx((values.mean(), values.std()), rel=1e-6)
    instance = model.parse({"start": "2021-05-01 03:00:00", "target": [1.0, 2, 3, 4, 5, 6]}, {})
    windows = model.windows([instance.series])
    assert windows.past_BC[0].tolist() == pytest.approx([(value - level) / scale for value in range(1, 7)], rel=1e-5)


@pytest.mark.parametrize(
    ("length", "asked", "found"),
    [
        (47, "auto", "none"),
        (48, "auto", "[day]"),
        (14 * 24, "auto", "[day, week]"),
        (24, "[week]", "[week]"),
        (24, "day, week", "[day, week]"),
        (400, "none", "none"),
    ],
)
def test_the_calendar_has_the_cycles_that_the_data_cover_twice(
    length: int, asked: str, found: str, tmp_path: Path
) -> None:
    model = fit(tmp_path, {"calendar": asked, "epochs": "1"}, train=hourly(1, length))
    assert model.settings.calendar == found
    assert model.network.shape.calendar == 2 * len(model.calendar.cycles)


@pytest.mark.parametrize("asked", ["hour", "[day, day]", "[]", "day week"])
def test_another_calendar_is_refused(asked: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"calendar .*it must be auto, none, or a list of day, week, year"):
        fit(tmp_path, {"calendar": asked})


def test_a_direct_model_answers_after_a_reload_as_before(tmp_path: Path) -> None:
    from polyadic.algorithms import named
    from polyadic.artifact import Artifact

    model = fit(
        tmp_path,
        {"decoder": "direct", "scaling": "train", "likelihood": "negative-binomial"},
        **{
            "train": {"a.json": lines([{**one, "target": [3, 4, 0, 2, 5] * 5} for one in records()])},
            "test": {"a.json": lines([{**one, "target": [3, 4, 0, 2, 5] * 5} for one in records()])},
        },
    )
    written(model, tmp_path / "model")
    again = named("forecaster").load(Artifact.read(tmp_path / "model"))
    asked = {"num_samples": 9, "output_types": ["mean", "quantiles", "samples"], "quantiles": ["0.1", "0.9"]}
    query = {"start": "2021-05-01 03:00:00", "target": [1, 2, 3, 4, 0, 2]}
    one, other = (each.predict([each.parse(query, asked)])[0] for each in (model, again))
    assert one.keys() == other.keys() == {"mean", "quantiles", "samples"}
    assert np.array_equal(one["samples"], other["samples"]) and np.array_equal(one["mean"], other["mean"])
    assert (one["samples"] == np.round(one["samples"])).all() and (one["samples"] >= 0).all()
