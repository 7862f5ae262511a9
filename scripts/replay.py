"""`python -m scripts.replay ENDPOINT`: ask another model what was asked, and keep its answers beside the first."""

import argparse
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError

from scripts import weight_tags
from scripts.ab.capture import REPLAY_PREFIX, Captured, CaptureReader, Part, require_captured, write_line
from scripts.ab.objects import list_keys
from scripts.ab.places import bucket_and_prefix, capture_uri, replay_uri
from scripts.ab.propensities import model_starts
from scripts.ab.study import is_of_today, rehearsed
from scripts.aws import (
    CommandError,
    Invalid,
    UsageError,
    client,
    examples,
    explain,
    main,
    nearest,
    poll_argument,
    resource_name,
    s3_uri,
    say,
    shared_arguments,
    stamp,
    warn,
)
from scripts.endpoint import describe, failure, weights

PARALLEL, BATCH = 8, 500
SHOWN = 3
"""Reasons that are told one by one."""
RESTING = {"Completed", "Failed", "Stopped"}
Answer = tuple[Captured, Part | str]


def number(text: str) -> int:
    """Read a number of requests."""
    if not text.isdecimal() or int(text) < 1:
        raise Invalid(f"got {text!r}; allowed is a whole number of 1 or more")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.replay",
        description="Ask another variant, endpoint or model what an endpoint was asked. scripts.compare then pairs its "
        "answers with those that were captured: no user sees the new model, and a pair tells more than a split. Ask no "
        "model that was trained on what came of these requests.",
        parents=[shared_arguments(), poll_argument()],
        **examples(
            "replay ab --variant B", "replay ab --through candidate --as B", "replay ab --model demand-7 --as B"
        ),
    )
    parser.add_argument("endpoint", type=resource_name, metavar="NAME", help="whose captured requests are asked")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--variant", type=resource_name, help="a variant of the same endpoint")
    who.add_argument("--through", type=resource_name, metavar="ENDPOINT", help="another endpoint")
    who.add_argument("--model", type=resource_name, help="a SageMaker model, by a batch transform job")
    parser.add_argument("--as", type=resource_name, dest="name", metavar="VARIANT", help="default: the one asked")
    parser.add_argument("--last", type=number, metavar="N", help="only the newest N requests")
    parser.add_argument("--instance-type", default="ml.m5.large", help="of the transform job")
    parser.add_argument("--capture", type=s3_uri, metavar="S3URI", help="default: where the endpoint captures")
    parser.add_argument("--history", type=Path, default=Path("weights.jsonl"), metavar="FILE")
    return parser


def replay(arguments: argparse.Namespace) -> int:
    """Ask what was not asked yet, and keep each answer in capture's layout under the request's own id."""
    answers = rehearsed(arguments.variant)
    sagemaker, s3 = client("sagemaker", arguments, answers), client("s3", arguments, {})
    description = describe(sagemaker, arguments.endpoint)
    capture = (arguments.capture or capture_uri(description)).rstrip("/")
    if arguments.variant and arguments.variant not in weights(description):
        raise UsageError(
            f"endpoint {arguments.endpoint!r} has no variant {arguments.variant!r} that can be asked; "
            f"{nearest(arguments.variant, weights(description))} (a shadow is asked with --model)"
        )
    name = arguments.name or arguments.variant or arguments.through or arguments.model
    asked = _requests(arguments, s3, capture, name, _starts(arguments, sagemaker, description))
    if not asked:
        say(f"{name} has answered all captured requests")
        return 0
    say_all(f"{len(asked):,} requests of {arguments.endpoint} for {name}", arguments)
    ask = _transformed if arguments.model else _invoked
    done, reasons = 0, Counter[str]()
    for batch in _batches(ask(arguments, sagemaker, s3, asked, capture)):
        answered = [(request, part) for request, part in batch if isinstance(part, Part)]
        reasons.update(reason for _, reason in batch if isinstance(reason, str))
        _keep(s3, replay_uri(capture), arguments.endpoint, name, answered)
        done += len(answered)
        say_all(f"{done:,} of {len(asked):,} answered", arguments)
    _warn_of(reasons)
    return 1 if reasons and not done else 0


def _starts(arguments: argparse.Namespace, sagemaker: Any, description: Mapping[str, Any]) -> dict[str, float]:
    """Since when each variant has the model that it has now."""
    tags = weight_tags.all_tags(sagemaker, description["EndpointArn"])
    return model_starts(weight_tags.known(tags, arguments.history, arguments.endpoint).changes)


def _warn_of(reasons: Counter[str]) -> None:
    often = reasons.most_common(SHOWN)
    for reason, count in often:
        warn(f"{count} requests were not answered: {reason}")
    if rest := reasons.total() - sum(count for _, count in often):
        warn(f"{rest} requests were not answered for other reasons")


def say_all(message: str, arguments: argparse.Namespace) -> None:
    """Progress, of which a rehearsal has none."""
    if not arguments.dry_run:
        say(message)


def _requests(
    arguments: argparse.Namespace, s3: Any, capture: str, name: str, starts: Mapping[str, float]
) -> list[Captured]:
    """The captured requests, each once, that the new model has not answered, the oldest first."""
    captured = CaptureReader(s3, capture, arguments.endpoint).read()
    replays = CaptureReader(s3, replay_uri(capture), arguments.endpoint, replayed=True).read()
    if arguments.dry_run:
        return [_rehearsed_request()]
    require_captured(captured, capture, arguments.endpoint)
    answers = (each for each in (*captured, *replays) if each.variant == name)
    answered = {each.identity for each in answers if is_of_today(each, starts)}
    newest = list({each.identity: each for each in captured}.values())
    newest = newest[-arguments.last :] if arguments.last else newest
    known = {each.identity: each for each in newest if each.identity not in answered}
    asked = [each for each in known.values() if each.request is not None]
    if known and not asked:
        raise UsageError("the requests are not captured; deploy with `--capture`, which captures Input and Output")
    if left := len(known) - len(asked):
        warn(f"{left} requests are captured without their content, and cannot be asked again")
    return asked


