"""A body that is too large to be held is answered as if it were held, from the disk, piece by piece."""

from __future__ import annotations

import gzip
import io
import json
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
from polyadic.serving import large, settings, spool
from polyadic.serving.app import application
from polyadic.serving.spool import Spool
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
    for module in (spool, large):
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
    for module in (spool, large):
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


@pytest.mark.parametrize("most", [0, 1999, 2001, 5000, 12_000, 30_000])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_full_disk_is_said(
    tmp_path: Path, little_memory: None, monkeypatch: pytest.MonkeyPatch, most: int, encoding: str
) -> None:
    def no_space(self: Spool, data: bytes) -> None:
        if self.size + len(data) > most:
            raise OSError(28, "No space left on device")
        write(self, data)

    asked, write = client("cp", tmp_path), Spool._write
    monkeypatch.setattr(Spool, "_write", no_space)
    body = BODIES["cp", JSON_LINES]
    sent = gzip.compress(body) if encoding else body
    refused = asked.post("/invocations", data=sent, headers={"Content-Type": JSON_LINES, "Content-Encoding": encoding})
    assert refused.status_code == (507 if most < 12_000 else 200), refused.data
    if refused.status_code == 507:
        assert "No space left" in refused.get_json()["error"]


def test_answers_of_different_lengths_make_no_array(tmp_path: Path, little_memory: None) -> None:
    body = lines([{"index": [None, 0, 0]}] * 100 + [{"index": [0, 0, None]}] * 100)
    headers = {"Content-Type": JSON_LINES, "Accept": NPY}
    refused = client("cp", tmp_path).post("/invocations", data=body, headers=headers)
    assert refused.status_code == 406 and "differ in length" in refused.get_json()["error"]


def npy_file(shape: str, descr: str = "'<i8'", fortran: str = "False") -> bytes:
    head = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + (len(head) + 1).to_bytes(2, "little") + head + b"\n" + bytes(12_000)


@pytest.mark.parametrize(
    "shape", ["(500, -1, -3)", "(500, -3)", "(-500, 3)", "(500,)", "(True, 3)", "()", "(2**70, 3)"]
)
@pytest.mark.parametrize("descr", ["'<i8'", "'(3,)<i8'", "[('a', '<i8')]", "'O'"])
def test_a_head_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str, descr: str
) -> None:
    asked, body = client("lda", tmp_path), npy_file(shape, descr)
    held = asked.post("/invocations", data=body, content_type=NPY)
    monkeypatch.setattr(spool, "MOST_IN_MEMORY", 2000)
    monkeypatch.setattr(large, "PIECE_BYTES", 700)
    spooled = asked.post("/invocations", data=body, content_type=NPY)
    assert (held.status_code, spooled.status_code) == (400, 400), (held.data, spooled.data)


def test_an_array_that_is_read_whole_must_fit(
    tmp_path: Path, little_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, body = client("cp", tmp_path), npy.encode(np.asfortranarray(INDICES))
    assert asked.post("/invocations", data=body, content_type=NPY).status_code == 200
    monkeypatch.setattr(npy, "WHOLE_COPIES", 10**9)
    assert asked.post("/invocations", data=body, content_type=NPY).status_code == 400


def test_a_wrong_index_of_an_array_is_told_with_its_piece(tmp_path: Path, little_memory: None) -> None:
    body = npy.encode(np.array([*INDICES, [9, 9, 9]]))
    refused = client("cp", tmp_path).post("/invocations", data=body, content_type=NPY)
    assert refused.status_code == 400 and refused.get_json()["error"].startswith("in piece ")


def test_nothing_is_predicted_for_a_client_that_has_gone(tmp_path: Path, little_memory: None) -> None:
    class Leaving:
        asked = 0

        def there(self) -> bool:
            self.asked += 1
            return self.asked < 3

    leaving, app = Leaving(), client("cp", tmp_path)
    environ = {"gunicorn.socket": leaving}
    answer = app.post("/invocations", data=BODIES["cp", JSON_LINES], content_type=JSON_LINES, environ_overrides=environ)
    assert (answer.status_code, leaving.asked) == (499, 3)


def test_a_quote_that_is_no_cell_s_holds_no_more_than_a_few_pieces() -> None:
    body = b'5" pipe,0,0\n' + b"1,2,3\n" * 200_000
    pieces = list(csv.pieces(io.BytesIO(body), 100_000))
    assert b"".join(pieces) == body and max(map(len, pieces)) < 500_000


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
        assert sizes[2] - sizes[1] < len(body) / 2
