"""Many models in one container: SageMaker's contract, confinement, and memory that is short."""

from __future__ import annotations

import json
import os
import signal
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from safetensors.torch import save

from polyadic.formats import json as document
from polyadic.room import Room
from polyadic.serving import app as serving
from polyadic.serving import many, places, repository, settings
from polyadic.serving.many import Many
from polyadic.serving.served import Served
from tests.helpers.opt_ml import OptMl
from tests.helpers.served_models import constant_cp, one_of_each, written
from tests.helpers.serving import Server


def client_of(base: Path, **environ: str) -> FlaskClient:
    """A client of a container of many models, whose folders are below base/models."""
    given = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_MULTI_MODEL": "true", **environ}
    client = serving.application(settings.read(given)).test_client()
    while client.get("/ping").status_code != 200:
        threading.Event().wait(0.001)
    return client


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    return client_of(tmp_path)


def load(client: FlaskClient, name: str, url: Path | str) -> Any:
    return client.post("/models", json={"model_name": name, "url": str(url)})


def invoke(client: FlaskClient, name: str, *instances: object) -> Any:
    return client.post(f"/models/{name}/invoke", json={"instances": list(instances)})


def value(client: FlaskClient, name: str) -> float:
    answer = invoke(client, name, [0, 0, 0])
    assert answer.status_code == 200, answer.data
    return float(answer.get_json()["predictions"][0]["value"])


def names(client: FlaskClient) -> list[str]:
    return [model["modelName"] for model in client.get("/models").get_json()["models"]]


@pytest.mark.parametrize("name", list(one_of_each()))
def test_a_model_of_each_algorithm_answers_as_it_does_alone(client: FlaskClient, name: str, tmp_path: Path) -> None:
    models = one_of_each()
    for other, model in models.items():
        url = written(model, tmp_path / "models" / other)
        answer = load(client, other, url)
        assert (answer.status_code, answer.get_json()) == (200, {"modelName": other, "modelUrl": str(url)})
    model = models[name]
    expected = document.decode(document.encode(model.predict([model.parse(model.example(), {})])))
    assert invoke(client, name, model.example()).get_json()["predictions"] == expected
    by_header = client.post(
        "/invocations", json={"instances": [model.example()]}, headers={"X-Amzn-SageMaker-Target-Model": name}
    )
    assert by_header.get_json()["predictions"] == expected


def test_models_are_listed_described_and_deleted(client: FlaskClient, tmp_path: Path) -> None:
    url = written(constant_cp(7), tmp_path / "models" / "h")
    assert client.get("/models").get_json() == {"models": []}
    assert load(client, "a/b.tar.gz", url).status_code == 200
    described = {"modelName": "a/b.tar.gz", "modelUrl": str(url)}
    assert client.get("/models").get_json() == {"models": [described]}
    assert client.get("/models/a/b.tar.gz").get_json() == described
    again = load(client, "a/b.tar.gz", url)
    assert (again.status_code, "model 'a/b.tar.gz' is loaded already: delete it" in again.text) == (409, True)
    assert value(client, "a/b.tar.gz") == 7
    assert client.delete("/models/a/b.tar.gz").status_code == 200
    assert names(client) == []
    for answer in (
        client.delete("/models/a/b.tar.gz"),
        client.get("/models/a/b.tar.gz"),
        invoke(client, "a/b.tar.gz", [0, 0, 0]),
    ):
        assert answer.status_code == 404
        assert answer.get_json()["error"] == "model 'a/b.tar.gz' is not loaded: load it with POST /models"


def test_a_deleted_model_is_freed_before_the_answer(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, load_it = list[weakref.ref[Served]](), repository.load

    def loaded(folder: Path, given: settings.Settings, name: str) -> Served:
        served = load_it(folder, given, name)
        held.append(weakref.ref(served))
        return served

    monkeypatch.setattr(repository, "load", loaded)
    load(client, "a", written(constant_cp(1), tmp_path / "models" / "a"))
    assert value(client, "a") == 1
    assert held[0]() is not None
    assert client.delete("/models/a").status_code == 200
    assert held[0]() is None


def test_the_list_comes_in_pages(client: FlaskClient, tmp_path: Path) -> None:
    url = written(constant_cp(1), tmp_path / "models" / "h")
    for number in range(5):
        load(client, f"m{number}", url)
    seen, token, pages = list[str](), "", 0
    while True:
        page = client.get("/models", query_string={"limit": "2", "next_page_token": token}).get_json()
        seen += [model["modelName"] for model in page["models"]]
        pages += 1
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert (seen, pages) == ([f"m{number}" for number in range(5)], 3)
    for limit in ("0", "x", "101", "99999999999", "0000000010000"):
        answer = client.get("/models", query_string={"limit": limit})
        assert (answer.status_code, "a whole number from 1 to 100" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "broken JSON"),
        (b"[]", 'the body must be {"model_name": "...", "url":'),
        (b'{"model_name": "a"}', 'the body must be {"model_name": "...", "url":'),
        (b'{"model_name": 3, "url": "/x"}', 'the body must be {"model_name": "...", "url":'),
        (b'{"model_name": "", "url": "/x"}', "model_name is '': it must be 1 to 1024 printable characters"),
        (b'{"model_name": "a/../b", "url": "/x"}', "model_name is 'a/../b': it must be"),
        (b'{"model_name": "a\\n", "url": "/x"}', "model_name is"),
        (b'{"model_name": "' + b"a" * 1025 + b'", "url": "/x"}', "model_name is"),
    ],
)
def test_what_names_no_model_is_refused(client: FlaskClient, body: bytes, message: str) -> None:
    answer = client.post("/models", data=body, content_type="application/json")
    assert (answer.status_code, message in answer.get_json()["error"]) == (400, True), answer.data


