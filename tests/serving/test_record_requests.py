"""A topic model behind the application: records, JSON, JSON Lines and CSV in and out, and what is refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from flask.testing import FlaskClient

from polyadic.algorithms import lda
from polyadic.algorithms.lda.model import Model
from polyadic.topics.spectral import Topics
from tests.helpers.small_models import small_cp
from tests.serving.test_app import CSV, JSON, LINES, post, ready

RECORDS = "application/x-recordio-protobuf"
FLOAT32_TENSOR = 2
BETA = torch.tensor([[6, 1, 6, 1, 6, 1, 6, 1], [1, 6, 1, 6, 1, 6, 1, 6], [1, 1, 1, 1, 9, 9, 9, 9]], dtype=torch.float64)
ALPHA = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
SETTINGS = lda.Hyperparameters(num_topics=3, feature_dim=8)
MODEL = Model(settings=SETTINGS, topics=Topics(BETA / BETA.sum(1, keepdim=True), ALPHA), metrics={})
COUNTS = [[5, 0, 4, 0, 1, 0, 2, 0], [0, 3, 0, 4, 0, 2, 0, 1], [0, 0, 0, 0, 7, 3, 300, 4], [0, 0, 0, 0, 0, 0, 0, 0]]
MIXTURES = [one["topic_mixture"] for one in MODEL.predict([MODEL.parse({"features": row}, {}) for row in COUNTS])]


def varint(number: int) -> bytes:
    low, rest = number % 128, number // 128
    return bytes([low + 128]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes) -> bytes:
    return varint(number * 8 + 2) + varint(len(content)) + content


def frame(payload: bytes) -> bytes:
    return struct.pack("<II", 0xCED7230A, len(payload)) + payload + bytes(-len(payload) % 4)


def record(
    values: Sequence[float], keys: list[int] | None = None, width: int | None = None, name: bytes = b"values"
) -> bytes:
    """A document as SageMaker's SDK writes it: a count a term, or, with keys, those that are not 0."""
    tensor = field(1, struct.pack(f"<{len(values)}f", *values))
    tensor += b"" if keys is None else field(2, b"".join(map(varint, keys)))
    tensor += b"" if width is None else field(3, varint(width))
    return frame(field(1, field(1, name) + field(2, field(FLOAT32_TENSOR, tensor))))


def sparse(row: list[int], width: int | None = 8) -> bytes:
    keys = [key for key, count in enumerate(row) if count]
    return record([row[key] for key in keys], keys, width)


def frames(data: bytes) -> Iterator[bytes]:
    while data:
        magic, length = struct.unpack_from("<II", data)
        assert magic == 0xCED7230A
        yield data[8 : 8 + length]
        data = data[8 + length + -length % 4 :]


def number_at(data: bytes) -> tuple[int, bytes]:
    """A varint, and what comes after it."""
    value, shift = 0, 0
    for place, byte in enumerate(data, 1):
        value, shift = value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, data[place:]
    raise AssertionError("a number without an end")