def _rehearsed_request() -> Captured:
    return Captured("InferenceId-from-capture", "A", 0.0, Part("application/json", b"{}"), None, None)


def _invoked(arguments: argparse.Namespace, _: Any, __: Any, asked: Sequence[Captured], ___: str) -> Iterator[Answer]:
    """The answers of a variant or an endpoint, several at a time, in the order of the requests."""
    rehearsed = {"Body": _Rehearsed(), "ContentType": "application/json"}
    runtime = client("sagemaker-runtime", arguments, {"invoke_endpoint": rehearsed})
    target = {"TargetVariant": arguments.variant} if arguments.variant else {}

    def ask(request: Captured) -> Answer:
        assert request.request is not None
        body: Any = request.request.body.decode() if arguments.dry_run else request.request.body
        try:
            answer = runtime.invoke_endpoint(
                EndpointName=arguments.through or arguments.endpoint,
                ContentType=request.request.content_type or "application/json",
                Body=body,
                InferenceId=f"{REPLAY_PREFIX}{uuid.uuid4()}",
                **target,
            )
            return request, Part(answer.get("ContentType", ""), answer["Body"].read())
        except (ClientError, HTTPClientError) as error:
            return request, explain(error)

    if arguments.dry_run:
        yield from map(ask, asked)
        return
    with ThreadPoolExecutor(PARALLEL) as pool:
        yield from pool.map(ask, asked)


class _Rehearsed:
    def read(self) -> bytes:
        return b"{}"


def _transformed(
    arguments: argparse.Namespace, sagemaker: Any, s3: Any, asked: Sequence[Captured], capture: str
) -> Iterator[Answer]:
    """The answers of a model: one object for each request, one transform job for each content type."""
    kinds: dict[str, list[Captured]] = {}
    for request in asked:
        assert request.request is not None
        kinds.setdefault(request.request.content_type or "application/json", []).append(request)
    for kind, requests in kinds.items():
        job = f"replay-{stamp()}"
        place = f"{replay_uri(capture)}-transform/{job}"
        bucket, prefix = bucket_and_prefix(place)
        for number, request in enumerate(requests):
            assert request.request is not None
            body: Any = request.request.body.decode() if arguments.dry_run else request.request.body
            s3.put_object(Bucket=bucket, Key=f"{prefix}in/{number:07d}", Body=body)
        sagemaker.create_transform_job(**_transform_request(arguments, job, place, kind))
        if not arguments.dry_run:
            _wait(sagemaker, job, arguments.poll)
        yield from _outputs(s3, bucket, f"{prefix}out/", requests, kind) if not arguments.dry_run else ()


def _transform_request(arguments: argparse.Namespace, job: str, place: str, kind: str) -> dict[str, Any]:
    return {
        "TransformJobName": job,
        "ModelName": arguments.model,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{place}/in/"}},
            "ContentType": kind,
            "SplitType": "None",
        },
        "TransformOutput": {"S3OutputPath": f"{place}/out", "Accept": kind},
        "TransformResources": {"InstanceType": arguments.instance_type, "InstanceCount": 1},
    }


def _wait(sagemaker: Any, job: str, poll: float) -> None:
    status = ""
    while status not in RESTING:
        description = sagemaker.describe_transform_job(TransformJobName=job)
        if description["TransformJobStatus"] != status:
            status = description["TransformJobStatus"]
            say(f"transform job {job}: {status}")
        if status not in RESTING:
            time.sleep(poll)
    # A job that failed for some requests has answered the others.
    if status == "Failed":
        warn(f"transform job {job} failed: {failure(description)}")
    if status == "Stopped":
        raise CommandError(f"transform job {job} was stopped; start the replay again for the rest")


def _outputs(s3: Any, bucket: str, prefix: str, requests: Sequence[Captured], kind: str) -> Iterator[Answer]:
    there = {key.removeprefix(prefix).removesuffix(".out") for key in list_keys(s3, bucket, prefix)}
    for number, request in enumerate(requests):
        name = f"{number:07d}"
        if name not in there:
            yield request, "the transform job has no answer"
            continue
        body = s3.get_object(Bucket=bucket, Key=f"{prefix}{name}.out")["Body"].read()
        yield request, Part(kind, body)


def _keep(s3: Any, uri: str, endpoint: str, name: str, answered: Iterable[tuple[Captured, Part]]) -> None:
    bucket, prefix = bucket_and_prefix(uri)
    hours: dict[str, list[bytes]] = {}
    for request, answer in answered:
        moment = datetime.fromtimestamp(request.seconds, UTC)
        line = write_line(replace(request, answer=answer), str(uuid.uuid4()), f"{moment:%Y-%m-%dT%H:%M:%SZ}")
        hours.setdefault(f"{moment:%Y/%m/%d/%H}", []).append(line)
    for hour, lines in hours.items():
        key = f"{prefix}{endpoint}/{name}/{hour}/{uuid.uuid4()}.jsonl"
        s3.put_object(Bucket=bucket, Key=key, Body=b"".join(lines))


def _batches(answers: Iterator[Answer]) -> Iterator[list[Answer]]:
    batch: list[Answer] = []
    for answer in answers:
        batch.append(answer)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


if __name__ == "__main__":
    main(replay, parser())