def test_a_request_must_name_its_model(client: FlaskClient) -> None:
    answer = client.post("/invocations", json={"instances": [1]})
    assert answer.status_code == 400
    assert "the request names no model: set the header X-Amzn-SageMaker-Target-Model" in answer.text


def outside(base: Path) -> dict[str, Callable[[Path], str | Path]]:
    """URLs that lead out of the folder of the models, or are none; each made below it where it must exist."""
    root = base / "models"

    def linked(folder: Path) -> Path:
        (root / "link").symlink_to(folder)
        return root / "link"

    def linked_file(folder: Path) -> Path:
        (root / "files").mkdir(parents=True)
        for name in ("model.json", "model.safetensors"):
            (root / "files" / name).symlink_to(folder / name)
        return root / "files"

    def pipe(folder: Path) -> Path:
        written(constant_cp(1), root / "pipe")
        (root / "pipe" / "model" / "model.json").unlink()
        os.mkfifo(root / "pipe" / "model" / "model.json")
        return root / "pipe" / "model"

    return {
        "elsewhere": lambda folder: folder,
        "up": lambda folder: f"{root}/x/../../elsewhere/model",
        "up and down": lambda folder: f"{root}/inside/../inside/model",
        "a link": linked,
        "links to files": linked_file,
        "a pipe": pipe,
        "proc": lambda folder: f"/proc/1/root{root}/inside/model",
        "proc of itself": lambda folder: f"/proc/self/root{root}/inside/model",
        "relative": lambda folder: "models/inside/model",
        "the root": lambda folder: root,
        "above it": lambda folder: "/",
        "a file": lambda folder: root / "inside" / "model" / "model.json",
        "nothing": lambda folder: root / "absent",
        "a zero": lambda folder: f"{root}/a\0b",
        "long": lambda folder: f"{root}/{'a' * 5000}",
        "s3": lambda folder: "s3://bucket/model",
        "empty": lambda folder: "",
    }


@pytest.mark.parametrize("kind", list(outside(Path())))
def test_a_url_that_leads_out_of_the_models_is_refused(client: FlaskClient, kind: str, tmp_path: Path) -> None:
    folder = written(constant_cp(1), tmp_path / "elsewhere")
    inside = written(constant_cp(1), tmp_path / "models" / "inside")
    answer = load(client, "a", outside(tmp_path)[kind](folder))
    assert (answer.status_code, "it must be a folder below" in answer.get_json()["error"]) == (400, True), answer.data
    assert names(client) == []
    assert load(client, "a", inside).status_code == 200


def test_a_link_within_the_models_is_followed(client: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "link").symlink_to(written(constant_cp(5), tmp_path / "models" / "inside"))
    assert load(client, "a", tmp_path / "models" / "link").status_code == 200
    assert value(client, "a") == 5


def test_a_folder_without_a_model_is_refused_with_what_is_there(client: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "models" / "empty").mkdir(parents=True)
    answer = load(client, "a", tmp_path / "models" / "empty")
    assert (answer.status_code, "no model.json in" in answer.get_json()["error"]) == (400, True)
    folder = written(constant_cp(1), tmp_path / "models" / "cut")
    (folder / "model.safetensors").write_bytes(b"short")
    answer = load(client, "a", folder)
    assert (answer.status_code, "cannot be read" in answer.get_json()["error"]) == (400, True)
    assert load(client, "a", written(constant_cp(1), tmp_path / "models" / "a")).status_code == 200