def fields_of(data: bytes) -> list[tuple[int, bytes]]:
    """The fields of a message that has only those with a length."""
    found = []
    while data:
        tag, data = number_at(data)
        assert tag % 8 == 2, tag
        length, data = number_at(data)
        found.append((tag // 8, data[:length]))
        data = data[length:]
    return found


def labels_of(payload: bytes) -> dict[str, list[float]]:
    """The labels of a record in float32, which has nothing else."""
    found = {}
    for number, entry in fields_of(payload):
        assert number == 2
        (_, name), (_, value) = fields_of(entry)
        [(kind, tensor)] = fields_of(value)
        [(_, numbers)] = fields_of(tensor)
        assert kind == FLOAT32_TENSOR
        found[name.decode()] = list(struct.unpack(f"<{len(numbers) // 4}f", numbers))
    return found


BODIES = {
    "sparse records": (RECORDS, b"".join(map(sparse, COUNTS))),
    "dense records": (RECORDS, b"".join(map(record, COUNTS))),
    "both, without a shape": (RECORDS, record(COUNTS[0]) + b"".join(sparse(row, None) for row in COUNTS[1:])),
    "dense JSON": (JSON, json.dumps({"instances": [{"features": row} for row in COUNTS]}).encode()),
    "JSON Lines": (LINES, b"".join(b'{"data":{"features":{"values":%a}}}\n' % row for row in COUNTS)),
    "CSV": (CSV, b"".join(",".join(map(str, row)).encode() + b"\n" for row in COUNTS)),
}


def mixtures_of(answer: Any) -> list[list[float]]:
    """The numbers of an answer, whatever it is written in, and that nothing else is in it."""
    kind = answer.content_type.partition(";")[0]
    if kind == CSV:
        return [[float(cell) for cell in line.split(",")] for line in answer.text.splitlines()]
    if kind == RECORDS:
        found = [labels_of(payload) for payload in frames(answer.data)]
    else:
        lines = [json.loads(line) for line in answer.text.splitlines()]
        found = lines if kind == LINES else lines[0]["predictions"]
        assert kind == LINES or (len(lines) == 1 and lines[0].keys() == {"predictions"})
    assert all(one.keys() == {"topic_mixture"} for one in found)
    return [one["topic_mixture"] for one in found]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    return ready(monkeypatch, MODEL)


def test_the_mixtures_tell_the_documents_apart() -> None:
    assert [int(np.argmax(one)) for one in MIXTURES] == [0, 1, 2, 0]
    np.testing.assert_allclose(MIXTURES[3], ALPHA.numpy())


@pytest.mark.parametrize("accept", [None, RECORDS, JSON, LINES, CSV])
@pytest.mark.parametrize("form", list(BODIES))
def test_every_form_of_a_document_is_answered_in_every_format(
    client: FlaskClient, form: str, accept: str | None
) -> None:
    kind, body = BODIES[form]
    answer = post(client, body, kind, accept)
    assert (answer.status_code, answer.content_type.partition(";")[0]) == (200, accept or kind), answer.data
    found = mixtures_of(answer)
    np.testing.assert_allclose(found, MIXTURES, rtol=1e-6)
    np.testing.assert_allclose(np.sum(found, 1), 1, rtol=1e-6)


def test_a_sparse_instance_of_json_is_the_same_document(client: FlaskClient) -> None:
    features = {"keys": [4, 5, 6, 7], "shape": [8], "values": [7, 3, 300, 4]}
    answer = client.post("/invocations", json={"instances": [{"data": {"features": features}}]})
    np.testing.assert_allclose(mixtures_of(answer), MIXTURES[2:3], rtol=1e-12)


GOOD = sparse(COUNTS[0])
EMPTY = "the body holds no instances: send "


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        (RECORDS, b"", EMPTY + "records with the feature `values`, one instance per record"),
        (CSV, b"", EMPTY + "a table, with one instance per row"),
        (JSON, b"", EMPTY + '{"instances": [...]}'),
        (LINES, b"", EMPTY + '{"instances": [...]}'),
        (RECORDS, b"1,2,3,4\n", "the body, record 1: it begins with 31 2c 32 2c and not with RecordIO's 0a 23 d7 ce"),
        (RECORDS, GOOD + b"\0\0\0\0", "the body, record 2: it begins with 00 00 00 00 and not with RecordIO's"),
        (RECORDS, GOOD + GOOD[:-5], "the body, record 2: the data ends early"),
        (RECORDS, GOOD + frame(b"\x0a\x7f"), "the body, record 2 is not an aialgs.data.Record"),
        (RECORDS, record([1], name=b"words"), "it has no feature 'values', only 'words'"),
        (RECORDS, GOOD + record([1, 2], [3]), "the body, record 2: 2 values and 1 keys: give as many of each"),
        (RECORDS, GOOD + record([1], [8]), "instances[1]: features, document 1: the key 8 is beyond the 8 terms"),
        (RECORDS, GOOD + record([1, 2, 3]), "instances[1]: features, document 1: it has 3 terms where the model has 8"),
        (RECORDS, record([-1], [2]), "instances[0]: features, document 1: the count of term 2, -1, is negative"),
        (CSV, b"1,2,3\n", "instances[0]: features, document 1: it has 3 terms where the model has 8"),
        (LINES, b'{"words": [1]}\n', "instances[0]: {'words': [1]} holds no counts: write {\"features\": [0, 2, 1]}"),
    ],
    ids=lambda part: part if isinstance(part, str) else "body",
)
def test_what_is_no_document_is_refused_with_a_sentence(
    client: FlaskClient, kind: str, body: bytes, message: str
) -> None:
    answer = post(client, body, kind, JSON)
    assert (answer.status_code, answer.content_type) == (400, JSON)
    assert message in json.loads(answer.data)["error"]


def test_a_model_of_no_records_neither_takes_nor_gives_them(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ready(monkeypatch, small_cp()[0])
    answer = post(client, GOOD, RECORDS)
    assert answer.status_code == 415
    assert f"content type '{RECORDS}' is not taken here: send application/json" in json.loads(answer.data)["error"]
    answer = post(client, b'{"instances": [[0, 0, 0]]}', JSON, RECORDS)
    assert answer.status_code == 406
    assert f"Accept '{RECORDS}' cannot be met: ask for application/json" in json.loads(answer.data)["error"]
