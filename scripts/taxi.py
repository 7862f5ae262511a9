"""python -m scripts.taxi nyc_taxi_tensor.mat: a CP model of taxi trips, served and asked where taxis go.

The tensor (transdim's, origin x destination x hour) is decomposed under the Poisson loss by a job through the contract,
served by local_mode, and asked with boto3 for the five most likely destinations of an origin at an hour.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import scipy.io
from botocore.exceptions import BotoCoreError, ClientError

SETTINGS = {"algorithm": "cp", "rank": "20", "loss": "poisson", "max_iterations": "80", "stop_tol": "1e-6"}
START_SECONDS = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains the model, serves it, and prints its answer beside the trips that were counted."""
    parser = argparse.ArgumentParser(prog="scripts.taxi", description=__doc__)
    parser.add_argument("tensor", type=Path, help="nyc_taxi_tensor.mat, whose key `tensor` is 30 x 30 x 1464")
    parser.add_argument("--origin", type=int, default=6)
    parser.add_argument("--hour", type=int, default=1000, help="hours since the first one")
    parser.add_argument("--output", type=Path, default=Path("out/taxi"))
    parser.add_argument("--port", type=int, default=8510)
    parser.add_argument("--image", help="run in containers of this image instead of processes")
    given = parser.parse_args(arguments)
    trips = scipy.io.loadmat(given.tensor)["tensor"]
    archive = _train(trips, given.output, given.image)
    answer = _ask(archive, given)
    print(f"\ntrips from zone {given.origin} in hour {given.hour}: the model's five likeliest destinations\n")
    print("| destination | expected trips | counted |\n|---|---|---|")
    for destination in answer["top"]:
        counted = trips[given.origin, destination["index"], given.hour]
        print(f"| {destination['index']} | {destination['value']:.1f} | {counted} |")
    print(f"\nthe report with its pictures is in {given.output / 'report'}")
    return 0


def _train(trips: Any, output: Path, image: str | None) -> Path:
    """The model.tar.gz of a job, whose report is unpacked beside it."""
    (output / "data").mkdir(parents=True, exist_ok=True)
    np.save(output / "data" / "trips.npy", trips.astype(np.float32))
    command = [sys.executable, "-m", "local_mode", "train", "--data", f"train={output / 'data'}"]
    for name, value in SETTINGS.items():
        command += ["--hyperparameters", f"{name}={value}"]
    subprocess.run([*command, *_image(image), "--output", str(output)], check=True)
    with tarfile.open(output / "output.tar.gz") as archive:
        archive.extractall(output / "report", filter="data")
    return output / "model.tar.gz"


def _ask(archive: Path, given: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "local_mode", "endpoint", "taxi", "--port", str(given.port)]
    server = subprocess.Popen([*command, *_image(given.image), "--variant", f"taxi={archive}:1"])
    runtime = boto3.client(
        "sagemaker-runtime",
        endpoint_url=f"http://127.0.0.1:{given.port}",
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    question = {"instances": [{"index": [given.origin, None, given.hour], "top_k": 5}]}
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                answer = runtime.invoke_endpoint(
                    EndpointName="taxi", ContentType="application/json", Body=json.dumps(question)
                )
                prediction: dict[str, Any] = json.loads(answer["Body"].read())["predictions"][0]
                return prediction
            except (BotoCoreError, ClientError):
                if time.monotonic() > deadline or server.poll() is not None:
                    raise
                time.sleep(0.5)
    finally:
        server.terminate()
        server.wait()


def _image(image: str | None) -> list[str]:
    return ["--image", image] if image else []


if __name__ == "__main__":
    sys.exit(main())
