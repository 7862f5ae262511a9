"""The serve half of the contract, in the real server."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.algorithms import choose, forecaster
from polyadic.algorithms.forecaster.model import Model as ForecasterModel
from polyadic.algorithms.forecaster.network import build
from polyadic.decomposition.cp.fit import cp as decompose
from polyadic.formats import npy
from polyadic.jobs.model import Model
from polyadic.lowrank.model import DecompositionModel
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.numbered_names import numbered
from tests.helpers.opt_ml import FORECASTER, OptMl, low_rank, waves
from tests.helpers.serving import JSON, Server, http
from tests.helpers.small_models import build_cp

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")


def cp_model(tensor: CPTensor) -> DecompositionModel:
    tensors = {"weights": tensor.weights, **numbered("factor", tensor.factors)}
    return DecompositionModel(
        algorithm="cp",
        tensors=tensors,
        build=build_cp,
        relative_error=tensor.relative_error,
        hyperparameters={},
        labels=(None, DAYS, None),
    )


def model_folder(folder: Path, model: Model) -> OptMl:
    job = OptMl(folder / "ml", {})
    model.artifact().write(job.base / "model")
    return job


@pytest.fixture(scope="module")
def tensor() -> CPTensor:
    return decompose(torch.tensor(low_rank(4, 5, 6)), 2, stop_tol=0, max_iterations=1000)


@pytest.fixture(scope="module")
def server(tensor: CPTensor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    job = model_folder(tmp_path_factory.mktemp("cp"), cp_model(tensor))
    # SDK v2's local mode leaves the archives beside what it unpacks.
    (job.base / "model" / "model.tar.gz").write_bytes(b"stray")
    server = Server(job).ready()
    yield server
    server.stop()


def error_of(answer: Any) -> str:
    return str(json.loads(answer.data)["error"])


def test_answers_with_the_entries_and_the_variant(server: Server, tensor: CPTensor) -> None:
    body = json.dumps({"instances": [{"index": [1, 2, 3]}, {"index": [3, 4, 5]}]}).encode()
    answer = server.send("POST", "/invocations", body, **JSON)
    assert answer.status == 200
    assert answer.headers["X-Amzn-SageMaker-Custom-Attributes"] == "variant=tt-lstm"
    values = [one["value"] for one in json.loads(answer.data)["predictions"]]
    np.testing.assert_allclose(values, [low_rank(4, 5, 6)[1, 2, 3], low_rank(4, 5, 6)[3, 4, 5]], rtol=1e-3)


def test_json_lines_answer_in_order(server: Server) -> None:
    body = b"".join(b'{"index": [0, 0, %d]}\n' % row for row in range(6))
    answer = server.send("POST", "/invocations", body, **{"Content-Type": "application/jsonlines"})
    values = [json.loads(line)["value"] for line in answer.data.splitlines()]
    np.testing.assert_allclose(values, low_rank(4, 5, 6)[0, 0], rtol=1e-3)


def test_slices_rankings_and_new_slabs(server: Server) -> None:
    dense = low_rank(4, 5, 6)
    instances = [
        {"index": [1, "tuesday", None]},
        {"index": [None, "friday", 2], "top_k": 2, "exclude": [0]},
        {"fold_in": {"mode": 0, "slab": (2 * dense[3]).tolist()}, "index": [None, 4], "top_k": 1},
    ]
    answer = server.send("POST", "/invocations", json.dumps({"instances": instances}).encode(), **JSON)
    part, top, folded = json.loads(answer.data)["predictions"]
    np.testing.assert_allclose(part["value"], dense[1, 1], rtol=1e-3)
    best = 1 + np.argsort(-dense[1:, 4, 2])[:2]
    assert [one["index"] for one in top["top"]] == best.tolist()
    day = int(np.argmax(dense[3, :, 4]))
    assert (folded["top"][0]["index"], folded["top"][0]["label"]) == (day, DAYS[day])
    assert folded["top"][0]["value"] == pytest.approx(2 * dense[3, day, 4], rel=1e-3)
    assert folded["residual"] < 1e-3


def test_csv_and_npy_of_indices(server: Server) -> None:
    dense = low_rank(4, 5, 6)
    answer = server.send("POST", "/invocations", b"1,tuesday,3\n3,friday,5\n", **{"Content-Type": "text/csv"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    np.testing.assert_allclose([float(one) for one in answer.data.split()], [dense[1, 1, 3], dense[3, 4, 5]], rtol=1e-3)
    index = np.argwhere(dense)
    answer = server.send("POST", "/invocations", npy.encode(index), **{"Content-Type": "application/x-npy"})
    np.testing.assert_allclose(npy.decode(answer.data), dense.reshape(-1), rtol=1e-3)


def test_execution_parameters(server: Server) -> None:
    parameters = json.loads(server.send("GET", "/execution-parameters").data)
    assert parameters == {"MaxConcurrentTransforms": 1, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 6}


@pytest.mark.parametrize(
    ("status", "body", "headers", "message"),
    [
        (413, b" " * 30_000_000, {"Content-Type": "text/csv"}, "the body is larger than 25 MiB"),
        (
            415,
            b"1,2",
            {"Content-Type": "image/png"},
            "content type 'image/png' is not taken here: send application/json",
        ),
        (400, b'{"instances": [', JSON, "broken JSON at line 1"),
        (400, b"{}", JSON, "the body holds no instances"),
        (400, b"", JSON, "the body holds no instances"),
        (400, b'{"instances": [{"index": [0, 0, 0]}, {"index": [0, 0, 6]}]}', JSON, "instances[1]: index[2] is 6"),
        (400, b'{"instances": [7]}', {**JSON, "Accept": "image/png"}, "instances[0]: got 7"),
        (406, b'{"instances": [{"index": [0, 0, 0]}]}', {**JSON, "Accept": "image/png"}, "Accept 'image/png' cannot"),
    ],
    ids=["large", "type", "broken", "no instances", "empty", "range", "400 before 406", "accept"],
)
def test_refusals(server: Server, status: int, body: bytes, headers: dict[str, str], message: str) -> None:
    answer = server.send("POST", "/invocations", body, **headers)
    assert (answer.status, message in error_of(answer)) == (status, True), answer.data
    assert b"Traceback" not in answer.data


def test_a_body_without_a_length_is_limited_as_well(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"%x\r\n%s\r\n" % (2**20, b" " * 2**20)
        for _ in range(30):
            client.sendall(chunk)
        client.sendall(b"0\r\n\r\n")
        assert client.recv(64).startswith(b"HTTP/1.1 413")


def raw(server: Server, request: bytes, *, closes: bool = False) -> tuple[bytes, Any]:
    """The status line and the JSON of an answer to bytes that no client would send."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(request)
        if closes:
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.partition(b"\r\n\r\n")[2]:
            got = client.recv(65536)
            if not got:
                break
            answer += got
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0], json.loads(body)


