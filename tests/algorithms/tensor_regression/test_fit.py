"""Jobs of tensor regression: what they find, on any number of ranks, what they answer, how they resume."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.algorithms import ALGORITHMS
from polyadic.algorithms.tensor_regression.encoders import ENCODERS, EncoderOptions
from polyadic.algorithms.tensor_regression.encoders.raw import Raw
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.jobs.channels import Channel
from tests.helpers.ranks import on_ranks
from tests.helpers.samples import npz_bytes, pictures_and_questions, planted, table, three_views
from tests.helpers.tiny_jobs import Kept, job, lines, npy_bytes

REGRESSOR = {"predictor_type": "regressor", "rank": "1", "wd": "1e-6"}
BINARY = {"predictor_type": "binary_classifier"}
MULTI = {"predictor_type": "multiclass_classifier"}
ADAM = {"solver": "adam", "epochs": "3", "mini_batch_size": "16"}
LONGER = {"epochs": "60", "mini_batch_size": "32", "learning_rate": "0.02"}
QUICK = {"epochs": "2", "mini_batch_size": "16", "encoder_dimension": "4", "convolution_channels": "4"}


def fit(folder: Path, settings: dict[str, str], train: dict[str, bytes], **more: Any) -> Any:
    channels = {"train": train} | {name: more.pop(name) for name in ("validation", "test") if name in more}
    algorithm, prepared = job(settings, folder, channels, **more)
    return algorithm.fit(prepared)


def ask(model: Any, *instances: dict[str, Any], **configuration: Any) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = model.predict([model.parse(instance, configuration) for instance in instances])
    return answers


@pytest.mark.parametrize("weight", ["cp", "tucker", "tensor-train"])
@pytest.mark.parametrize("standardize", ["true", "false"])
def test_als_finds_a_planted_weight(weight: str, standardize: str, tmp_path: Path) -> None:
    x, y = planted(120)
    scaled = x * np.array([1e-3, 1, 5, 100, 1, 1])[:, None] + 7
    settings = {**REGRESSOR, "weight": weight, "standardize": standardize}
    data = scaled if standardize == "true" else x
    model = fit(
        tmp_path, settings, {"a.jsonl": table(data[:100], y[:100])}, test={"a.jsonl": table(data[100:], y[100:])}
    )
    assert model.metrics["test:rmse"] < 0.12 and model.metrics["test:r2"] > 0.98
    told = [answer["score"] for answer in ask(model, *({"features": each.tolist()} for each in data[100:]))]
    np.testing.assert_allclose(np.sqrt(np.square(told - y[100:]).mean()), model.metrics["test:rmse"], rtol=1e-3)


def test_factors_are_exported_in_the_units_of_the_data(tmp_path: Path) -> None:
    x, y = planted(200, noise=0.0)
    scales = np.array([1e-2, 1, 5, 100, 1, 1])
    model = fit(tmp_path, REGRESSOR, {"a.jsonl": table(x * scales[:, None] + 3, y)})
    tensors = model.artifact().tensors
    whole = torch.einsum("ir,jr,cr->ijc", tensors["factor_0"], tensors["factor_1"], tensors["outputs"])[..., 0].numpy()
    expected = np.multiply.outer(np.cos(np.arange(6)) / scales, np.cos(np.arange(5)))
    np.testing.assert_allclose(whole * scales[:, None], expected * scales[:, None], atol=2e-3)
    torch.testing.assert_close(tensors["factor_0"].norm(dim=0), torch.ones(1))


@pytest.mark.parametrize("settings", [{}, {"wd": "auto"}, {"wd": "0.001"}])
@pytest.mark.parametrize("validated", [True, False])
def test_rank_auto_finds_the_rank(
    settings: dict[str, str], validated: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = planted(150, noise=0.3)
    held = {"validation": {"a.jsonl": table(*planted(60, 1, noise=0.3))}} if validated else {}
    model = fit(tmp_path, {"predictor_type": "regressor", **settings}, {"a.jsonl": table(x, y)}, **held)
    assert model.metrics["train:r2"] > 0.95
    assert model.scorer.weight.rank == 1
    assert ("train BIC" in capsys.readouterr().out) is not validated


@pytest.mark.parametrize(
    ("labels", "told"), [((0, 1), (0, 1)), ((-1, 1), (-1, 1)), ((1, 2), (1, 2)), (("no", "yes"), ("no", "yes"))]
)
def test_two_classes_may_be_called_anything(labels: Any, told: Any, tmp_path: Path) -> None:
    x, y = planted(200)
    named = [labels[int(each > 3)] for each in y]
    model = fit(tmp_path, {**BINARY, "rank": "1"}, {"a.jsonl": table(x, named)})
    answers = ask(model, *({"features": each.tolist()} for each in x))
    assert all(set(answer) == {"score", "predicted_label"} and 0 <= answer["score"] <= 1 for answer in answers)
    assert {answer["predicted_label"] for answer in answers} == set(told)
    right = np.mean([answer["predicted_label"] == label for answer, label in zip(answers, named, strict=True)])
    assert right > 0.95 and model.metrics["train:binary_classification_accuracy"] == pytest.approx(right)
    assert model.metrics["train:roc_auc_score"] > 0.98


@pytest.mark.parametrize("solver", ["als", "adam"])
def test_several_classes_have_a_score_each(solver: str, tmp_path: Path) -> None:
    x, y = planted(240)
    label = np.digitize(y, [1.5, 4.5])
    settings = {
        **MULTI,
        "solver": solver,
        "rank": "2",
        "epochs": "40",
        "mini_batch_size": "32",
        "learning_rate": "0.02",
    }
    model = fit(tmp_path, settings, {"a.jsonl": table(x, label)})
    answers = ask(model, *({"features": each.tolist()} for each in x[:9]))
    for answer in answers:
        assert len(answer["score"]) == 3 and sum(answer["score"]) == pytest.approx(1)
        assert answer["predicted_label"] == int(np.argmax(answer["score"]))
    assert model.metrics["train:multiclass_accuracy"] > 0.85


def test_counts_have_means(tmp_path: Path) -> None:
    x, _ = planted(300, noise=0)
    mean = np.exp(x[:, 0, 0] * 0.8 + 1)
    counts = np.random.default_rng(0).poisson(mean)
    model = fit(tmp_path, {**REGRESSOR, "loss": "poisson"}, {"a.jsonl": table(x, counts)})
    told = np.array([answer["score"] for answer in ask(model, *({"features": each.tolist()} for each in x))])
    assert (told > 0).all() and np.corrcoef(told, mean)[0, 1] > 0.95


@pytest.mark.parametrize("fusion", ["lmf", "mutan", "block", "concat"])
@pytest.mark.parametrize("text", ["bag", "tt-lstm", "category"])
def test_a_picture_and_a_question(fusion: str, text: str, tmp_path: Path) -> None:
    settings = {**BINARY, **QUICK, "fusion": fusion, "encoders": f"question={text}"}
    model = fit(tmp_path, settings, pictures_and_questions(60), test=pictures_and_questions(20, 1))
    png = base64.b64encode(pictures_and_questions(1)["red.png"]).decode()
    answer, embedded = ask(
        model,
        {"picture": png, "question": "is it red?"},
        {"picture": f"data:image/png;base64,{png}", "question": "is it red?"},
    )
    assert answer["score"] == pytest.approx(embedded["score"], rel=1e-5)
    assert answer["predicted_label"] == embedded["predicted_label"] in ("yes", "no")
    assert np.isfinite(model.metrics["test:objective_loss"])


@pytest.mark.slow
def test_a_picture_and_a_question_are_learned(tmp_path: Path) -> None:
    """Neither alone tells: the answer is in their product."""
    settings = {**BINARY, "epochs": "30", "mini_batch_size": "32", "learning_rate": "0.01"}
    model = fit(tmp_path, settings, pictures_and_questions(300), test=pictures_and_questions(100, 1))
    assert model.metrics["test:binary_classification_accuracy"] > 0.97


def test_pictures_and_questions_by_als(tmp_path: Path) -> None:
    settings = {**BINARY, "solver": "als", "rank": "4", "wd": "0.001", "vocabulary_size": "50"}
    model = fit(tmp_path, settings, pictures_and_questions(300), test=pictures_and_questions(100, 1))
    assert model.solver == "als" and model.metrics["test:binary_classification_accuracy"] > 0.97


@pytest.mark.parametrize("solver", ["als", "adam"])
def test_three_vectors_multiplied(solver: str, tmp_path: Path) -> None:
    settings = {
        **BINARY,
        "solver": solver,
        "rank": "2",
        "epochs": "60",
        "mini_batch_size": "32",
        "learning_rate": "0.02",
    }
    train, test = npz_bytes(**three_views(600)), npz_bytes(**three_views(200, 1))
    model = fit(tmp_path, settings, {"a.npz": train}, test={"a.npz": test})
    assert model.metrics["test:binary_classification_accuracy"] > 0.9


@pytest.mark.parametrize("encoder", [name for name, each in ENCODERS.items() if "tensor" in each.takes])
@pytest.mark.parametrize("weight", ["cp", "tucker", "tensor-train"])
def test_a_tensor_through_a_network(encoder: str, weight: str, tmp_path: Path) -> None:
    x, y = planted(60)
    settings = {**REGRESSOR, **ADAM, "rank": "auto", "weight": weight, "encoders": f"features={encoder}"}
    model = fit(tmp_path, settings, {"a.jsonl": table(x, y)})
    assert model.solver == "adam" and np.isfinite(model.metrics["train:rmse"])


def test_every_file_gives_the_same_model(tmp_path: Path) -> None:
    x, y = planted(40)
    files = {
        "jsonl": {"a.jsonl": table(x, y)},
        "npz": {"a.npz": npz_bytes(features=x, label=y)},
        "npy": {"features.npy": npy_bytes(x), "label.npy": npy_bytes(y)},
    }
    models = [fit(tmp_path / name, REGRESSOR, each) for name, each in files.items()]
    for model in models[1:]:
        for name, value in model.artifact().tensors.items():
            torch.testing.assert_close(value, models[0].artifact().tensors[name], msg=name)


def test_vectors_are_folded(tmp_path: Path) -> None:
    x, y = planted(60)
    rows = [",".join(map(str, [label, *each.ravel()])) for label, each in zip(y, x, strict=True)]
    header = ",".join(["label", *(f"x{number}" for number in range(30))])
    csv = "\n".join([header, *rows]).encode()
    model = fit(tmp_path, {**REGRESSOR, "feature_shape": "[6, 5]"}, {"a.csv": csv})
    assert model.metrics["train:r2"] > 0.98
    flat, folded = ask(model, {"features": x[0].ravel().tolist()}, {"features": x[0].tolist()})
    assert flat == folded


def test_a_missing_modality_is_judged_by_the_others(tmp_path: Path) -> None:
    views = three_views(80)
    rows: list[dict[str, Any]] = []
    for number in range(80):
        row = {name: views[name][number].tolist() for name in ("a", "b", "c")}
        if number % 5 == 0:
            row.pop("b")
        rows.append({**row, "label": int(views["label"][number])})
    for solver in ("als", "adam"):
        settings = {**BINARY, **ADAM, "solver": solver, "rank": "2", "missing": "mask"}
        model = fit(tmp_path / solver, settings, {"a.jsonl": lines(rows)})
        with_mean = {**rows[1], "b": [0.0, 0.0, 0.0]}
        with_mean.pop("label")
        without = {name: value for name, value in with_mean.items() if name != "b"}
        mean = {**with_mean, "b": model.modalities.each[1].encoder.mean.tolist()}
        absent, at_mean = ask(model, without, mean)
        assert absent["score"] == pytest.approx(at_mean["score"], abs=1e-6)
        with pytest.raises(UserError, match="a is missing: this model takes a, b, c"):
            model.parse({}, {})
    with pytest.raises(UserError, match=r"^a\.jsonl, line 6: b is missing, which other rows have: .*missing to mask"):
        fit(tmp_path / "error", {**BINARY, "rank": "2"}, {"a.jsonl": lines(rows)})


def test_class_weights_even_classes_out(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 3, 3))
    label = (x[:, 0, 0] + random.normal(size=400) > 1.8).astype(int)
    recalls = []
    for weights in ("none", "balanced", "[1, 50]"):
        model = fit(
            tmp_path / weights.strip("[]"),
            {**BINARY, "rank": "1", "class_weights": weights},
            {"a.jsonl": table(x, label)},
        )
        confusion = model.evaluations[0].confusion_KK
        recalls.append(confusion[1, 1] / confusion[1].sum())
    assert recalls[0] < recalls[1] < recalls[2]


@pytest.mark.parametrize("settings", [{}, {"encoders": "features=contraction", "solver": "auto"}])
def test_components_add_up_to_the_score(settings: dict[str, str], tmp_path: Path) -> None:
    x, y = planted(60)
    model = fit(tmp_path, {**REGRESSOR, **ADAM, "solver": "als", "rank": "2", **settings}, {"a.jsonl": table(x, y)})
    (answer,) = ask(model, {"features": x[0].tolist()}, explain=True)
    assert sum(answer["components"]) + answer["intercept"] == pytest.approx(answer["score"], rel=1e-4)
    with pytest.raises(UserError, match="explain is 1: it must be true or false"):
        ask(model, {"features": x[0].tolist()}, explain=1)
    with pytest.raises(UserError, match="unknown key of configuration 'explan'"):
        ask(model, {"features": x[0].tolist()}, explan=True)


def test_components_of_products_add_up(tmp_path: Path) -> None:
    for solver, fusion in (("als", "lmf"), ("adam", "lmf")):
        settings = {**BINARY, **ADAM, "solver": solver, "rank": "2", "fusion": fusion}
        model = fit(tmp_path / solver, settings, {"a.npz": npz_bytes(**three_views(60))})
        instance = {name: values[0].tolist() for name, values in three_views(3).items() if name != "label"}
        (answer,) = ask(model, instance, explain=True)
        logit = np.log(answer["score"] / (1 - answer["score"]))
        assert sum(answer["components"]) + answer["intercept"] == pytest.approx(logit, rel=1e-3, abs=1e-4)
    settings = {**BINARY, **ADAM, "fusion": "block"}
    model = fit(tmp_path / "block", settings, {"a.npz": npz_bytes(**three_views(60))})
    with pytest.raises(UserError, match="scores are no sum over components"):
        ask(model, instance, explain=True)


@pytest.mark.parametrize("steps", [2, 5, 8])
def test_resuming_equals_never_stopping_to_the_bit(steps: int, tmp_path: Path) -> None:
    settings = {**BINARY, **QUICK, "epochs": "3", "early_stopping_patience": "5"}
    files = pictures_and_questions(50)
    whole = fit(tmp_path / "whole", settings, files)
    kept, calls = Kept(), 0

    def killed() -> bool:
        nonlocal calls
        calls += 1
        return calls >= steps

    fit(tmp_path / "first", settings, files, checkpoints=kept, stop_requested=killed)
    resumed = fit(tmp_path / "second", settings, files, checkpoints=kept)
    for name, value in whole.artifact().tensors.items():
        assert torch.equal(resumed.artifact().tensors[name], value), name
    assert resumed.metrics == whole.metrics


def test_patience_keeps_the_best_epoch(tmp_path: Path) -> None:
    settings = {**REGRESSOR, **ADAM, "epochs": "60", "learning_rate": "0.5", "early_stopping_patience": "2"}
    x, y = planted(40, noise=2)
    model = fit(tmp_path, settings, {"a.jsonl": table(x, y)}, validation={"a.jsonl": table(*planted(20, 1, noise=2))})
    assert len(model.history) < 60
    assert model.metrics["train:final_loss"] == min(held for _, held in model.history)


def test_bootstrap_gives_intervals_of_coefficients(tmp_path: Path) -> None:
    x, y = planted(150, noise=0.3)
    model = fit(tmp_path, {**REGRESSOR, "bootstrap": "20"}, {"a.jsonl": table(x, y)})
    low, high = model.intervals
    true = np.multiply.outer(np.cos(np.arange(6)), np.cos(np.arange(5)))
    inside = ((low[..., 0].numpy() - 0.02 <= true) & (true <= high[..., 0].numpy() + 0.02)).mean()
    assert inside > 0.7 and (high > low).all() and float((high - low).mean()) < 0.3
    report = ALGORITHMS["tensor-regression"].report
    assert report is not None
    report(tmp_path / "report", model)
    assert "95 % of refits" in (tmp_path / "report" / "report.html").read_text()


def on_each_rank(world: World, folder: Path, settings: dict[str, str], files: dict[str, bytes], divided: bool) -> Any:
    held = files if not divided else {name: data for name, data in files.items() if name[0] == "ab"[world.rank]}
    algorithm, prepared = job(settings, folder / f"{divided}{world.rank}", {"train": held}, None, world)
    opened = prepared.channels["train"]
    channels = {"train": Channel("train", opened.folder, opened.files, divided=divided)}
    model: Any = algorithm.fit(replace(prepared, channels=channels))
    return model.artifact().tensors, model.metrics


@pytest.mark.parametrize("divided", [True, False])
def test_two_ranks_equal_one(divided: bool, tmp_path: Path) -> None:
    (x, y), (z, w) = planted(70), planted(40, 1)
    files = {"a.jsonl": table(x, y), "b.jsonl": table(z, w)}
    expected = fit(tmp_path / "one", REGRESSOR, files)
    for tensors, metrics in on_ranks(2, on_each_rank, tmp_path, REGRESSOR, files, divided, hosts=2):
        for name, value in expected.artifact().tensors.items():
            torch.testing.assert_close(tensors[name], value, atol=1e-4, rtol=1e-4, msg=name)
        assert metrics["train:rmse"] == pytest.approx(expected.metrics["train:rmse"], rel=1e-3)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("solver", ["als", "adam"])
def test_pictures_lie_on_any_host(alone: bool, solver: str, tmp_path: Path) -> None:
    """A channel that is divided by its keys puts a table on one host, and its pictures on another."""
    files, more = pictures_and_questions(60), pictures_and_questions(30, 1)
    places = {b"red.png": b"a_red.png", b"green.png": b"b_green.png", b"blue.png": b"b_blue.png"}
    divided = {new.decode(): files[old.decode()] for old, new in places.items()}
    for name, table_of in (("a.csv", files), ("b.csv", more))[: 1 if alone else 2]:
        text = table_of["questions.csv"]
        for old, new in places.items():
            text = text.replace(old, new)
        divided[name] = text
    settings = {**BINARY, **QUICK, "solver": solver, "rank": "2", "wd": "0.001", "standardize": "true"}
    expected = fit(tmp_path / "one", settings, divided)
    (one, first), (two, second) = on_ranks(2, on_each_rank, tmp_path, settings, divided, True, hosts=2)
    assert first == second and all(torch.equal(value, two[name]) for name, value in one.items())
    for name, value in expected.modalities.tensors().items():
        torch.testing.assert_close(one[name], value, msg=name)
    if solver == "als":
        assert first["train:objective"] == pytest.approx(expected.metrics["train:objective"], rel=1e-3)


def test_two_ranks_train_one_network(tmp_path: Path) -> None:
    files = pictures_and_questions(60)
    answers = on_ranks(2, on_each_rank, tmp_path, {**BINARY, **QUICK}, files, False, hosts=2)
    (one, first), (two, second) = answers
    assert first == second and all(torch.equal(value, two[name]) for name, value in one.items())


def test_settled_numbers_are_those_that_were_taken_before() -> None:
    column = np.random.default_rng(0).normal(3, [[1.0], [5.0], [2.0]], (20, 3, 4)).astype(np.float32)
    prepared = Raw.learn(column, "x", EncoderOptions(), World.alone()).prepare(column)
    before = prepared.take(slice(None))
    settled = prepared.settle()
    assert settled.take(slice(None)).data_ptr() == column.ctypes.data
    torch.testing.assert_close(settled.take(slice(None)), before)
    torch.testing.assert_close(settled.take(np.array([3, 1])), before[[3, 1]])
    column.flags.writeable = False
    assert prepared.settle() is prepared
