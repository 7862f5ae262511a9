"""Answers in parts: as they are computed, within memory, to clients that may leave; gzip and charsets."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from polyadic.errors import UserError
from polyadic.formats import npy
from polyadic.room import Room
from polyadic.serving import served as serving
from polyadic.serving.batching import MOST_INSTANCES
from tests.helpers.served_models import one_of_each, small_forecaster, small_lda
from tests.helpers.small_models import small_cp
from tests.serving.test_app import ready

LINES, CSV, JSON = "application/jsonlines", "text/csv", "application/json"
COUNT = 3 * MOST_INSTANCES + 5


class Gated:
    """Answers with the instance; each batch after the first `free` ones waits for its turn."""

    def __init__(self, free: int) -> None:
        self.gate, self.batches = threading.Semaphore(free), list[int]()

    def parse(self, instance: Any, configuration: Mapping[str, Any]) -> Any:
        return instance

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        self.gate.acquire(timeout=20)
        self.batches.append(len(instances))
        if "broken" in instances:
            raise ValueError("secret")
        if "refused" in instances:
            raise UserError("no answer to this one")
        return [{"value": instance} for instance in instances]


def asked(client: FlaskClient, *instances: object, accept: str = LINES, **headers: str) -> Any:
    """An answer that is read as it comes."""
    body = b"".join(json.dumps(instance).encode() + b"\n" for instance in instances)
    return client.post("/invocations", data=body, content_type=LINES, headers={"Accept": accept, **headers})


def lines(parts: Iterator[bytes]) -> list[Any]:
    return [json.loads(line) for line in b"".join(parts).splitlines()]


def test_the_first_lines_come_before_the_last_are_computed_and_few_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Gated(1)
    client = ready(monkeypatch, model)
    answer = asked(client, *range(COUNT))
    assert (answer.status_code, answer.content_type, answer.content_length) == (200, LINES, None)
    parts = answer.iter_encoded()
    assert [line["value"] for line in lines(iter([next(parts)]))] == list(range(MOST_INSTANCES))
    assert model.batches == [MOST_INSTANCES]
    for _ in range(10):
        model.gate.release()
    next(parts)
    threading.Event().wait(0.1)
    assert len(model.batches) == 2  # Nothing is computed that is not wanted yet.
    assert [line["value"] for line in lines(parts)] == list(range(2 * MOST_INSTANCES, COUNT))
    assert model.batches == [MOST_INSTANCES] * 3 + [5]


@pytest.mark.parametrize("accept", [LINES, CSV])
def test_a_stream_says_what_the_whole_answer_says(monkeypatch: pytest.MonkeyPatch, accept: str) -> None:
    model, dense = small_cp()
    monkeypatch.setattr(type(model), "most_weight", 7)
    client, rows = ready(monkeypatch, model), [[i, 0, k] for i in range(6) for k in range(4)]
    body = json.dumps({"instances": [[i, "ann", k] for i, _, k in rows]}).encode()
    whole = client.post("/invocations", data=body, content_type=JSON)
    assert whole.content_length is not None
    stream = client.post("/invocations", data=body, content_type=JSON, headers={"Accept": accept})
    assert stream.content_length is None
    values = [float(line) if accept == CSV else json.loads(line)["value"] for line in stream.text.splitlines()]
    assert values == [one["value"] for one in whole.get_json()["predictions"]]
    np.testing.assert_allclose(values, [dense[tuple(row)] for row in rows], rtol=1e-9)


def test_a_transform_job_gets_its_answer_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ready(monkeypatch, Gated(10), SAGEMAKER_BATCH="true")
    answer = asked(client, *range(COUNT))
    assert answer.content_length == len(answer.data) and answer.data.count(b"\n") == COUNT - 1


@pytest.mark.parametrize(
    ("instance", "told"), [("refused", "no answer to this one"), ("broken", "a fault in the server")]
)
def test_a_stream_that_fails_says_so_and_has_no_end(
    monkeypatch: pytest.MonkeyPatch, instance: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    client = ready(monkeypatch, Gated(10), MODEL_SERVER_THREADS="5")
    answer = asked(client, *range(2 * MOST_INSTANCES), instance)
    got = bytearray()
    with pytest.raises(BrokenPipeError):
        for part in answer.iter_encoded():
            got += part
    answer.close()
    *good, last = got.splitlines()
    assert [json.loads(line)["value"] for line in good] == list(range(2 * MOST_INSTANCES))
    assert told in json.loads(last)["error"] and b"secret" not in got
    output = capsys.readouterr()
    assert ("secret" in output.err) == (instance == "broken")
    assert json.loads(output.out.splitlines()[-1])["broken_off"]
    assert asked(client, 1).status_code == 200  # Its slot is free again.


def test_an_instance_that_is_refused_in_the_first_part_is_400(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = asked(ready(monkeypatch, Gated(10)), "refused", *range(COUNT))
    assert (answer.status_code, answer.get_json()) == (400, {"error": "no answer to this one"})


def test_a_client_that_leaves_a_stream_gives_its_slot_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Gated(1)
    client = ready(monkeypatch, model, MODEL_SERVER_THREADS="5")
    answer = asked(client, *range(COUNT))
    next(answer.iter_encoded())
    assert asked(client, 1).status_code == 503
    answer.close()
    model.gate.release(5)
    assert asked(client, 1).get_json(force=True) == {"value": 1}
    assert sum(model.batches) < COUNT


def test_a_client_that_leaves_while_its_request_waits_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Gated(0)
    client = ready(monkeypatch, model)

    class Gone:
        def there(self) -> bool:
            return False

    statuses = list[int]()

    def ask(there: bool) -> None:
        base = {} if there else {"gunicorn.socket": Gone()}
        answer = client.application.test_client().post("/invocations", json={"instances": [1]}, environ_overrides=base)
        statuses.append(answer.status_code)

    first = threading.Thread(target=ask, args=(True,))
    first.start()
    threading.Event().wait(0.1)
    second = threading.Thread(target=ask, args=(False,))
    second.start()
    threading.Event().wait(0.2)
    model.gate.release(5)
    first.join()
    second.join()
    assert (sorted(statuses), model.batches) == ([200, 499], [1])


def test_an_answer_that_would_fill_the_memory_is_refused_unless_it_is_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = small_cp()
    monkeypatch.setattr(type(model), "most_weight", 1000)
    monkeypatch.setattr(serving, "MOST_NUMBERS", 5000)
    client = ready(monkeypatch, model)
    body = json.dumps({"instances": [{"index": [None, None, 0]}] * 200}).encode()
    assert client.post("/invocations", data=body, content_type=JSON).status_code == 200
    monkeypatch.setattr(serving, "room", lambda: Room(700_000, "memory"))
    answer = client.post("/invocations", data=body, content_type=JSON)
    assert answer.status_code == 400
    assert "has 6,000 numbers, for which 0.7 MB are too little: send fewer instances" in answer.get_json()["error"]
    stream = client.post("/invocations", data=body, content_type=JSON, headers={"Accept": LINES})
    assert (stream.status_code, len(stream.data.splitlines())) == (200, 200)


@pytest.mark.parametrize("name", list(one_of_each()))
def test_what_an_answer_is_weighed_as_is_what_it_holds(name: str) -> None:
    model: Any = one_of_each()[name]
    query = model.parse(model.example(), {})
    assert model.weight(query) >= 1

    def numbers(value: Any) -> int:
        if isinstance(value, Mapping):
            return sum(map(numbers, value.values()))
        return int(np.size(value))

    assert numbers(model.predict([query])[0]) == model.numbers(query)


def test_the_weight_of_a_question_is_what_it_looks_at() -> None:
    model, _ = small_cp()
    cases: list[tuple[int, int, Any]] = [
        (1, 1, [0, "ann", 0]),
        (3, 3, {"indices": [[0, "ann", 0]] * 3}),
        (30, 30, {"index": [None, None, 1]}),
        (5, 2, {"index": [0, None, 1], "top_k": 2}),
        (20, 3, {"fold_in": {"mode": 0, "slab": np.ones((5, 4)).tolist()}}),
        (2, 3, {"fold_in": {"mode": 0, "indices": [["ann", 0], ["bob", 1]], "values": [1, 2]}}),
        (20, 3, {"fold_in": {"mode": 0, "indices": [["ann", 0]], "values": [1], "absent": "zeros"}}),
        (24, 7, {"fold_in": {"mode": 0, "slab": np.ones((5, 4)).tolist()}, "index": ["ann", None]}),
    ]
    for weight, numbers, instance in cases:
        query = model.parse(instance, {})
        assert (model.weight(query), model.numbers(query)) == (weight, numbers), instance


def test_documents_and_series_are_weighed_by_their_length() -> None:
    lda, forecaster = small_lda(), small_forecaster()
    document = lda.parse({"features": [1, 0, 2, 0, 0, 0, 0, 1]}, {})
    assert (lda.weight(document), lda.numbers(document)) == (4, 3)
    series = {"start": "2020-01-01", "target": [1.0, 2.0, 3.0]}
    usual = forecaster.parse(series, {})
    many = forecaster.parse(series, {"num_samples": 300, "output_types": ["samples", "mean"]})
    assert (forecaster.weight(usual), forecaster.weight(many)) == (100, 300)
    assert (forecaster.numbers(usual), forecaster.numbers(many)) == (12 * 10, 12 * 301)
    assert forecaster.most_weight == MOST_INSTANCES * 100


@pytest.mark.parametrize(
    ("accept", "packs"), [("gzip", True), ("br, gzip;q=0.5", True), ("*", True), ("gzip;q=0", False), ("", False)]
)
def test_a_long_text_is_gzipped_where_the_client_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, accept: str, packs: bool
) -> None:
    client = ready(monkeypatch, Gated(100))
    headers = {"Accept-Encoding": accept}
    for count, accepted in ((1, JSON), (40, JSON), (COUNT, LINES)):
        answer = asked(client, *["x" * 300] * count, accept=accepted, **headers)
        long = packs and count > 1
        assert (answer.headers.get("Content-Encoding"), answer.headers["Vary"]) == (
            "gzip" if long else None,
            "Accept-Encoding",
        )
        text = gzip.decompress(answer.data) if long else answer.data
        assert text.count(b"x" * 300) == count


def test_the_first_part_of_a_gzipped_stream_can_be_read_before_the_second_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = ready(monkeypatch, Gated(1))
    answer = asked(client, *range(COUNT), **{"Accept-Encoding": "gzip"})
    first = zlib.decompressobj(31).decompress(next(answer.iter_encoded()))
    assert first.count(b"\n") == MOST_INSTANCES
    answer.close()


@pytest.mark.parametrize(
    "charset", ["utf-8", "UTF-8", "us-ascii", "latin-1", "iso-8859-15", "windows-1252", "utf-16", "utf-16-le", "utf-32"]
)
def test_a_body_may_be_written_in_another_charset(monkeypatch: pytest.MonkeyPatch, charset: str) -> None:
    word = "plain" if charset == "us-ascii" else "süß"
    body = json.dumps({"instances": [word]}, ensure_ascii=False).encode(charset)
    answer = ready(monkeypatch, Gated(1)).post(
        "/invocations", data=body, content_type=f'application/json; charset="{charset}"'
    )
    assert answer.get_json() == {"predictions": [{"value": word}]}


@pytest.mark.parametrize(
    ("charset", "body", "status", "message"),
    [
        ("punycode", b"{}", 415, "charset 'punycode' is not taken here: send UTF-8"),
        ("zip", b"{}", 415, "charset 'zip' is not taken here"),
        ("no-such", b"{}", 415, "charset 'no-such' is not taken here"),
        ("x" * 3000, b"{}", 415, "charset 'xxx"),
        ("utf-16", b"{}x", 400, "the body is not written in utf-16, as its Content-Type says"),
        ("cp1252", b"\x81", 400, "the body is not written in cp1252"),
    ],
)
def test_a_charset_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, charset: str, body: bytes, status: int, message: str
) -> None:
    answer = ready(monkeypatch, Gated(1)).post(
        "/invocations", data=body, content_type=f"application/json; charset={charset}"
    )
    assert (answer.status_code, message in answer.get_json()["error"]) == (status, True), answer.data


def test_a_charset_changes_nothing_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = small_cp()
    body = npy.encode(np.array([[0, 0, 0]]))
    answer = ready(monkeypatch, model).post("/invocations", data=body, content_type="application/x-npy; charset=utf-16")
    assert answer.status_code == 200