POST = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def test_a_body_cut_short_of_its_length_is_400(server: Server) -> None:
    body = b'{"instances": [{"index": [0, 0, 0]}]}'
    status, answer = raw(server, POST + b"Content-Length: 500\r\n\r\n" + body, closes=True)
    assert status.startswith(b"HTTP/1.1 400") and f"the body ends after {len(body)} of 500 bytes" in answer["error"]


@pytest.mark.parametrize("chunks", [b"zz\r\n{}\r\n0\r\n\r\n", b"5\r\n{}", b"2\r\n{}xx\r\n0\r\n\r\n"])
def test_broken_chunks_are_400(server: Server, chunks: bytes) -> None:
    status, answer = raw(server, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, closes=True)
    assert status.startswith(b"HTTP/1.1 400") and "chunks are broken" in answer["error"]
    assert server.ping() == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        POST + b"Content-Length: many\r\n\r\n",
        POST + b"Expect: the-impossible\r\nContent-Length: 0\r\n\r\n",
        POST + b"X-Long: " + b"a" * 10_000 + b"\r\n\r\n",
    ],
    ids=["no request", "no length", "an expectation", "a long header"],
)
def test_what_the_server_itself_refuses_is_told_in_json(server: Server, request_bytes: bytes) -> None:
    status, answer = raw(server, request_bytes)
    assert status.split()[1] in (b"400", b"417", b"431") and answer["error"], status


def test_ping_is_200_only_when_no_worker_would_refuse(tensor: CPTensor, tmp_path: Path) -> None:
    job = model_folder(tmp_path, cp_model(tensor))
    server = Server(job, MODEL_SERVER_WORKERS="3").ready()
    body = b'{"instances": [{"index": [0, 0, 0]}]}'
    asked = [server.send("POST", "/invocations", body, **JSON, Connection="close") for _ in range(60)]
    assert {answer.status for answer in asked} == {200}
    tasks = Path(f"/proc/{server.run.process.pid}/task").glob("*/children")
    children = [int(pid) for task in tasks for pid in task.read_text().split()]
    os.kill(children[0], signal.SIGKILL)
    # Connections of their own: those that are kept alive may be the dead worker's.
    asked = [server.send("POST", "/invocations", body, **JSON, Connection="close") for _ in range(60)]
    assert {answer.status for answer in asked} == {200}
    server.stop()


def test_an_unknown_path_names_the_known_ones(server: Server) -> None:
    answer = server.send("GET", "/invocation")
    assert answer.status == 404
    assert (
        "Here are GET /execution-parameters, GET /metrics, GET /openapi.json, GET /ping, POST /invocations"
        in error_of(answer)
    )


def slow_forecaster() -> Model:
    _, settings = choose({**FORECASTER, "algorithm": "forecaster", "num_cells": "40", "prediction_length": "60"})
    assert isinstance(settings, forecaster.Hyperparameters)
    return ForecasterModel(settings=settings, network=build(settings), fixed=None, metrics={})