@pytest.fixture
def places_for_two(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Memory for two models; the names of those that are in it."""
    models, load = list[Many](), Many._load

    def loaded(self: Many, name: str, folder: Path) -> Served:
        models[:] = [self]
        return load(self, name, folder)

    def resident() -> list[str]:
        return sorted(models[0]._served) if models else []

    monkeypatch.setattr(Many, "_load", loaded)
    monkeypatch.setattr(many, "SPARE_BYTES", 0)
    monkeypatch.setattr(many, "room", lambda: Room(0.0 if len(resident()) >= 2 else 1e12, "memory"))
    return resident


def test_the_least_recently_asked_leaves_and_comes_back(
    client: FlaskClient, tmp_path: Path, places_for_two: Callable[[], list[str]]
) -> None:
    for number in range(4):
        url = written(constant_cp(number), tmp_path / "models" / f"{number}")
        assert load(client, f"m{number}", url).status_code == 200

    resident = places_for_two
    assert resident() == ["m2", "m3"]
    assert names(client) == ["m0", "m1", "m2", "m3"]
    assert value(client, "m2") == 2
    assert value(client, "m0") == 0
    assert resident() == ["m0", "m2"]
    assert client.delete("/models/m1").status_code == 200
    assert client.delete("/models/m0").status_code == 200
    assert resident() == ["m2"]


def test_a_model_that_does_not_fit_is_507_and_leaves_the_others(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(client, "a", written(constant_cp(3), tmp_path / "models" / "a"))
    monkeypatch.setattr(many, "room", lambda: Room(1e6, "memory"))
    answer = load(client, "b", written(constant_cp(4), tmp_path / "models" / "b"))
    assert answer.status_code == 507
    assert "model 'b' does not fit: 1.0 MB of memory are left" in answer.get_json()["error"]
    assert names(client) == ["a"]
    assert value(client, "a") == 3  # It did not leave for what would not have fitted in its place.


def test_each_model_answers_its_own_under_load_and_eviction(
    tmp_path: Path, places_for_two: Callable[[], list[str]]
) -> None:
    client = client_of(tmp_path, MODEL_SERVER_THREADS="16")
    count = 5
    for number in range(count):
        load(client, f"m{number}", written(constant_cp(number), tmp_path / "models" / f"{number}"))

    def ask(number: int) -> tuple[int, list[float]]:
        other = client.application.test_client()
        answers = [invoke(other, f"m{(number * 7 + turn) % count}", [0, 0, 0], [1, 1, 1]) for turn in range(12)]
        assert {answer.status_code for answer in answers} <= {200, 503, 507}
        right = [
            [2 * [{"value": float((number * 7 + turn) % count)}]] == [answer.get_json()["predictions"]]
            for turn, answer in enumerate(answers)
            if answer.status_code == 200
        ]
        return len(right), [] if all(right) else [0.0]

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(ask, range(6)))
    assert all(not wrong for _, wrong in results)
    assert sum(answered for answered, _ in results) > 30
    assert len(places_for_two()) <= 2


class Slow:
    """Answers once it may."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def parse(self, instance: object, configuration: object) -> object:
        return instance

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        self.begun.set()
        self.go.wait(20)
        return [{"value": 1} for _ in instances]


@pytest.mark.parametrize("patient", [True, False])
def test_a_deletion_waits_for_the_requests_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patient: bool
) -> None:
    client = client_of(tmp_path, MODEL_SERVER_TIMEOUT="60" if patient else "6")
    slow, url = Slow(), written(constant_cp(1), tmp_path / "models" / "a")
    monkeypatch.setattr(
        "polyadic.serving.repository.load",
        lambda folder, given, name: Served(slow, given, "slow", name),  # type: ignore[arg-type]
    )
    load(client, "a", url)
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(invoke, client.application.test_client(), "a", 1)
        assert slow.begun.wait(10)
        deleted = pool.submit(client.application.test_client().delete, "/models/a")
        while names(client):
            threading.Event().wait(0.005)
        assert invoke(client, "a", 1).status_code == 404
        assert load(client, "a", url).status_code == 409
        if patient:
            assert not deleted.done()
            slow.go.set()
            assert (asked.result(10).status_code, deleted.result(10).status_code) == (200, 200)
        else:
            answer = deleted.result(10)
            assert (answer.status_code, "requests of the model are still under way" in answer.text) == (503, True)
            slow.go.set()
    for _ in range(1000):
        if load(client, "a", url).status_code == 200:
            return
        threading.Event().wait(0.005)
    raise AssertionError("the name was never free again")


