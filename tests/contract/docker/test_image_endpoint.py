"""A plain boto3 client against two variants of the image behind local_mode's router."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.helpers.image_engine import Engine, mounting
from tests.helpers.image_jobs import CP, cp_requests, lay_out, low_rank_tensor, made, write_tensor
from tests.helpers.image_sdk import REPOSITORY, free_port


@pytest.mark.timeout(240, func_only=True)
def test_boto3_sees_two_variants(engine: Engine, image: str, scratch: Path) -> None:
    first, second = low_rank_tensor(seed=0), low_rank_tensor(seed=1)
    requests, _ = cp_requests(first)
    archives = {
        "a": trained(engine, image, scratch / "a", first),
        "b": trained(engine, image, scratch / "b", second),
    }
    truth = {"a": cp_requests(first)[1], "b": cp_requests(second)[1]}
    with endpoint(image, archives, scratch) as runtime:
        for number in range(40):
            answer = invoke(runtime, requests[number % 4])
            value = json.loads(answer["Body"].read())["predictions"][0]["value"]
            assert value == pytest.approx(truth[answer["InvokedProductionVariant"]][number % 4], abs=1e-4)
        answered = Counter(invoke(runtime, requests[0])["InvokedProductionVariant"] for _ in range(40))
        assert set(answered) == {"a", "b"}
        targeted = {invoke(runtime, requests[0], TargetVariant="b")["InvokedProductionVariant"] for _ in range(5)}
        assert targeted == {"b"}
        assert "variant=b" in invoke(runtime, requests[0], TargetVariant="b")["CustomAttributes"]
        with pytest.raises(ClientError) as refused:
            invoke(runtime, requests[0], TargetVariant="c")
        assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert not [one["Name"] for one in mounting(scratch) if one["State"]["Running"]]


def trained(engine: Engine, image: str, root: Path, tensor: Any) -> Path:
    """Train on a tensor in a container; returns model.tar.gz."""
    job = lay_out(root, CP)
    write_tensor(job.channel("train"), tensor)
    container = engine.start(image, "train", options=job.mount)
    assert container.wait(timeout=90) == 0, container.logs()
    with tarfile.open(root / "model.tar.gz", "w:gz") as archive:
        for file in job.model.iterdir():
            archive.add(file, file.name)
    return root / "model.tar.gz"


@contextmanager
def endpoint(image: str, archives: dict[str, Path], scratch: Path) -> Iterator[Any]:
    """Run `python -m local_mode endpoint`; gives the boto3 client, and stops it as Ctrl-C does."""
    port = free_port()
    variants = [word for name, archive in archives.items() for word in ("--variant", f"{name}={archive}:0.5")]
    command = [
        sys.executable,
        "-m",
        "local_mode",
        "endpoint",
        "ab",
        *variants,
        "--image",
        image,
        "--port",
        str(port),
    ]
    environment = os.environ | {"TMPDIR": str(made(scratch / "tmp"))}
    with (scratch / "endpoint.log").open("w") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_it_answers(process, scratch / "endpoint.log")
            yield client(port)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=60)
            finally:
                process.kill()


def wait_until_it_answers(process: subprocess.Popen[bytes], log: Path, timeout: float = 90) -> None:
    end = time.monotonic() + timeout
    while "answers at" not in log.read_text():
        assert process.poll() is None and time.monotonic() < end, f"the endpoint did not start:\n{log.read_text()}"
        time.sleep(0.2)


def client(port: int) -> Any:
    return boto3.client(
        "sagemaker-runtime", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test", config=Config(proxies={}, retries={"max_attempts": 0}),
    )  # fmt: skip


def invoke(runtime: Any, request: dict[str, Any], **options: str) -> dict[str, Any]:
    answer: dict[str, Any] = runtime.invoke_endpoint(
        EndpointName="ab", ContentType="application/json", Body=json.dumps(request).encode(), **options
    )
    return answer
