"""Batch transform: however a file is split and its records are put together, the output is the same, line by line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flask.testing import FlaskClient

from polyadic.formats import Row, pack_rows, recordio
from polyadic.serving import settings
from polyadic.serving.app import application
from tests.helpers.served_models import one_of_each, written
from tests.helpers.small_models import rank_one_model

JSON_LINES, CSV, RECORDIO = "application/jsonlines", "text/csv", "application/x-recordio-protobuf"
CONFIGURATION = '{"num_samples": 4, "output_types": ["quantiles"], "quantiles": ["0.5"]}'
COUNT = 7
COUNTS = [[1 + (row + term) % 3 if (row + term) % 2 else 0 for term in range(8)] for row in range(COUNT)]
INDICES = [[row % 3, row // 3 % 2, row % 2] for row in range(COUNT)]


def lines_of(values: Sequence[Any]) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


def rows_of(values: Sequence[Sequence[int]]) -> list[bytes]:
    return [",".join(map(str, row)).encode() for row in values]


def records_of(values: Sequence[Sequence[int]]) -> list[bytes]:
    arrays = (np.array(row, dtype=float) for row in values)
    return [recordio.encode(pack_rows([Row(1, np.flatnonzero(row), row[row > 0], len(row))])) for row in arrays]


FILES = {
    ("cp", JSON_LINES): lines_of([{"index": index} for index in INDICES]),
    ("cp", CSV): rows_of(INDICES),
    ("lda", JSON_LINES): lines_of([{"data": {"features": {"values": row}}} for row in COUNTS]),
    ("lda", CSV): rows_of(COUNTS),
    ("lda", RECORDIO): records_of(COUNTS),
    ("forecaster", JSON_LINES): lines_of(
        [{"start": "2020-01-01 00:00:00", "target": [row + hour % 5 for hour in range(24)]} for row in range(COUNT)]
    ),
}
"""The records of a file by algorithm and content type."""

MODELS = {**one_of_each(), "cp": rank_one_model(*(torch.arange(1.0, rows + 1) for rows in (3, 3, 2)))}


@pytest.fixture(params=sorted({name for name, _ in FILES}), scope="module")
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, FlaskClient]]:
    """A server of a transform job, by the algorithm of its model."""
    base = tmp_path_factory.mktemp(request.param)
    written(MODELS[request.param], base)
    environ = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BATCH": "True", "DEEPAR_INFERENCE_CONFIG": CONFIGURATION}
    yield request.param, application(settings.read(environ)).test_client()


def transformed(client: FlaskClient, kind: str, bodies: Sequence[bytes], accept: str) -> list[tuple[int, bytes]]:
    answers = (client.post("/invocations", data=body, content_type=kind, headers={"Accept": accept}) for body in bodies)
    return [(answer.status_code, answer.data) for answer in answers]


def put_together(records: Sequence[bytes], kind: str, most: int) -> list[bytes]:
    """SplitType Line or RecordIO with BatchStrategy MultiRecord, or SingleRecord where `most` is 1."""
    between = b"" if kind == RECORDIO else b"\n"
    return [b"".join(each + between for each in records[n : n + most]) for n in range(0, len(records), most)]


def files_of(name: str) -> list[tuple[str, list[bytes]]]:
    return [(kind, records) for (own, kind), records in FILES.items() if own == name]


@pytest.mark.parametrize("accept", [JSON_LINES, CSV, RECORDIO, ""])
def test_each_way_to_split_a_file_gives_the_same_lines(served: tuple[str, FlaskClient], accept: str) -> None:
    name, client = served
    for kind, records in files_of(name):
        whole = transformed(client, kind, put_together(records, kind, len(records)), accept)
        if whole[0][0] == 406:
            continue
        by_line = (accept or kind) != RECORDIO
        outputs = []
        for most in (1, 3, len(records)):
            answers = transformed(client, kind, put_together(records, kind, most), accept)
            assert {status for status, _ in answers} == {200}, answers
            # AssembleWith Line puts a line break behind each answer; RecordIO is put together as it is.
            outputs.append(b"".join(body + (b"\n" if by_line else b"") for _, body in answers))
        found = [
            output.splitlines() if by_line else list(recordio.payloads(io.BytesIO(output), "output"))
            for output in outputs
        ]
        assert [len(each) for each in found] == [len(records)] * 3, (name, kind, accept)
        if name != "forecaster":  # Its sample paths are drawn anew.
            assert outputs[0] == outputs[1] == outputs[2]
        elif by_line:
            assert [json.loads(line).keys() for line in found[0]] == [json.loads(line).keys() for line in found[2]]


def test_a_faulty_record_is_refused_with_its_number_and_others_are_answered(served: tuple[str, FlaskClient]) -> None:
    name, client = served
    for kind, records in files_of(name):
        faulty = b"no,\x00record" if kind != RECORDIO else records[4][:-4] + b"\xff" * 4
        wrong = [*records[:4], faulty, *records[5:]]
        single = transformed(client, kind, put_together(wrong, kind, 1), "")
        assert [status for status, _ in single] == [400 if n == 4 else 200 for n in range(COUNT)], single
        multi = transformed(client, kind, put_together(wrong, kind, 3), "")
        assert [status for status, _ in multi] == [200, 400, 200]
        sentence = json.loads(multi[1][1])["error"]
        assert any(word in sentence for word in ("2", "second")), sentence  # The second of the second request.


def test_a_record_that_the_model_refuses_is_named(served: tuple[str, FlaskClient]) -> None:
    name, client = served
    for kind, records in files_of(name):
        if kind != JSON_LINES:
            continue
        wrong = [*records[:2], b'{"nothing": 1}', *records[3:]]
        (status, body), *_ = transformed(client, kind, put_together(wrong, kind, COUNT), "")
        assert status == 400 and "instances[2]" in json.loads(body)["error"], body


def test_a_file_that_is_not_split_is_a_document_too(served: tuple[str, FlaskClient]) -> None:
    name, client = served
    for kind, records in files_of(name):
        if kind == JSON_LINES:
            document = json.dumps({"instances": [json.loads(record) for record in records]}).encode()
            (status, body), *_ = transformed(client, "application/json", [document], "")
            assert status == 200 and len(json.loads(body)["predictions"]) == COUNT


def test_documents_that_are_put_together_are_refused_with_what_to_do(served: tuple[str, FlaskClient]) -> None:
    _, client = served
    (status, body), *_ = transformed(client, "application/json", [b'{"instances": [1]}\n{"instances": [2]}\n'], "")
    assert status == 400 and "application/jsonlines" in json.loads(body)["error"], body


def test_what_a_transform_job_is_told(tmp_path: Path) -> None:
    written(MODELS["cp"], tmp_path)
    client = application(
        settings.read({"SAGEMAKER_BASE_DIR": str(tmp_path), "MODEL_SERVER_WORKERS": "3"})
    ).test_client()
    told = client.get("/execution-parameters").get_json()
    assert told == {"MaxConcurrentTransforms": 3, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}