def test_loads_leave_slots_for_models_in_memory_and_threads_for_ping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, go = client_of(tmp_path, MODEL_SERVER_THREADS="8", MODEL_SERVER_TIMEOUT="6"), threading.Event()
    url = written(constant_cp(1), tmp_path / "models" / "a")
    load(client, "a", url)

    owners = list[Many]()

    def slowly(self: Many, name: str, folder: Path) -> Served:
        owners.append(self)
        go.wait(20)
        raise AssertionError

    monkeypatch.setattr(Many, "_load", slowly)
    with ThreadPoolExecutor(2) as pool:
        loading = [pool.submit(load, client.application.test_client(), f"m{number}", url) for number in range(2)]
        while not owners or owners[0]._loads._free:
            threading.Event().wait(0.005)
        answer = load(client, "m9", url)
        assert (answer.status_code, "2 models are being loaded: try again" in answer.text) == (503, True)
        assert client.get("/ping").status_code == 200
        assert value(client, "a") == 1
        while not any(each.done() for each in loading):  # The second waits for the first, until its deadline.
            threading.Event().wait(0.01)
        go.set()
        assert {each.result(10).status_code for each in loading} == {500, 503}


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to"), RuntimeError("can't allocate memory: you")]
)
def test_where_loading_runs_out_of_memory_another_leaves_and_then_it_is_507(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    for name in ("a", "b"):
        load(client, name, written(constant_cp(ord(name)), tmp_path / "models" / name))
    asked, load_it = list[str](), repository.load

    def short(folder: Path, given: settings.Settings, name: str) -> Served:
        asked.append(name)
        if len(asked) == 1 or name == "d":
            raise error
        return load_it(folder, given, name)

    monkeypatch.setattr(repository, "load", short)
    assert load(client, "c", written(constant_cp(9), tmp_path / "models" / "c")).status_code == 200
    assert asked == ["c", "c"]
    answer = load(client, "d", written(constant_cp(8), tmp_path / "models" / "d"))
    assert (answer.status_code, "model 'd' does not fit" in answer.text) == (507, True)
    assert names(client) == ["a", "b", "c"]
    assert [value(client, name) for name in ("a", "b", "c")] == [97, 98, 9]


@pytest.mark.parametrize(
    "changes",
    [{"facts": {}, "shapes": {}}, {"algorithm": 5}, {"algorithm": "nope"}, {"hyperparameters": 3}, {"metrics": {}}],
)
def test_a_model_whose_description_was_altered_is_refused(
    client: FlaskClient, tmp_path: Path, changes: dict[str, Any]
) -> None:
    folder = written(constant_cp(1), tmp_path / "models" / "a")
    description = json.loads((folder / "model.json").read_text()) | changes
    (folder / "model.json").write_text(json.dumps(description))
    if "shapes" in changes:
        (folder / "model.safetensors").write_bytes(save({}))
    answer = load(client, "a", folder)
    assert answer.status_code == 400, answer.data
    assert "Traceback" not in answer.text


def test_half_a_character_is_no_url(client: FlaskClient, tmp_path: Path) -> None:
    body = b'{"model_name": "s", "url": "' + str(tmp_path).encode() + b'/models/\\ud800", "x": NaN}'
    answer = client.post("/models", data=body)
    assert (answer.status_code, "the body must be" in answer.text) == (400, True)
    assert client.get("/models").status_code == 200


def test_a_worker_that_takes_another_s_part_knows_its_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shared").mkdir()
    monkeypatch.setenv(places.FOLDER_VARIABLE, str(tmp_path / "shared"))
    first = client_of(tmp_path)
    for name in ("a", "b"):
        load(first, name, written(constant_cp(ord(name)), tmp_path / "models" / name))
    first.delete("/models/a")
    second = client_of(tmp_path)
    assert names(second) == ["b"]
    assert value(second, "b") == ord("b")


@pytest.mark.slow
def test_a_killed_worker_loses_no_model(tmp_path: Path) -> None:
    job = OptMl(tmp_path / "ml", {})
    written(constant_cp(8), job.base / "models" / "h")
    server = Server(job, SAGEMAKER_MULTI_MODEL="true", MODEL_SERVER_WORKERS="2").ready()
    assert "one worker holds the models of this container: SAGEMAKER_MODEL_SERVER_WORKERS" in server.run.output
    body = json.dumps({"model_name": "a", "url": str(job.base / "models" / "h" / "model")}).encode()
    assert server.send("POST", "/models", body).status == 200
    asked = b'{"instances": [[0, 0, 0]]}'
    children = Path(f"/proc/{server.run.process.pid}/task/{server.run.process.pid}/children").read_text().split()
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGKILL)
    server.run.until(lambda: server.ping() == 200)
    answer = server.send("POST", "/models/a/invoke", asked)
    assert (answer.status, json.loads(answer.data)["predictions"]) == (200, [{"value": 8.0}])
    server.stop()
