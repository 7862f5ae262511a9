"""The application without a server: faults, content types in and out, limits."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from polyadic.errors import UserError
from polyadic.formats import npy
from polyadic.serving import app as serving
from polyadic.serving import places, settings
from polyadic.serving.one import One
from polyadic.serving.served import Served
from tests.helpers.small_models import PEOPLE, small_cp


def packed(body: bytes) -> bytes:
    """In gzip, the same bytes at any time."""
    return gzip.compress(body, mtime=0)


class Faulty:
    """A model that breaks on every prediction."""

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> object:
        return instance

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        raise RuntimeError("secret inner state")


def ready(monkeypatch: pytest.MonkeyPatch, model: Any, **environ: str) -> FlaskClient:
    """A client of an application that serves the model."""

    given = settings.read({"MODEL_SERVER_THREADS": "6", **environ})
    monkeypatch.setattr(One, "load", lambda one: one.serve(Served(model, given)))
    client = serving.application(given).test_client()
    while client.get("/ping").status_code != 200:
        threading.Event().wait(0.001)
    return client


def test_a_fault_is_answered_with_an_id_that_the_log_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = ready(monkeypatch, Faulty())
    answer = client.post("/invocations", json={"instances": [1]})
    body = json.loads(answer.data)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert body["id"] in capsys.readouterr().err


@pytest.mark.slow
def test_until_the_model_is_warm_everything_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(One, "load", lambda service: None)
    client = serving.application(settings.read({"MODEL_SERVER_TIMEOUT": "6"})).test_client()
    assert client.get("/ping").status_code == 503
    answer = client.post("/invocations", json={"instances": [1]})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_a_request_waits_for_a_model_that_is_still_being_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    go, load = threading.Event(), One.load

    def late(service: One) -> None:
        go.wait(10)
        load(service)

    monkeypatch.setattr(One, "load", late)
    monkeypatch.setattr("polyadic.serving.repository.load", lambda folder, given: Served(ECHO, given))
    client = serving.application(settings.read({})).test_client()
    assert client.get("/ping").status_code == 503
    threading.Timer(0.3, go.set).start()
    assert client.post("/invocations", json={"instances": [1]}).get_json() == {"predictions": [{"value": 1}]}


def test_ping_waits_for_every_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(places.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv(places.PLACE_VARIABLE, "1")
    monkeypatch.setattr("polyadic.serving.repository.load", lambda folder, given: Served(ECHO, given))
    client = serving.application(settings.read({"MODEL_SERVER_WORKERS": "2"})).test_client()
    assert client.post("/invocations", json={"instances": [1]}).status_code == 200
    assert client.get("/ping").status_code == 503
    (tmp_path / "0").touch()
    assert client.get("/ping").status_code == 200


class Echo:
    """Answers with the instance."""

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> object:
        return instance

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        return [{"value": instance} for instance in instances]


ECHO: Any = Echo()


@pytest.mark.parametrize(("batch", "end"), [("true", b'{"value":2}'), ("false", b'{"value":2}\n')])
def test_a_transform_job_s_lines_end_without_a_break(monkeypatch: pytest.MonkeyPatch, batch: str, end: bytes) -> None:
    client = ready(monkeypatch, Echo(), SAGEMAKER_BATCH=batch)
    answer = client.post("/invocations", data=b"1\n2\n", content_type="application/jsonlines")
    assert answer.data == b'{"value":1}\n' + end
    one = client.post(
        "/invocations", data=b"1\n", content_type="application/jsonlines", headers={"Accept": "application/json"}
    )
    assert json.loads(one.data) == {"predictions": [{"value": 1}]}


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json;verbose=true", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("*", "application/jsonlines"),
        ("*/*;q=0.8", "application/jsonlines"),
        ("text/html, application/*;q=0.5", "application/jsonlines"),
        ("application/jsonlines;q=0, */*", "application/json"),
        ("application/json, application/jsonlines", "application/json"),
        ("*/*, application/jsonlines;q=0.2", "application/json"),
        ("application/json;q=nan, application/jsonlines;q=2, */*;q=0.001", "application/jsonlines"),
        ("APPLICATION/JSON", "application/json"),
        ("application/jsonlines;q=0, application/json", "application/json"),
        ("application/json;q=0.1, application/jsonlines;q=0.9", "application/jsonlines"),
    ],
)
def test_parameters_that_are_not_understood_exclude_no_type(
    monkeypatch: pytest.MonkeyPatch, accept: str, kind: str
) -> None:
    client = ready(monkeypatch, Echo())
    answer = client.post("/invocations", data=b"1\n", content_type="application/jsonlines", headers={"Accept": accept})
    assert (answer.status_code, answer.content_type) == (200, kind), answer.data


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "identity", ""])
def test_a_packed_body_is_unpacked(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    client = ready(monkeypatch, Echo())
    body = b'\xef\xbb\xbf{"instances": [1]}'
    sent = packed(body) if "zip" in encoding.lower() else body
    answer = client.post(
        "/invocations", data=sent, content_type="application/json", headers={"Content-Encoding": encoding}
    )
    assert answer.get_json() == {"predictions": [{"value": 1}]}


@pytest.mark.parametrize(
    ("body", "encoding", "status", "message"),
    [
        (b"1", "br", 415, "Content-Encoding 'br' is not taken here: send the body as it is, or gzip"),
        (b"not gzip", "gzip", 400, "the body is not gzip, as its Content-Encoding says"),
        (packed(b'{"instances": [1]}')[:-9], "gzip", 400, "the body is not gzip"),
        (packed(b" " * 2_000_000), "gzip", 413, "the body is larger than 1 MiB"),
        (
            packed(b'{"instances": [1]}'),
            "identity",
            400,
            "it is gzipped. Unpack it (in a request, say",
        ),
        ('{"instances": [1]}'.encode("utf-16"), "identity", 400, "it is UTF-16 or UTF-32. Write it in UTF-8"),
        ('{"instances": [1]}'.encode("utf-16-le"), "identity", 400, "it is UTF-16 or UTF-32"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_refused(
    monkeypatch: pytest.MonkeyPatch, body: bytes, encoding: str, status: int, message: str
) -> None:
    client = ready(monkeypatch, Echo(), MAX_CONTENT_LENGTH=str(2**20))
    answer = client.post(
        "/invocations", data=body, content_type="application/json", headers={"Content-Encoding": encoding}
    )
    assert (answer.status_code, message in answer.get_json()["error"]) == (status, True), answer.data


def test_a_refused_body_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ready(monkeypatch, Echo(), MODEL_SERVER_THREADS="5")
    for _ in range(5):
        assert client.post("/invocations", data=b"{", content_type="application/json").status_code == 400
    assert client.post("/invocations", json={"instances": [1]}).status_code == 200


class Asked(Echo):
    """Answers with the configuration."""

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> object:
        return dict(configuration)


def test_deepars_variable_is_the_configuration_where_a_request_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    wishes = {"num_samples": 9, "output_types": ["mean"]}
    client = ready(monkeypatch, Asked(), DEEPAR_INFERENCE_CONFIG=json.dumps(wishes))
    answer = client.post("/invocations", data=b"1\n2\n", content_type="application/jsonlines")
    assert [json.loads(line)["value"] for line in answer.data.splitlines()] == [wishes, wishes]
    own = client.post("/invocations", json={"instances": [1], "configuration": {"num_samples": 3}})
    assert own.get_json()["predictions"][0]["value"] == {**wishes, "num_samples": 3}


JSON, LINES, CSV, NPY = "application/json", "application/jsonlines", "text/csv", "application/x-npy"
MODEL, DENSE = small_cp()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    return ready(monkeypatch, MODEL)


def post(client: FlaskClient, body: bytes, kind: str, accept: str | None = None) -> Any:
    return client.post("/invocations", data=body, content_type=kind, headers={"Accept": accept} if accept else {})


ROWS = [[2, 1, 3], [0, 0, 0], [5, 4, 2]]
VALUES = [DENSE[tuple(row)].item() for row in ROWS]
BODIES = {
    JSON: json.dumps({"instances": [{"index": row} for row in ROWS]}).encode(),
    LINES: b"".join(json.dumps(row).encode() + b"\n" for row in ROWS),
    CSV: b"".join(b"%d,%s,%d\r\n" % (i, PEOPLE[j].encode(), k) for i, j, k in ROWS),
    NPY: npy.encode(np.array(ROWS, np.uint8)),
}


def values_of(answer: Any) -> list[float]:
    """The numbers of an answer, whatever it is written in."""
    kind = answer.content_type.partition(";")[0]
    if kind == NPY:
        array = npy.decode(answer.data)
        assert array.dtype == np.float64 and array.ndim == 1
        return list(array.tolist())
    if kind == CSV:
        return [float(line) for line in answer.text.splitlines()]
    read = json.loads(answer.data)["predictions"] if kind == JSON else map(json.loads, answer.text.splitlines())
    return [value for one in read for value in (one["values"] if "values" in one else [one["value"]])]


@pytest.mark.parametrize("accept", [None, "*/*", JSON, LINES, CSV, NPY, f"{NPY}, */*;q=0.1", "image/png, text/*;q=0.5"])
@pytest.mark.parametrize("kind", list(BODIES))
def test_every_format_is_answered_in_every_other(client: FlaskClient, kind: str, accept: str | None) -> None:
    answer = post(client, BODIES[kind], kind, accept)
    expected = {None: kind, "*/*": kind, "image/png, text/*;q=0.5": CSV}.get(accept) or str(accept).partition(",")[0]
    assert (answer.status_code, answer.content_type.partition(";")[0]) == (200, expected), answer.data
    np.testing.assert_allclose(values_of(answer), VALUES, rtol=1e-12)


def test_a_value_of_a_csv_answer_reads_back_to_the_bit(client: FlaskClient) -> None:
    exact = [MODEL.predict([MODEL.parse(row, {})])[0]["value"] for row in ROWS]
    for row, value in zip(ROWS, exact, strict=True):
        answer = post(client, b"%d,%s,%d" % (row[0], PEOPLE[row[1]].encode(), row[2]), CSV)
        assert answer.text == f"{value!r}\n"


def test_a_transform_job_s_csv_ends_without_a_break(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ready(monkeypatch, MODEL, SAGEMAKER_BATCH="true")
    answer = post(client, BODIES[CSV], CSV)
    assert answer.text.count("\n") == 2 and not answer.text.endswith("\n")


def test_the_server_s_default_accept_may_be_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ready(monkeypatch, MODEL, SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="text/csv")
    np.testing.assert_allclose(values_of(post(client, BODIES[JSON], JSON)), VALUES, rtol=1e-12)
    client = ready(monkeypatch, Echo(), SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="text/csv")
    answer = post(client, BODIES[JSON], JSON)
    assert answer.status_code == 406
    assert "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT 'text/csv' cannot be met: ask for application/json or" in answer.text


def test_a_slice_is_a_row_of_a_table(client: FlaskClient) -> None:
    body = json.dumps({"instances": [{"index": [row, None, None]} for row in (1, 3)]}).encode()
    rows = [[float(cell) for cell in line.split(",")] for line in post(client, body, JSON, CSV).text.splitlines()]
    np.testing.assert_allclose(rows, DENSE[[1, 3]].reshape(2, 20), rtol=1e-12)
    np.testing.assert_allclose(npy.decode(post(client, body, JSON, NPY).data), DENSE[[1, 3]].reshape(2, 20), rtol=1e-12)
    mixed = b'{"instances": [[0, 0, 0], {"index": [0, 0, null]}]}'
    assert [line.count(",") for line in post(client, mixed, JSON, CSV).text.splitlines()] == [0, 3]
    answer = post(client, mixed, JSON, NPY)
    assert answer.status_code == 406
    assert "the answers differ in length and make no array: ask for application/json or text/csv" in answer.text


def test_slices_rankings_and_embeddings_answer_in_json(client: FlaskClient) -> None:
    slab = DENSE[1].tolist()
    body = {
        "instances": [
            {"index": [2, None, 3]},
            {"index": [2, None, 3], "top_k": 1},
            {"fold_in": {"mode": 0, "slab": slab}},
        ]
    }
    part, top, embedding = json.loads(client.post("/invocations", json=body).data)["predictions"]
    np.testing.assert_allclose(part["value"], DENSE[2, :, 3], rtol=1e-12)
    best = int(DENSE[2, :, 3].argmax())
    assert top == {"top": [{"index": best, "label": PEOPLE[best], "value": part["value"][best]}]}
    assert embedding.keys() == {"embedding", "residual"} and len(embedding["embedding"]) == 3


@pytest.mark.parametrize("accept", [CSV, NPY])
@pytest.mark.parametrize(
    "instance", ['{"index": [2, null, 3], "top_k": 1}', '{"fold_in": {"mode": 2, "indices": [[0, 0]], "values": [1]}}']
)
def test_a_ranking_or_an_embedding_is_no_table(client: FlaskClient, instance: str, accept: str) -> None:
    answer = post(client, f'{{"instances": [{instance}]}}'.encode(), JSON, accept)
    assert answer.status_code == 406
    assert f"is no row of numbers, as {accept} has them: ask for application/json" in answer.text


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        (CSV, b"", "the body holds no instances: send a table, with one instance per row"),
        (CSV, b"\n\n", "the body holds no instances"),
        (CSV, b"1,ann,2\n1,ann,9\n", "instances[1]: index[2] is 9: mode 2 has rows 0 to 3"),
        (CSV, b"1,3,2\n", "instances[0]: index[1] is '3', which is no label of mode 1: its 5 labels are 'ann'"),
        (CSV, b"1,ann\n", "instances[0]: got {'index': [1, 'ann']}: an instance is"),
        (CSV, b"1,ann,2\n1\n", "broken CSV at line 2"),
        (CSV, b"row,who,when\n1,ann,2\n", "instances[0]: got {'index': ['row', 'who', 'when']}: an instance is"),
        (CSV, b"1.5,ann,2\n", "instances[0]: got {'index': [1.5, 'ann', 2]}: an instance is"),
        (CSV, b"\xff\xfe", "broken CSV"),
        (NPY, b"", "the body holds no instances: send an array, with one instance per row"),
        (NPY, b"1,2,3", "the body is not a readable .npy array"),
        (NPY, npy.encode(np.zeros((0, 3), int)), "the body holds no instances"),
        (NPY, npy.encode(np.zeros((2, 3))), "instances[0]: got an array of float64, 2 x 3: it must be one of integers"),
        (NPY, npy.encode(np.array(5)), "instances[0]: got an array of int64, single number"),
        (NPY, npy.encode(np.array([[0, 0, 0], [0, 0, 4]])), "instances[0]: indices[1][2] is 4: mode 2 has rows 0 to 3"),
        (JSON, b"[[0, 0, 0]]", 'the body holds no instances: send {"instances": [...]}, or JSON Lines'),
    ],
)
def test_bad_tables_are_refused(client: FlaskClient, kind: str, body: bytes, message: str) -> None:
    answer = post(client, body, kind)
    assert answer.status_code == 400
    assert message in json.loads(answer.data)["error"]


def test_what_a_model_does_not_read_is_415_and_does_not_answer_in_406(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ready(monkeypatch, Echo())
    for kind in (CSV, NPY, "text/plain", None):
        answer = client.post("/invocations", data=b"1,2", content_type=kind)
        assert answer.status_code == 415
        message = f"content type {kind!r} is not taken here: send application/json or application/jsonlines"
        assert json.loads(answer.data)["error"] == message
    answer = post(client, b'{"instances": [1]}', JSON, CSV)
    assert answer.status_code == 406
    assert "Accept 'text/csv' cannot be met: ask for application/json or application/jsonlines" in answer.text
    answer = post(ready(monkeypatch, MODEL), b"", "text/plain")
    assert "send application/json, application/jsonlines, text/csv or application/x-npy" in answer.text


class Narrow:
    """A model that finds a request too large only when it sees it whole."""

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> object:
        return instance

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        if len(instances) > 2:
            raise UserError(f"{len(instances)} instances: send 2 at most")
        return [{"value": one} for one in instances]


def test_a_request_that_is_too_large_as_a_whole_is_the_client_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ready(monkeypatch, Narrow())
    answer = client.post("/invocations", json={"instances": [1, 2, 3]})
    assert (answer.status_code, json.loads(answer.data)) == (400, {"error": "3 instances: send 2 at most"})
    assert client.post("/invocations", json={"instances": [1, 2]}).status_code == 200


@pytest.mark.parametrize(
    ("given", "answered"),
    [(None, "variant=B"), ("user=7", "user=7,variant=B"), ("u" * 1015, "variant=B")],
)
def test_the_variant_is_added_to_the_attributes_of_the_request(
    given: str | None, answered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ready(monkeypatch, Echo(), MODEL_VARIANT="B")
    headers = {} if given is None else {serving.ATTRIBUTES: given}
    answer = client.post("/invocations", json={"instances": [1]}, headers=headers)
    assert answer.headers[serving.ATTRIBUTES] == answered


@pytest.mark.slow
def test_a_request_whose_deadline_passes_while_it_waits_is_never_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    go, seen = threading.Event(), list[Any]()

    class Slow(Echo):
        def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
            seen.append(instances)
            go.wait(20)
            return super().predict(instances)

    client = ready(monkeypatch, Slow(), MODEL_SERVER_TIMEOUT="6")
    answers = list[int]()

    def ask() -> None:
        answers.append(client.application.test_client().post("/invocations", json={"instances": [0]}).status_code)

    first = threading.Thread(target=ask)
    first.start()
    while not seen:
        threading.Event().wait(0.01)
    late = client.post("/invocations", json={"instances": [1]})
    assert (late.status_code, late.headers["Retry-After"]) == (503, "1")
    assert "no answer within 1 s: send fewer instances a request" in late.text
    go.set()
    first.join()
    assert (answers, seen) == ([200], [[0]])  # What is under way ends, and is answered, late as it is.
