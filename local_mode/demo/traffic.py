"""Requests to an endpoint through boto3, as an application sends them, and what turned out to be true of them."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_mode.demo.progress import counted, say
from local_mode.stopping import StopRequest

CAPTURE_SECONDS = 20.0


@dataclass(frozen=True)
class Request:
    """One instance, the inference id by which its actual is told later, and the actual: a number, or a list of them."""

    identity: str
    instance: Mapping[str, object]
    actual: object
    configuration: Mapping[str, object] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        more = {"configuration": self.configuration} if self.configuration else {}
        return json.dumps({"instances": [self.instance], **more}).encode()


@dataclass(frozen=True)
class Answer:
    """Who answered a request, and what."""

    request: Request
    variant: str
    prediction: Mapping[str, Any]


def ask(runtime: Any, endpoint: str, request: Request) -> Answer:
    answer = runtime.invoke_endpoint(
        EndpointName=endpoint,
        ContentType="application/json",
        Accept="application/json",
        InferenceId=request.identity,
        Body=request.body,
    )
    prediction = json.loads(answer["Body"].read())["predictions"][0]
    return Answer(request, answer["InvokedProductionVariant"], prediction)


def ask_all(runtime: Any, endpoint: str, requests: Sequence[Request], stop: StopRequest) -> list[Answer]:
    """Asks one after the other, and says who answered how many."""
    started = time.monotonic()
    answers = []
    for request in counted(list(requests), endpoint):
        stop.raise_if_requested()
        answers.append(ask(runtime, endpoint, request))
    counts = Counter(answer.variant for answer in answers)
    told = ", ".join(f"{variant} answered {count:,}" for variant, count in sorted(counts.items()))
    say(f"{len(answers):,} requests in {time.monotonic() - started:.1f} s: {told}")
    return answers


def write_actuals(requests: Sequence[Request], file: Path) -> None:
    """JSON Lines for `scripts.feedback`."""
    rows = (json.dumps({"inference_id": each.identity, "actual": each.actual}) for each in requests)
    file.write_text("".join(f"{row}\n" for row in rows))


def await_capture(s3: Any, bucket: str, prefix: str, count: int, stop: StopRequest) -> None:
    """Returns when so many answers are captured under the prefix, or after 20 seconds: a slow shadow misses some."""
    deadline = time.monotonic() + CAPTURE_SECONDS
    while _captured(s3, bucket, prefix) < count and time.monotonic() < deadline:
        stop.raise_if_requested()
        time.sleep(0.5)


def _captured(s3: Any, bucket: str, prefix: str) -> int:
    entries = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    bodies = (s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read() for entry in entries)
    return sum(body.count(b"\n") for body in bodies)
