"""Captured traffic for the A/B commands: an endpoint on moto, its capture and its actuals in moto's S3."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import boto3
import numpy as np

START = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()
ROLE = "arn:aws:iam::123456789012:role/R"


def make_endpoint(weights: Mapping[str, float], name: str = "ab", capture: bool = True) -> str:
    """An endpoint with these weights that captures into s3://bucket/capture; its ARN."""
    sagemaker, s3 = boto3.client("sagemaker"), boto3.client("s3")
    s3.create_bucket(Bucket="bucket")
    for variant in weights:
        sagemaker.create_model(ModelName=f"m-{variant}", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "i"})
    captured = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://bucket/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName=f"{name}-1",
        ProductionVariants=[
            {
                "VariantName": variant, "ModelName": f"m-{variant}", "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1, "InitialVariantWeight": weight,
            }
            for variant, weight in weights.items()
        ],
        **({"DataCaptureConfig": captured} if capture else {}),
    )  # fmt: skip
    return str(sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-1")["EndpointArn"])


def line(
    identity: str,
    seconds: float,
    request: Any,
    answer: Any,
    attributes: str | None = None,
    kind: str = "application/json",
) -> bytes:
    """One line as data capture writes it; request and answer are JSON, or text of another kind."""

    def part(content: Any, mode: str) -> dict[str, str]:
        text = content if isinstance(content, str) else json.dumps(content)
        return {
            "observedContentType": kind,
            "mode": mode,
            "data": text,
            "encoding": "JSON" if "json" in kind else "CSV",
        }

    told: dict[str, Any] = {"eventId": str(uuid.uuid4()), "inferenceId": identity}
    told["inferenceTime"] = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if attributes is not None:
        told["customAttributes"] = [attributes]
    data = {"endpointInput": part(request, "INPUT"), "endpointOutput": part(answer, "OUTPUT")}
    return json.dumps({"captureData": data, "eventMetadata": told, "eventVersion": "0"}).encode() + b"\n"


def put_capture(variant: str, lines: Iterable[bytes], endpoint: str = "ab", prefix: str = "capture") -> None:
    """Lines as one file of a variant's capture."""
    key = f"{prefix}/{endpoint}/{variant}/2026/11/28/12/{uuid.uuid4()}.jsonl"
    boto3.client("s3").put_object(Bucket="bucket", Key=key, Body=b"".join(lines))


def truth(identity: str, content: Any) -> str:
    """One line of actuals, as `scripts.feedback` writes it."""
    said = {"data": json.dumps(content), "encoding": "JSON"}
    return json.dumps({"groundTruthData": said, "eventMetadata": {"eventId": identity}, "eventVersion": "0"})


def put_actuals(content: Mapping[str, Any], endpoint: str = "ab") -> None:
    """Actuals by inference id, as `scripts.feedback` puts them."""
    lines = [truth(identity, value) for identity, value in content.items()]
    key = f"capture-actuals/{endpoint}/2026/11/29/00/{time.time_ns():020d}.jsonl"
    boto3.client("s3").put_object(Bucket="bucket", Key=key, Body="\n".join(lines).encode())


def entry(identity: str, seconds: float, value: float, attributes: str | None = None) -> bytes:
    """A captured question for an entry of a tensor, and its answer."""
    return line(identity, seconds, {"instances": [{"index": [1, 2]}]}, {"predictions": [{"value": value}]}, attributes)


def shadowed(requests: int, errors: Mapping[str, float], seed: int = 0) -> None:
    """Requests that every variant answered, with errors of its own deviation around an actual of 0."""
    chance = np.random.default_rng(seed)
    for variant, deviation in errors.items():
        values = chance.normal(0, deviation, requests)
        put_capture(variant, [entry(f"p{seed}-{n}", START + n, value) for n, value in enumerate(values)])
    put_actuals({f"p{seed}-{number}": 0.0 for number in range(requests)})


def drawn(requests: int, shares: Mapping[str, float], errors: Mapping[str, float], seed: int = 0) -> Sequence[str]:
    """Requests of which one variant each answered, drawn by shares; who answered."""
    chance = np.random.default_rng(seed)
    names: list[str] = chance.choice(list(shares), requests, p=list(shares.values())).tolist()
    values = [chance.normal(0, errors[name]) for name in names]
    for variant in shares:
        put_capture(variant, [
            entry(f"s{seed}-{number}", START + number, value)
            for number, (name, value) in enumerate(zip(names, values, strict=True)) if name == variant
        ])  # fmt: skip
    put_actuals({f"s{seed}-{number}": 0.0 for number in range(requests)})
    return names
