"""A body that is too large to be held is answered as if it were held, from the disk, piece by piece."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.formats import FORMATS, Row, csv, npy, pack_rows, recordio
from polyadic.serving import content, large, settings
from polyadic.serving.app import application
from scripts.load import models
from scripts.load.client import keep_asking, request
from scripts.load.server import serving
from tests.helpers.served_models import small_lda, written
from tests.helpers.small_models import rank_one_model

JSON_LINES, CSV, NPY, RECORDIO = (
    "application/jsonlines",
    "text/csv",
    "application/x-npy",
    FORMATS["recordio"].content_types[0],
)
JSON = "application/json"
COUNT = 500
FAULTS = [(JSON_LINES, b'{"index": [9, 9, 9]}\n'), (JSON_LINES, b"{\n"), (CSV, b"9,9,9\n")]
CELLS = st.sampled_from(["a", 'b"c', "d\ne", "1", "f,g", ""])
INDICES = [[row % 3, row // 3 % 2, row % 2] for row in range(COUNT)]
DOCUMENTS = [[1 + (row + term) % 3 if (row + term) % 2 else 0 for term in range(8)] for row in range(COUNT)]


def lines(values: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def table(rows: Sequence[Sequence[int]]) -> bytes:
    return b"".join(",".join(map(str, row)).encode() + b"\n" for row in rows)


BODIES = {
    ("cp", JSON_LINES): lines([{"index": index} for index in INDICES]),
    ("cp", JSON): json.dumps({"instances": [{"index": index} for index in INDICES]}).encode(),
    ("cp", CSV): table(INDICES),
    ("cp", NPY): npy.encode(np.array(INDICES)),
    ("lda", JSON_LINES): lines([{"data": {"features": {"values": row}}} for row in DOCUMENTS]),
    ("lda", CSV): table(DOCUMENTS),
    ("lda", RECORDIO): recordio.encode(
        pack_rows([Row(1, np.flatnonzero(row), np.array([n for n in row if n], float), 8) for row in DOCUMENTS])
    ),
}
MODELS: dict[str, Any] = {
    "cp": rank_one_model(*(torch.arange(1.0, rows + 1) for rows in (3, 3, 2))),
    "lda": small_lda(),
}


def client(name: str, tmp_path: Path, **environ: str) -> FlaskClient:
    written(MODELS[name], tmp_path)
    return application(settings.read({"SAGEMAKER_BASE_DIR": str(tmp_path), **environ})).test_client()


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (content, large):
        monkeypatch.setattr(module, "MOST_IN_MEMORY", 2000)
    monkeypatch.setattr(large, "PIECE_BYTES", 700)


@pytest.mark.parametrize("accept", [JSON_LINES, JSON, CSV, NPY, RECORDIO, ""])
@pytest.mark.parametrize(("name", "kind"), list(BODIES))
def test_the_answer_is_that_to_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str, accept: str
) -> None:
    asked = client(name, tmp_path)
    body, headers = BODIES[name, kind], {"Content-Type": kind, "Accept": accept}
    held = asked.post("/invocations", data=body, headers=headers)
    for module in (content, large):
        monkeypatch.setattr(module, "MOST_IN_MEMORY", 2000)
    monkeypatch.setattr(large, "PIECE_BYTES", 700)
    if held.status_code == 406:
        assert asked.post("/invocations", data=body, headers=headers).status_code == 406
        return
    for sent, more in ((body, {}), (gzip.compress(body), {"Content-Encoding": "gzip"})):
        spooled = asked.post("/invocations", data=sent, headers=headers | more)
        assert (spooled.status_code, spooled.content_type) == (200, held.content_type), spooled.data
        if held.content_type == NPY:
            np.testing.assert_array_equal(np.load(io.BytesIO(spooled.data)), np.load(io.BytesIO(held.data)))
        else:
            assert spooled.data == held.data


def test_a_transform_job_s_last_line_has_no_end(tmp_path: Path, little_memory: None) -> None:
    answer = client("cp", tmp_path, SAGEMAKER_BATCH="true").post(
        "/invocations", data=BODIES["cp", JSON_LINES], content_type=JSON_LINES
    )
    assert answer.data.count(b"\n") == COUNT - 1 and answer.data.endswith(b"}")


@pytest.mark.parametrize(
    ("kind", "faulty"), [(JSON_LINES, b'{"index": [9, 9, 9]}\n'), (JSON_LINES, b"{\n"), (CSV, b"9,9,9\n")]
)
def test_a_faulty_instance_is_refused_with_how_many_are_before_its_piece(
    tmp_path: Path, little_memory: None, kind: str, faulty: bytes
) -> None:
    answer = client("cp", tmp_path).post("/invocations", data=BODIES["cp", kind] + faulty, content_type=kind)
    assert answer.status_code == 400
    before, _, sentence = answer.get_json()["error"].removeprefix("after ").partition(" instances: ")
    assert 0 < int(before) < COUNT and sentence


def test_lines_without_anything_are_passed_over_and_nothing_but_them_is_refused(
    tmp_path: Path, little_memory: None
) -> None:
    asked = client("cp", tmp_path)
    body = b"\n" * 3000 + BODIES["cp", JSON_LINES] + b"\n" * 3000
    assert asked.post("/invocations", data=body, content_type=JSON_LINES).data.count(b"\n") == COUNT
    refused = asked.post("/invocations", data=b"\n" * 3000, content_type=JSON_LINES)
    assert refused.status_code == 400 and "no instances" in refused.get_json()["error"]


def test_another_charset_is_read_whole(tmp_path: Path, little_memory: None) -> None:
    body = BODIES["cp", JSON_LINES].decode().encode("utf-16")
    answer = client("cp", tmp_path).post("/invocations", data=body, content_type=f"{JSON_LINES}; charset=utf-16")
    assert answer.status_code == 200 and answer.data.count(b"\n") == COUNT


def test_a_document_that_would_fill_the_memory_is_refused(
    tmp_path: Path, little_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = client("cp", tmp_path)
    asked.get("/ping")
    monkeypatch.setattr(large, "WHOLE_COPIES", 10**9)
    refused = asked.post("/invocations", data=BODIES["cp", JSON], content_type=JSON)
    assert refused.status_code == 413 and "application/jsonlines" in refused.get_json()["error"]


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_more_than_may_be_sent_is_refused(tmp_path: Path, little_memory: None, encoding: str) -> None:
    body = BODIES["cp", JSON_LINES]
    sent = gzip.compress(body) if encoding else body
    refused = client("cp", tmp_path, MAX_CONTENT_LENGTH="4000").post(
        "/invocations", data=sent, headers={"Content-Type": JSON_LINES, "Content-Encoding": encoding}
    )
    assert refused.status_code == 413


def test_a_full_disk_is_said(tmp_path: Path, little_memory: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space() -> None:
        raise OSError(28, "No space left on device")

    asked = client("cp", tmp_path)
    monkeypatch.setattr(tempfile, "TemporaryFile", no_space)
    refused = asked.post("/invocations", data=BODIES["cp", JSON_LINES], content_type=JSON_LINES)
    assert refused.status_code == 507 and "No space left" in refused.get_json()["error"]


@given(
    st.lists(st.lists(CELLS, min_size=2, max_size=2)),
    st.integers(1, 30),
)
def test_a_table_in_pieces_has_the_rows_of_the_whole(rows: list[list[str]], most: int) -> None:
    body = csv.encode(rows)
    pieces = list(csv.pieces(io.BytesIO(body), most))
    assert b"".join(pieces) == body
    assert [row for piece in pieces for row in csv.decode(piece)] == csv.decode(body)


@given(st.integers(0, 20), st.integers(0, 3), st.integers(1, 60), st.booleans())
def test_an_array_in_pieces_has_the_rows_of_the_whole(rows: int, columns: int, most: int, fortran: bool) -> None:
    array = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    body = npy.encode(np.asfortranarray(array) if fortran else array)
    pieces = [npy.decode(piece) for piece in npy.pieces(io.BytesIO(body), most)]
    np.testing.assert_array_equal(np.concatenate(pieces), array)


@given(st.binary(max_size=200), st.sampled_from([each for each in FORMATS.values() if each.pieces]))
def test_no_bytes_whatever_raise_another_error(body: bytes, spoken: Any) -> None:
    try:
        for piece in spoken.pieces(io.BytesIO(body), 20):
            spoken.decode(piece)
    except UserError as error:
        assert str(error)


@pytest.mark.alone
@pytest.mark.slow
def test_a_large_body_takes_little_memory_and_holds_up_nobody(tmp_path: Path) -> None:
    series = json.loads(models.work("forecaster", 1).body)["instances"][0]
    line = json.dumps(series | {"target": series["target"] * 30}).encode() + b"\n"
    body = line * (150 * 2**20 // len(line))
    environ = {"MAX_CONTENT_LENGTH": str(2**28), "DEEPAR_INFERENCE_CONFIG": '{"num_samples": 1}'}
    with serving(models.written("forecaster", tmp_path), environ) as server:
        keep_asking(server.port, [request("/invocations", line, JSON_LINES)], 2, 1.0)
        sizes = [server.resident_bytes()]
        for _ in range(2):
            outcome = keep_asking(server.port, [request("/invocations", body, JSON_LINES)], 1, 0.1)
            assert set(outcome.statuses) == {200} and not outcome.lost
            sizes.append(server.resident_bytes())
        assert sizes[1] - sizes[0] < len(body)  # Some pieces as they are parsed: the same for a body of any size.
        assert sizes[2] - sizes[1] < len(body) / 4
