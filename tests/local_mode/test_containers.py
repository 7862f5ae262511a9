"""The Docker back-end with the stand-in as an image; skipped where no engine answers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from local_mode.containers import ContainerBackend
from local_mode.endpoint import EndpointSettings, running_endpoint
from local_mode.errors import LocalModeError
from local_mode.layout import TrainingJob
from local_mode.stopping import StopRequest
from local_mode.training import run_training
from local_mode.variants import Variant
from tests.local_mode.front_door.conftest import asked, job, make_config, make_model, opened, settled

ROOT = Path(__file__).parents[2]
BASE = "python:3.11-slim-bookworm"


def docker(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)


def engine_answers() -> bool:
    return shutil.which("docker") is not None and docker("image", "inspect", BASE).returncode == 0


@pytest.fixture(scope="module")
def image(standin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not engine_answers():
        reason = f"no Docker Engine that has {BASE} answers here"
        (pytest.fail if os.environ.get("POLYADIC_REQUIRE_DOCKER") == "1" else pytest.skip)(reason)
    context = tmp_path_factory.mktemp("context")
    for name in ("train", "serve"):
        shutil.copy(standin / name, context / name)
    (context / "Dockerfile").write_text(f'FROM {BASE}\nCOPY train serve /opt/program/\nENV PATH="/opt/program:$PATH"\n')
    name = f"local-mode-standin:{uuid.uuid4().hex[:12]}"
    built = docker("build", "--quiet", "--network=host", "--tag", name, str(context))
    assert built.returncode == 0, built.stderr
    yield name
    docker("image", "rm", "--force", name)


@pytest.fixture(autouse=True)
def nothing_left(image: str) -> Iterator[None]:
    before = networks()
    yield
    assert docker("ps", "--all", "--quiet", "--filter", f"ancestor={image}").stdout == ""
    assert networks() <= before


def networks() -> set[str]:
    return set(docker("network", "ls", "--quiet", "--filter", "name=local-mode-").stdout.split())


def test_two_hosts_train_in_containers(tmp_path: Path, image: str) -> None:
    (tmp_path / "data").mkdir()
    for name in ("a.json", "b.json", "c.json"):
        (tmp_path / "data" / name).write_text(name)
    job = TrainingJob(
        {"train": tmp_path / "data"},
        {"rank": "5"},
        tmp_path / "out",
        hosts=2,
        distribution="ShardedByS3Key",
        checkpoints=tmp_path / "kept",
    )
    lines: list[str] = []
    result = run_training(job, ContainerBackend(image), StopRequest(), lines.append)
    assert result.failures == {}
    assert sorted(lines) == ["algo-1 | hello from algo-1", "algo-2 | hello from algo-2"]
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"algo-1.txt", "algo-2.txt"}
    with tarfile.open(job.output / "output.tar.gz") as tar:
        first, second = (json.load(tar.extractfile(f"algo-{number}.json") or pytest.fail()) for number in (1, 2))
    assert (first["files"], second["files"]) == ({"train": ["a.json", "c.json"]}, {"train": ["b.json"]})
    assert first["environment"]["MASTER_ADDR"] is None
    assert first["environment"]["SAGEMAKER_BASE_DIR"] is None
    assert first["config"]["resourceconfig"]["network_interface_name"] == "eth0"


def test_a_failing_container_fails_the_job(tmp_path: Path, image: str) -> None:
    job = TrainingJob({}, {"behaviour": "fail"}, tmp_path / "out")
    result = run_training(job, ContainerBackend(image), StopRequest(), lambda line: None)
    assert result.failures == {"algo-1": "rank got 0: give a rank of 1 or more"}


def test_ctrl_c_lets_the_container_save_its_model(tmp_path: Path, image: str) -> None:
    words = ["train", "--image", image, "--output", str(tmp_path), "--hyperparameters", "behaviour=wait"]
    with subprocess.Popen(
        [sys.executable, "-m", "local_mode", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        while command.stdout.readline() != "waiting\n":
            assert command.poll() is None
        command.send_signal(signal.SIGINT)
        output = command.stdout.read()
    assert command.returncode == 130
    assert "what was saved is" in output
    with tarfile.open(tmp_path / "model.tar.gz") as tar:
        assert json.load(tar.extractfile("model.json") or pytest.fail())["stopped"] is True


def test_two_variants_serve_in_containers(tmp_path: Path, image: str) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"bind": "0.0.0.0"}))
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "model.json", arcname="model.json")
    variants = [Variant(name, tmp_path / "model.tar.gz") for name in ("a", "b")]
    settings = EndpointSettings("e", variants)
    with running_endpoint(settings, ContainerBackend(image), StopRequest()) as running:
        client = boto3.client(
            "sagemaker-runtime",
            endpoint_url=running.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        for name in ("a", "b"):
            answer = client.invoke_endpoint(EndpointName="e", Body=b"{}", TargetVariant=name)
            assert json.loads(answer["Body"].read())["variant"] == name
        client.close()


def test_an_unknown_image_is_named(image: str) -> None:
    with pytest.raises(LocalModeError, match="no image 'local-mode-standin:none' here: build it with `make image`"):
        ContainerBackend("local-mode-standin:none")


def test_a_killed_front_door_leaves_no_container_to_the_next(
    image: str, archive: Callable[..., Path], tmp_path: Path
) -> None:
    with opened(tmp_path / "state", tmp_path, "--image", image) as door:
        s3, sagemaker = door.client("s3"), door.client("sagemaker")
        s3.create_bucket(Bucket="data")
        s3.put_object(Bucket="data", Key="train/a.csv", Body=b"1,2\n")
        make_model(door, "sound", archive=archive(tmp_path / "sound", bind="0.0.0.0"))
        make_config(door, "one", A=("sound", 1.0, 1))
        sagemaker.create_endpoint(EndpointName="one", EndpointConfigName="one")
        assert settled(door, "one")["EndpointStatus"] == "InService"
        two = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
        sagemaker.create_training_job(**job("cut", HyperParameters={"behaviour": "deaf"}, ResourceConfig=two))
        assert asked(door, "one")[0] == "A"
        deadline = time.monotonic() + 60
        while len(containers(image)) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        door.process.kill()
    left = set(containers(image))
    assert len(left) == 3
    with opened(tmp_path / "state", tmp_path, "--image", image) as door:
        assert settled(door, "one")["EndpointStatus"] == "InService" and asked(door, "one")[0] == "A"
        now = set(containers(image))
        assert len(now) == 1 and not now & left
        described = door.client("sagemaker").describe_training_job(TrainingJobName="cut")
        assert described["TrainingJobStatus"] == "Failed"
        door.client("sagemaker").delete_endpoint(EndpointName="one")


def containers(image: str) -> list[str]:
    return docker("ps", "--quiet", "--no-trunc", "--filter", f"ancestor={image}").stdout.split()