@pytest.mark.alone
def test_a_full_server_sheds_load_answers_ping_and_drains(tmp_path: Path) -> None:
    server = Server(model_folder(tmp_path, slow_forecaster()), MODEL_SERVER_THREADS="6").ready()
    body = json.dumps({"instances": waves(1) * 8, "configuration": {"num_samples": 400}}).encode()
    answers: list[Any] = []
    clients = [
        threading.Thread(target=lambda: answers.append(server.send("POST", "/invocations", body, **JSON)))
        for _ in range(12)
    ]
    for client in clients:
        client.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert server.ping() == 200
    assert time.monotonic() - began < 2
    server.stop()
    for client in clients:
        client.join()
    statuses = {answer.status for answer in answers}
    assert statuses == {200, 503}, statuses
    refused = next(answer for answer in answers if answer.status == 503)
    assert refused.headers["Retry-After"] == "1"
    assert "2 requests are under way" in error_of(refused)


def test_forecasts_as_deepar_does(tmp_path: Path) -> None:
    server = Server(model_folder(tmp_path, slow_forecaster())).ready()
    wishes = {"num_samples": 7, "output_types": ["mean", "quantiles", "samples"], "quantiles": ["0.5", "0.9"]}
    body = json.dumps({"instances": waves(2), "configuration": wishes}).encode()
    first, second = json.loads(server.send("POST", "/invocations", body, **JSON).data)["predictions"]
    assert set(first) == {"mean", "quantiles", "samples"}
    assert len(first["mean"]) == 60
    assert np.shape(second["samples"]) == (7, 60)
    assert set(first["quantiles"]) == {"0.5", "0.9"}
    short, empty = (
        json.dumps({"instances": [{"start": "2020-01-01 00:00:00", "target": target}]}).encode() for target in ([1], [])
    )
    assert np.isfinite(
        json.loads(server.send("POST", "/invocations", short, **JSON).data)["predictions"][0]["mean"]
    ).all()
    answer = server.send("POST", "/invocations", empty, **JSON)
    assert "instances[0]: target has no value in its context" in error_of(answer)
    server.stop()


@pytest.mark.parametrize("harm", ["missing", "cut short", "mixed up", "not JSON"])
def test_a_broken_model_ends_the_server_with_the_reason(tmp_path: Path, tensor: CPTensor, harm: str) -> None:
    job = model_folder(tmp_path, cp_model(tensor))
    description, weights = job.base / "model" / "model.json", job.base / "model" / "model.safetensors"
    if harm == "missing":
        description.unlink()
    elif harm == "cut short":
        weights.write_bytes(weights.read_bytes()[:100])
    elif harm == "mixed up":
        DecompositionModel(
            algorithm="cp",
            tensors={"weights": torch.ones(1), **numbered("factor", [torch.rand(3, 1), torch.rand(3, 1)])},
            build=build_cp,
            relative_error=0.5,
            hyperparameters={},
        ).artifact().write(tmp_path / "other")
        weights.write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    else:
        description.write_text("{")
    server = Server(job)
    assert server.run.wait(60) == 3
    reasons = {
        "missing": "no model.json in",
        "cut short": "model.safetensors in",
        "mixed up": "is not the one that model.json describes",
        "not JSON": "is not a model's description",
    }
    assert f"error: {reasons[harm]}" in server.run.output or reasons[harm] in server.run.output
    assert "Traceback" not in server.run.output


def test_a_long_answer_in_lines_begins_before_it_is_computed(tmp_path: Path) -> None:
    server = Server(model_folder(tmp_path, slow_forecaster())).ready()
    series = b"".join(json.dumps(one).encode() + b"\n" for one in waves(1)) * 300
    began = time.monotonic()
    answer = http.request(
        "POST",
        f"http://127.0.0.1:{server.port}/invocations",
        body=series,
        headers={"Content-Type": "application/jsonlines"},
        preload_content=False,
    )
    assert (answer.status, answer.headers["Transfer-Encoding"]) == (200, "chunked")
    first = answer.read1()
    came = time.monotonic() - began
    rest = answer.read()
    whole = time.monotonic() - began
    assert (first + rest).count(b"\n") == 300 > first.count(b"\n") > 0
    assert came < whole / 2
    server.stop()


def test_who_leaves_while_his_request_waits_is_not_computed_for(tmp_path: Path) -> None:
    server = Server(model_folder(tmp_path, slow_forecaster())).ready()
    body = json.dumps({"instances": waves(1) * 60, "configuration": {"num_samples": 100}}).encode()
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    first = threading.Thread(target=lambda: server.send("POST", "/invocations", body, **JSON))
    first.start()
    time.sleep(0.2)
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(head % len(body) + body)
            time.sleep(0.05)
    first.join()
    server.run.until(lambda: server.run.output.count('"code":499') == 5)
    figures = server.send("GET", "/metrics").data.decode()
    assert 'polyadic_batch_instances_sum{algorithm="forecaster",variant="tt-lstm"} 60.0' in figures
    server.stop()


def test_a_wrong_method_is_told_the_right_ones(server: Server) -> None:
    answer = server.send("PUT", "/invocations")
    assert (answer.status, answer.headers["Allow"]) == (405, "OPTIONS, POST")
