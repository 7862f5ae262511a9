"""What is seen from outside: figures of all workers, a line of the log for each request, traces passed on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from polyadic.serving import metrics
from tests.helpers.opt_ml import OptMl
from tests.helpers.served_models import constant_cp, written
from tests.helpers.serving import JSON, Server
from tests.serving.test_app import ECHO, ready

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ASKED = b'{"instances": [[0, 0, 0], [1, 1, 1]]}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    job = OptMl(tmp_path_factory.mktemp("figures") / "ml", {})
    written(constant_cp(2), job.base)
    server = Server(job, MODEL_SERVER_WORKERS="2").ready()
    yield server
    server.stop()


def figures(server: Server) -> dict[tuple[str, ...], float]:
    """Each figure by its name and the values of its labels, in the order of their names."""
    time.sleep(0.6)  # Each worker counts what it has answered twice a second.
    answer = server.send("GET", "/metrics")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.data.decode())
    samples = [sample for family in families for sample in family.samples]
    return {
        (
            sample.name,
            *(value for key, value in sorted(sample.labels.items()) if key not in ("le", "pid")),
        ): sample.value
        for sample in samples
        if not sample.name.endswith("_bucket")
    }


def test_the_figures_are_those_of_all_workers(server: Server) -> None:
    before = figures(server)
    for _ in range(20):
        assert server.send("POST", "/invocations", ASKED, **JSON, Connection="close").status == 200
    assert server.send("POST", "/invocations", b"{", **JSON).status == 400
    assert server.send("GET", "/ping").status == 200
    after = figures(server)

    def grown(*key: str) -> float:
        return after[key] - before.get(key, 0.0)

    assert grown("polyadic_requests_total", "cp", "200", "tt-lstm") == 20
    assert grown("polyadic_requests_total", "cp", "400", "tt-lstm") == 1
    assert grown("polyadic_request_seconds_count", "cp", "tt-lstm") == 21
    assert grown("polyadic_batch_instances_sum", "cp", "tt-lstm") == 40
    assert 1 <= grown("polyadic_batch_instances_count", "cp", "tt-lstm") <= 20
    for phase, count in {"decode": 21, "queue": 21, "predict": 20, "encode": 20}.items():
        assert grown("polyadic_phase_seconds_count", "cp", phase, "tt-lstm") == count
        assert grown("polyadic_phase_seconds_sum", "cp", phase, "tt-lstm") >= 0
    assert after["polyadic_requests_under_way", "tt-lstm"] == 0
    assert after["polyadic_models", "tt-lstm"] == 2
    assert after["polyadic_model_load_seconds", "cp", "tt-lstm"] > 0
    assert after["polyadic_resident_bytes", "tt-lstm"] > 2 * 50e6


def test_what_a_killed_worker_had_under_way_counts_no_more(server: Server) -> None:
    master = server.run.process.pid
    workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    os.kill(int(workers[0]), signal.SIGKILL)
    deadline, seen = time.monotonic() + 60, list[float | None]()
    while seen[-2:] != [1, 2] and time.monotonic() < deadline:
        with contextlib.suppress(urllib3.exceptions.ProtocolError):  # Of the connection to the killed worker.
            models = figures(server).get(("polyadic_models", "tt-lstm"))
            seen += [models] if seen[-1:] != [models] else []
    assert seen[-2:] == [1, 2]


def logged(server: Server, number: str) -> dict[str, Any]:
    """The line of the log of a request."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in server.run.output.splitlines():
            if number in line:
                value: dict[str, Any] = json.loads(line)
                return value
        time.sleep(0.02)
    raise AssertionError("the log has no such request")


def test_a_request_leaves_a_line_in_the_log_and_its_trace_is_passed_on(server: Server) -> None:
    headers = {"Traceparent": TRACE, "X-Request-Id": "mine-17", "X-Amzn-SageMaker-Inference-Id": "i-3"}
    answer = server.send("POST", "/invocations", ASKED, **JSON, **headers)
    assert (answer.headers["Traceparent"], answer.headers["X-Request-Id"]) == (TRACE, "mine-17")
    line = logged(server, "mine-17")
    took = line.pop("ms")
    assert line == {
        "id": "mine-17",
        "inference_id": "i-3",
        "trace": TRACE,
        "variant": "tt-lstm",
        "algorithm": "cp",
        "method": "POST",
        "path": "/invocations",
        "code": 200,
        "rows": 2,
    }
    assert set(took) == {"decode", "queue", "predict", "encode", "all"}
    assert 0 < took["all"] < 10_000 and sum(took.values()) <= 2 * took["all"]


def test_a_refused_request_is_logged_and_a_ping_is_not(server: Server) -> None:
    number = server.send("POST", "/invocations", b"{", **JSON).headers["X-Request-Id"]
    assert re.fullmatch(r"[0-9a-f]{32}", number)
    line = logged(server, number)
    assert (line["code"], line["rows"]) == (400, 0)
    assert "predict" not in line["ms"]
    assert '"path":"/ping"' not in server.run.output


@pytest.mark.parametrize(
    "trace",
    [
        "",
        "00",
        TRACE.upper(),
        TRACE.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        f"{TRACE} x",
    ],
)
def test_what_is_no_trace_is_not_passed_on(monkeypatch: pytest.MonkeyPatch, trace: str) -> None:
    client = ready(monkeypatch, ECHO)
    answer = client.post("/invocations", json={"instances": [1]}, headers={"Traceparent": trace, "X-Request-Id": "a b"})
    assert "Traceparent" not in answer.headers
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-Id"])


def test_the_log_may_be_off_and_may_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    quiet = ready(monkeypatch, ECHO, MODEL_SERVER_ACCESS_LOG="false")
    assert quiet.post("/invocations", json={"instances": [1]}, buffered=True).status_code == 200
    assert not capsys.readouterr().out
    loud = ready(monkeypatch, ECHO)
    assert loud.post("/invocations", json={"instances": [1]}, buffered=True).status_code == 200
    assert json.loads(capsys.readouterr().out)["code"] == 200

    class Full:
        def write(self, text: str) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    assert loud.post("/invocations", json={"instances": [1]}, buffered=True).status_code == 200


@given(st.lists(st.floats(0, 100), max_size=20))
def test_values_that_are_counted_together_are_those_that_are_observed_one_by_one(values: list[float]) -> None:
    together, one_by_one = (
        Histogram("seconds", "Seconds.", buckets=metrics.SECONDS, registry=CollectorRegistry()) for _ in range(2)
    )
    metrics._observe(together, values)
    for value in values:
        one_by_one.observe(value)
    samples = [
        {
            (sample.name, *sample.labels.items()): sample.value
            for family in histogram.collect()
            for sample in family.samples
        }
        for histogram in (together, one_by_one)
    ]
    assert {k: v for k, v in samples[0].items() if k[0][-7:] != "created"} == pytest.approx(
        {k: v for k, v in samples[1].items() if k[0][-7:] != "created"}
    )
