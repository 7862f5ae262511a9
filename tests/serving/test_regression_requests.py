"""A tensor regression behind the application: each content type in and out, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from polyadic.formats import npy
from tests.helpers.samples import planted, table
from tests.helpers.tiny_jobs import job
from tests.serving.test_app import CSV, JSON, LINES, NPY, post, ready
from tests.serving.test_record_requests import FLOAT32_TENSOR, RECORDS, fields_of, frames, record

SHAPE = (3, 4)
X, SCORE = planted(120, shape=SHAPE)
NAMES = ["high", "low"]
LABEL = np.where(np.median(SCORE) < SCORE, *NAMES)
ASKED = X[:3].astype(np.float64)
FLAT = ASKED.reshape(3, -1)


def fitted(folder: Path, **settings: str) -> Any:
    """A model of two named classes, in numbers of 3 x 4."""
    told = {"predictor_type": "binary_classifier", "rank": "1", "wd": "0.001", **settings}
    algorithm, prepared = job(told, folder, {"train": {"a.jsonl": table(X, LABEL)}})
    return algorithm.fit(prepared)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return fitted(tmp_path_factory.mktemp("classes"))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, model: Any) -> FlaskClient:
    return ready(monkeypatch, model)


BODIES = {
    "JSON": (JSON, json.dumps({"instances": [{"features": row.tolist()} for row in ASKED]}).encode()),
    "flat JSON": (JSON, json.dumps({"instances": [{"features": row.tolist()} for row in FLAT]}).encode()),
    "JSON Lines": (LINES, b"".join(b'{"features": %a}\n' % row.tolist() for row in ASKED)),
    "Linear Learner's JSON Lines": (
        LINES,
        b"".join(b'{"data": {"features": {"values": %a}}}\n' % row.tolist() for row in FLAT),
    ),
    "sparse JSON Lines": (
        LINES,
        b"".join(
            b'{"data": {"features": {"keys": %a, "values": %a, "shape": [12]}}}\n' % (list(range(12)), row.tolist())
            for row in FLAT
        ),
    ),
    "CSV": (CSV, b"".join(",".join(map(str, row)).encode() + b"\n" for row in FLAT.tolist())),
    "npy": (NPY, npy.encode(ASKED)),
    "flat npy": (NPY, npy.encode(FLAT)),
    "dense records": (RECORDS, b"".join(record(row) for row in FLAT.tolist())),
    "sparse records": (RECORDS, b"".join(record(row, list(range(12)), 12) for row in FLAT.tolist())),
}


@pytest.mark.parametrize("body", BODIES)
def test_every_content_type_asks_the_same(client: FlaskClient, model: Any, body: str) -> None:
    kind, data = BODIES[body]
    answer = post(client, data, kind, JSON)
    assert answer.status_code == 200, answer.text
    told = json.loads(answer.text)["predictions"]
    expected = model.predict([model.parse({"features": row.tolist()}, {}) for row in ASKED])
    assert [each["predicted_label"] for each in told] == [each["predicted_label"] for each in expected]
    assert [each["predicted_label"] for each in told] == LABEL[:3].tolist()
    np.testing.assert_allclose([each["score"] for each in told], [each["score"] for each in expected], atol=1e-5)


def test_every_content_type_answers(client: FlaskClient, model: Any) -> None:
    expected = model.predict([model.parse({"features": row.tolist()}, {}) for row in ASKED])
    scores = [each["score"] for each in expected]
    asked, body = BODIES["npy"]
    lines = [json.loads(line) for line in post(client, body, asked, LINES).text.splitlines()]
    assert lines == expected
    rows = [float(line) for line in post(client, body, asked, CSV).text.splitlines()]
    np.testing.assert_allclose(rows, scores)
    array = npy.decode(post(client, body, asked, NPY).data)
    np.testing.assert_allclose(array, scores)
    records = [labels_of(payload) for payload in frames(post(client, body, asked, RECORDS).data)]
    assert [each["predicted_label"] for each in records] == [each["predicted_label"].encode() for each in expected]
    np.testing.assert_allclose([each["score"] for each in records], scores, rtol=1e-6)


def labels_of(payload: bytes) -> dict[str, Any]:
    """The labels of a record: a number in float32, a text in bytes."""
    found: dict[str, Any] = {}
    for _, entry in fields_of(payload):
        (_, name), (_, value) = fields_of(entry)
        [(kind, inner)] = fields_of(value)
        [(_, content)] = fields_of(inner)
        found[name.decode()] = np.frombuffer(content, "<f4").item() if kind == FLOAT32_TENSOR else content
    return found


def test_shares_add_up_to_the_score(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    algorithm, prepared = job(
        {"predictor_type": "regressor", "rank": "2", "wd": "0.001"}, tmp_path, {"train": {"a.jsonl": table(X, SCORE)}}
    )
    client = ready(monkeypatch, algorithm.fit(prepared))
    body = {"instances": [{"features": ASKED[0].tolist()}], "configuration": {"explain": True}}
    [told] = json.loads(post(client, json.dumps(body).encode(), JSON).text)["predictions"]
    np.testing.assert_allclose(told["intercept"] + sum(told["components"]), told["score"], rtol=1e-5)
    answer = post(client, json.dumps(body).encode(), JSON, RECORDS)
    [payload] = frames(answer.data)
    assert {name.decode() for _, entry in fields_of(payload) for _, name in fields_of(entry)[:1]} == set(told)


REFUSED = {
    "another width": (CSV, b"1,2,3\n", "features has shape 3: it must be 3 x 4"),
    "another shape": (NPY, npy.encode(np.zeros((2, 4, 3))), "features has shape 4 x 3: it must be 3 x 4"),
    "a record too wide": (RECORDS, record([1.0], [12]), "record 1 has not the 12 numbers that this model takes"),
    "a record too short": (RECORDS, record([1.0, 2.0]), "record 1 has not the 12 numbers that this model takes"),
    "a key too large": (
        LINES,
        b'{"features": {"keys": [12], "values": [1]}}\n',
        "features has the key 12: keys are whole numbers from 0 to 11",
    ),
    "a text": (JSON, b'{"instances": [{"features": "a"}]}', "give a list of numbers of 3 x 4"),
    "not a number": (JSON, b'{"instances": [{"features": [NaN]}]}', "features is nan at [0]: numbers must be finite"),
    "another name": (JSON, b'{"instances": [{"picture": [1]}]}', "picture"),
    "no object": (JSON, b'{"instances": [[1, 2]]}', "give an object with features"),
    "nothing": (JSON, b'{"instances": [{}]}', "features is missing"),
}


@pytest.mark.parametrize("body", REFUSED)
def test_what_is_refused(client: FlaskClient, body: str) -> None:
    kind, data, why = REFUSED[body]
    answer = post(client, data, kind, JSON)
    assert answer.status_code == 400
    assert why in answer.text
