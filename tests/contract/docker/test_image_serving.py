"""The image as a server: how soon it answers, with how little of a machine, and many models in little memory."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import urllib3

from polyadic.algorithms.lda.hyperparameters import Hyperparameters
from polyadic.algorithms.lda.model import Model
from polyadic.topics.spectral import Topics
from tests.helpers.image_engine import Container, Engine, docker
from tests.helpers.image_sdk import free_port
from tests.helpers.served_models import constant_cp, one_of_each, written

http = urllib3.PoolManager(retries=False, timeout=60)
MEBIBYTES = 2**20


def serving(engine: Engine, image: str, *options: str) -> tuple[Container, str]:
    """A container that serves on a port of this machine, and its address."""
    port = free_port()
    bound = ("--network", "host", "--env", f"SAGEMAKER_BIND_TO_PORT={port}")
    return engine.start(image, "serve", options=(*bound, *options)), f"http://127.0.0.1:{port}"


def until_ready(container: Container, address: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            if http.request("GET", f"{address}/ping", timeout=2).status == 200:
                return
        time.sleep(0.05)
        assert time.monotonic() < end, container.logs()


def asked(address: str, path: str, body: Any) -> Any:
    return http.request(
        "POST", address + path, body=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )


@pytest.mark.alone
@pytest.mark.timeout(240, func_only=True)
@pytest.mark.parametrize("name", ["cp", "lda", "forecaster"])
def test_ping_is_200_within_one_and_a_half_times_what_torch_takes_to_import(
    engine: Engine, image: str, scratch: Path, name: str
) -> None:
    written(one_of_each()[name], scratch)
    ours, theirs = list[float](), list[float]()
    for _ in range(3):
        began = time.monotonic()
        assert engine.run(image, "python", "-c", "import torch")[0] == 0
        theirs.append(time.monotonic() - began)
        began = time.monotonic()
        container, address = serving(engine, image, "--volume", f"{scratch}:/opt/ml")
        until_ready(container, address)
        ours.append(time.monotonic() - began)
        container.kill()
    assert min(ours) < 1.5 * min(theirs), (ours, theirs)


@pytest.mark.timeout(120, func_only=True)
@pytest.mark.parametrize("name", list(one_of_each()))
def test_nothing_is_written_but_to_tmp_and_no_shared_memory_is_needed(
    engine: Engine, image: str, scratch: Path, name: str
) -> None:
    model = one_of_each()[name]
    written(model, scratch)
    bare = ("--read-only", "--tmpfs", "/tmp", "--ipc", "none", "--volume", f"{scratch}:/opt/ml:ro")
    container, address = serving(engine, image, *bare)
    until_ready(container, address)
    assert docker("exec", container.id, "ls", "/dev/shm", check=False).returncode != 0
    assert asked(address, "/invocations", {"instances": [model.example()]}).status == 200
    container.stop(30)
    assert container.state()["ExitCode"] == 0, container.logs()


@pytest.mark.timeout(120, func_only=True)
def test_a_full_disk_costs_no_answer_and_no_worker(engine: Engine, image: str, scratch: Path) -> None:
    model = one_of_each()["lda"]
    written(model, scratch)
    small = ("--read-only", "--tmpfs", "/tmp:size=2m", "--shm-size", "2m", "--volume", f"{scratch}:/opt/ml:ro")
    container, address = serving(engine, image, "--env", "MODEL_SERVER_WORKERS=2", *small)
    until_ready(container, address)
    for folder in ("/tmp", "/dev/shm"):
        filling = f"dd if=/dev/zero of={folder}/fill bs=64k; echo more >> {folder}/more"
        done = docker("exec", container.id, "sh", "-c", filling, check=False)
        assert "No space left" in done.stderr
    body = {"instances": [model.example()]}
    assert all(asked(address, "/invocations", body).status == 200 for _ in range(20))
    assert http.request("GET", f"{address}/metrics").status == 200
    docker("exec", container.id, "sh", "-c", "kill -9 $(cut -d ' ' -f 1 /proc/1/task/1/children)")
    until_ready(container, address)
    assert all(asked(address, "/invocations", body).status == 200 for _ in range(20))


@pytest.mark.timeout(120, func_only=True)
def test_a_body_larger_than_the_memory_for_it_lies_in_tmp_and_one_larger_than_tmp_is_refused(
    engine: Engine, image: str, scratch: Path
) -> None:
    model = one_of_each()["lda"]
    written(model, scratch)
    small = ("--read-only", "--tmpfs", "/tmp:size=96m", "--memory", "1g", "--volume", f"{scratch}:/opt/ml:ro")
    container, address = serving(engine, image, "--env", f"MAX_CONTENT_LENGTH={2**30}", *small)
    until_ready(container, address)
    line = json.dumps(model.example()).encode().ljust(1023) + b"\n"
    kind = {"Content-Type": "application/jsonlines"}
    answer = http.request("POST", f"{address}/invocations", body=line * 20_000, headers=kind)
    assert (answer.status, answer.data.count(b"\n")) == (200, 20_000)
    for lines in (60_000, 200_000):  # Its second copy has no room; not even its first one has.
        refused = http.request("POST", f"{address}/invocations", body=line * lines, headers=kind)
        assert (refused.status, "no room" in json.loads(refused.data)["error"]) == (507, True)
    answer = http.request("POST", f"{address}/invocations", body=line * 20_000, headers=kind)
    assert (answer.status, answer.data.count(b"\n")) == (200, 20_000)


class Models:
    """A container of many models."""

    def __init__(self, engine: Engine, image: str, root: Path, *options: str) -> None:
        mounted = ("--volume", f"{root}:/opt/ml/models", "--env", "SAGEMAKER_MULTI_MODEL=true")
        self.container, self.address = serving(engine, image, *mounted, *options)
        until_ready(self.container, self.address)

    def load(self, name: str, url: str) -> Any:
        return asked(self.address, "/models", {"model_name": name, "url": url})


@pytest.mark.timeout(120, func_only=True)
def test_models_of_every_algorithm_side_by_side(engine: Engine, image: str, scratch: Path) -> None:
    each = one_of_each()
    for name, model in each.items():
        written(model, scratch / f"hash-{name}")
    models = Models(engine, image, scratch)
    for name in each:
        assert models.load(name, f"/opt/ml/models/hash-{name}/model").status == 200
    for name, model in each.items():
        answer = asked(models.address, f"/models/{name}/invoke", {"instances": [model.example()]})
        assert (answer.status, len(json.loads(answer.data)["predictions"])) == (200, 1)
    listed = json.loads(http.request("GET", f"{models.address}/models").data)["models"]
    assert [one["modelName"] for one in listed] == sorted(each)
    for url in ("/opt/ml/models/hash-cp/../hash-lda/model", "/proc/1/root/opt/ml/models/hash-cp/model", "/opt/program"):
        assert models.load("out", url).status == 400
    assert http.request("DELETE", f"{models.address}/models/cp").status == 200
    assert asked(models.address, "/models/cp/invoke", {"instances": [each["cp"].example()]}).status == 404


@pytest.mark.timeout(240, func_only=True)
def test_more_models_than_the_memory_holds(engine: Engine, image: str, scratch: Path) -> None:
    count, terms, limit = 8, 50 * MEBIBYTES // 8, 1200 * MEBIBYTES
    for number in range(count):  # Words tell nothing of two topics, of which one is number + 1 times as usual.
        alike = Topics(torch.full((2, terms), 1 / terms), torch.tensor([1.0, number + 1.0]))
        settings = Hyperparameters(num_topics=2, feature_dim=terms)
        written(Model(settings=settings, topics=alike, metrics={}), scratch / f"h{number}")
    written(constant_cp(1, limit // 8), scratch / "huge")
    models = Models(engine, image, scratch, "--memory", f"{limit}", "--memory-swap", f"{limit}")
    for number in range(count):
        answer = models.load(f"m{number}", f"/opt/ml/models/h{number}/model")
        assert answer.status == 200, answer.data
    huge = models.load("huge", "/opt/ml/models/huge/model")
    assert (huge.status, "does not fit" in json.loads(huge.data)["error"]) == (507, True)
    document = {"data": {"features": {"keys": [0], "shape": [terms], "values": [1]}}}
    for turn in range(3 * count):
        number = turn * 3 % count
        answer = asked(models.address, f"/models/m{number}/invoke", {"instances": [document]})
        assert answer.status == 200, answer.data
        mixture = json.loads(answer.data)["predictions"][0]["topic_mixture"]
        assert mixture[1] == pytest.approx((number + 1) / (number + 2), abs=1e-6)
    figures = http.request("GET", f"{models.address}/metrics").data.decode()
    held = next(float(line.split()[-1]) for line in figures.splitlines() if line.startswith("polyadic_models{"))
    assert 1 <= held < count
    state = models.container.state()
    assert state["Running"] and not state["OOMKilled"]
