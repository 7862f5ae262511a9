"""What a job of tensor regression refuses: each sentence names the file, the row and what to do."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyadic.algorithms import choose
from polyadic.errors import UserError
from polyadic.formats import images
from tests.helpers.samples import npz_bytes, pictures_and_questions, planted, table, three_views
from tests.helpers.tiny_jobs import job, lines

BINARY = {"predictor_type": "binary_classifier", "rank": "1", "epochs": "1"}
MULTI = {"predictor_type": "multiclass_classifier", "rank": "1"}
REGRESSOR = {"predictor_type": "regressor", "rank": "1"}
VECTOR = {"features": [1.0, 2.0]}


def refusal(folder: Path, settings: dict[str, str], train: dict[str, bytes], **channels: dict[str, bytes]) -> str:
    """What a job is refused with."""
    algorithm, prepared = job(settings, folder, {"train": train, **channels})
    with pytest.raises(UserError) as refused:
        algorithm.fit(prepared)
    return str(refused.value)


def rows(*labels: Any) -> bytes:
    """Samples of a vector each."""
    return lines([{"label": label, "features": [number, 1.0 - number]} for number, label in enumerate(labels)])


@pytest.mark.parametrize(
    ("settings", "labels", "told"),
    [
        (BINARY, (1, 1, 1), "all labels of channel train are 1: give samples of two classes or more"),
        (BINARY, (0, 1, 2), "a.jsonl, line 3: label is 2: it is of class number 3: binary_classifier has two"),
        (BINARY, ("a", "b", "c"), "a.jsonl, line 3: label is 'c': it is of class number 3: binary_classifier has two"),
        (MULTI | {"num_classes": "3"}, (0, 1, 3), "line 3: label is 3: classes are whole numbers from 0 to 2"),
        (
            MULTI | {"num_classes": "2"},
            ("a", "b", "c"),
            "label is 'c': it is of class number 3: num_classes is 2",
        ),
        (MULTI, (0, 1, -1), "line 3: label is -1: classes are whole numbers from 0 to 99999"),
        (MULTI, (0, 1, 1.5), "line 3: label is 1.5: classes are whole numbers from 0"),
        (MULTI, (0, 1, 1e9), "line 3: label is 1000000000.0: classes are whole numbers .*more if num_classes is set"),
        (REGRESSOR, ("a", "b"), "line 1: label is 'a': predictor_type=regressor takes numbers"),
        (REGRESSOR | {"loss": "poisson"}, (0, 1, -1), "line 3: label is -1: the loss poisson takes"),
        (REGRESSOR, (0.5, None), "line 2: label is None: give each row a number, or the name of a class"),
        (BINARY, (0, "yes"), "line 2: label is 'yes', a text, and a number in"),
    ],
)
def test_labels(settings: dict[str, str], labels: tuple[Any, ...], told: str, tmp_path: Path) -> None:
    text = refusal(tmp_path, settings, {"a.jsonl": rows(*labels)})
    assert re.search(told.replace("(", r"\("), text), text


def test_labels_of_arrays_and_other_channels(tmp_path: Path) -> None:
    x, y = planted(20)
    text = refusal(tmp_path / "1", REGRESSOR | {"loss": "poisson"}, {"a.npz": npz_bytes(features=x, label=-np.abs(y))})
    assert text.startswith("a.npz: label, sample 0, is -") and "the loss poisson takes" in text
    named = table(x, (y > 3).astype(int))
    other = table(x, np.full(20, 7))
    text = refusal(tmp_path / "2", BINARY, {"a.jsonl": named}, test={"b.jsonl": other})
    assert text.startswith("b.jsonl, line 1: label is 7: channel train has 0, 1: give samples of these classes")


@pytest.mark.parametrize(
    ("train", "told"),
    [
        ({"a.jsonl": lines([{"label": 1, **VECTOR}, {"label": 0, "features": [1.0]}])}, "a.jsonl, line 2: features is"),
        ({"a.jsonl": lines([{"label": 1, **VECTOR}, {"label": 0, "features": [1.0, "x"]}])}, "a.jsonl, line 2"),
        ({"a.jsonl": lines([{"label": 1, "features": [[1.0, 2.0], [3.0]]}])}, "a.jsonl, line 1: features has lists"),
        ({"a.jsonl": b'{"label": 1, "features": [1e99, 0]}\n'}, "a.jsonl, line 1: features is 1e\\+99 at \\[0\\]"),
        ({"a.jsonl": lines([{"label": 1}])}, "a.jsonl, line 1: it has nothing but a label"),
        (
            {"a.npz": npz_bytes(a=np.ones((3, 2)), b=np.ones((4, 2)), label=np.ones(3))},
            "a.npz: b has 4 samples",
        ),
        (
            {"a.npz": npz_bytes(a=np.array([[1.0], [np.nan]]), label=np.arange(2))},
            "a.npz: a, sample 1: a number",
        ),
        ({"a.npz": npz_bytes(a=np.ones((3, 2)))}, "a.npz has no array label"),
        ({"a.csv": b"label,question\n1,\n0,\n"}, "a.csv, line 2: it has nothing but a label"),
    ],
)
def test_samples(train: dict[str, bytes], told: str, tmp_path: Path) -> None:
    text = refusal(tmp_path, BINARY, train)
    assert re.search(told, text), text


def test_pictures(tmp_path: Path) -> None:
    files = pictures_and_questions(6)
    cut = {**files, "red.png": files["red.png"][:40], "blue.png": files["blue.png"][:40], "green.png": b"GIF89a"}
    text = refusal(tmp_path / "1", BINARY, cut)
    assert text.startswith("questions.csv, ") and ".png" in text
    other = {**files, "blue.png": images.encode(np.zeros((9, 9, 3), np.uint8))}
    other = {**other, "questions.csv": b"file,question,label\nred.png,is it red?,yes\nblue.png,is it red?,no\n"}
    text = refusal(tmp_path / "2", BINARY, other)
    assert "questions.csv, row 3" in text or "questions.csv, line 3" in text
    assert "9 x 9 x 3" in text and "8 x 8 x 3" in text
    text = refusal(tmp_path / "3", BINARY, {"questions.csv": b"file,label\nno.png,yes\n"})
    assert "there is no picture no.png in the channel" in text


def test_a_text_that_says_nothing(tmp_path: Path) -> None:
    files = pictures_and_questions(20)
    unknown = b"file,question,label\nred.png,is it red?,yes\nred.png,quel est cela?,no\n"
    text = refusal(tmp_path / "1", BINARY, files, test={**files, "questions.csv": unknown})
    assert text.startswith("questions.csv, ") and "question holds nothing that is known from training" in text
    algorithm, prepared = job(
        {**BINARY, "missing": "mask"}, tmp_path / "2", {"train": files, "test": {**files, "questions.csv": unknown}}
    )
    model: Any = algorithm.fit(prepared)
    assert np.isfinite(model.metrics["test:objective_loss"])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"weight": "tucker", "rank": "[2, 2, 2]"}, "rank is [2, 2, 2]: it must be a number, or a list of 2"),
        ({"weight": "tucker", "rank": "[9, 2]"}, "rank[0] is 9: 6 at most there"),
        ({"rank": "40"}, "rank is 40: 5 at most, by the shape of the samples, 6 x 5"),
        ({"rank": "40", "solver": "adam"}, "rank is 40: 5 at most, by the shape of the samples, 6 x 5"),
        ({"rank": "7", "weight": "tucker"}, "rank is 7: 6 at most, by the shape of the samples, 6 x 5"),
        ({"rank": "6", "weight": "tensor-train"}, "rank is 6: 5 at most, by the shape of the samples, 6 x 5"),
        ({"encoders": "nothing=raw"}, "encoders names nothing: channel train has features"),
        ({"encoders": "features=bag"}, "the encoder of features is bag, of a text, and features is a tensor of 6 x 5"),
        ({"encoders": "features=contraction", "solver": "als"}, "solver=als has no learned encoders, and features has"),
        ({"encoders": "features=contraction", "contraction": "[9, 2]"}, "contraction is [9, 2]: give for each mode"),
        ({"class_weights": "[1, 2, 3]", "predictor_type": "binary_classifier"}, "class_weights has 3 numbers"),
        ({"feature_shape": "[4, 4]"}, "feature_shape is [4, 4], 16 numbers, and features has 30"),
    ],
)
def test_settings_that_do_not_fit_the_samples(settings: dict[str, str], told: str, tmp_path: Path) -> None:
    x, y = planted(20)
    label = (y > 3).astype(int) if "class_weights" in settings else y
    assert told in refusal(tmp_path, REGRESSOR | settings, {"a.jsonl": table(x, label)})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"predictor_type": "regressor", "loss": "softmax"}, "takes loss=squared or absolute or huber or poisson"),
        ({"predictor_type": "regressor", "num_classes": "3"}, "num_classes is for classifiers"),
        ({"predictor_type": "binary_classifier", "num_classes": "3"}, "binary_classifier has 2"),
        ({"predictor_type": "regressor", "class_weights": "balanced"}, "class_weights are for classifiers"),
        ({"predictor_type": "regressor", "solver": "als", "fusion": "block"}, "fusion=lmf alone"),
        ({"predictor_type": "regressor", "solver": "als", "l1": "0.1"}, "l1 is for solver=adam"),
        ({"predictor_type": "regressor", "solver": "adam", "edges": "true"}, "smoothness and edges are for solver=als"),
        (
            {"predictor_type": "regressor", "solver": "adam", "smoothness": "3"},
            "smoothness and edges are for solver=als",
        ),
        ({"predictor_type": "regressor", "edges": "true", "smoothness": "0"}, "edges=true needs a smoothness above 0"),
        ({"predictor_type": "regressor", "solver": "adam", "bootstrap": "5"}, "bootstrap is for solver=als"),
        ({"predictor_type": "regressor", "rank": "0"}, "rank is '0': it must be auto, a number of 1 or more"),
        ({"predictor_type": "regressor", "rank": "two"}, "rank is 'two': it must be auto"),
        ({"predictor_type": "regressor", "feature_shape": "[0, 2]"}, "feature_shape is [0, 2]: give 1 or more"),
        ({"predictor_type": "regressor", "encoders": "a=bags"}, "unknown encoder 'bags': did you mean 'bag'?"),
        ({"predictor_type": "regressor", "encoders": "bag"}, "it must be auto, or such as picture=convolution"),
        ({"predictor_type": "multiclass_classifier", "class_weights": "heavy"}, "it must be none, balanced, or a list"),
        ({"predictor_type": "classifier"}, "it must be regressor or binary_classifier or multiclass_classifier"),
    ],
)
def test_settings_that_do_not_fit_together(settings: dict[str, str], told: str) -> None:
    with pytest.raises(UserError) as refused:
        choose({"algorithm": "tensor-regression", **settings})
    assert told in str(refused.value)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    x, y = planted(30)
    channels = {
        "tensor": (REGRESSOR, {"a.jsonl": table(x, y)}),
        "question": (BINARY, pictures_and_questions(20)),
        "views": (BINARY, {"a.npz": npz_bytes(**three_views(30))}),
    }
    made = {}
    for name, (settings, files) in channels.items():
        algorithm, prepared = job(settings, tmp_path_factory.mktemp(name), {"train": files})
        made[name] = algorithm.fit(prepared)
    return made


PNG = base64.b64encode(images.encode(np.zeros((8, 8, 3), np.uint8))).decode()
SMALL = base64.b64encode(images.encode(np.zeros((2, 2, 3), np.uint8))).decode()
QUESTION = "is it red?"


@pytest.mark.parametrize(
    ("name", "instance", "told"),
    [
        ("tensor", {"features": [1, 2]}, "features has shape 2: it must be 6 x 5, as in training"),
        ("tensor", {"features": "x"}, "features is 'x': give a list of numbers of 6 x 5"),
        ("tensor", {"features": {"keys": [30], "values": [1]}}, "features has the key 30: keys are whole numbers"),
        ("tensor", {"features": {"keys": [1, 2], "values": [1]}}, "keys and values of different numbers"),
        ("tensor", {"features": {"keys": [1], "values": ["x"]}}, "features has the value 'x': values are numbers"),
        ("tensor", {"x": [1]}, "the instance has x: this model takes features"),
        ("tensor", {}, "features is missing: this model takes features"),
        ("question", {"picture": PNG}, "question is missing: this model takes picture, question"),
        ("question", {"picture": "no base64!", "question": QUESTION}, "picture is 'no base64!': give a PNG or JPEG"),
        ("question", {"picture": "AAAA", "question": QUESTION}, "picture"),
        ("question", {"picture": 5, "question": QUESTION}, "picture is 5: give a PNG or JPEG in base64"),
        ("question", {"picture": SMALL, "question": QUESTION}, "picture is a picture of 2 x 2 x 3: it must be one of"),
        ("question", {"picture": [[[300]]], "question": QUESTION}, "picture holds a number that is no pixel"),
        ("question", {"picture": PNG, "question": 5}, "question is 5: give a text"),
        ("question", {"picture": PNG, "question": "quoi"}, "question is 'quoi': it holds nothing that training saw"),
        ("views", {"a": [0] * 4, "b": [0] * 3, "c": [0] * 4}, "c has shape 4: it must be 5, as in training"),
    ],
)
def test_requests(name: str, instance: dict[str, Any], told: str, models: dict[str, Any]) -> None:
    with pytest.raises(UserError) as refused:
        models[name].parse(instance, {})
    assert told in str(refused.value)


def test_tables_and_records_hold_one_tensor(models: dict[str, Any]) -> None:
    from polyadic.formats import FORMATS

    for name in ("question", "views"):
        with pytest.raises(UserError, match="a table holds one tensor in each row, and this model takes"):
            models[name].from_table([[1.0]])
        with pytest.raises(UserError, match="a record holds one tensor"):
            models[name].from_records(FORMATS["recordio"].decode(b""))


def test_a_request_may_be_sparse_or_wrapped(models: dict[str, Any]) -> None:
    model = models["tensor"]
    dense = np.zeros((6, 5))
    dense[0, 3] = 2.0
    asked = [
        {"features": dense.tolist()},
        {"features": {"keys": [3], "shape": [30], "values": [2.0]}},
        {"data": {"features": {"values": dense.ravel().tolist()}}},
    ]
    answers = model.predict([model.parse(instance, {}) for instance in asked])
    assert answers[0] == answers[1] == answers[2]
