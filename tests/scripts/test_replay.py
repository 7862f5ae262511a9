"""Captured requests asked again: of a variant, of another endpoint, of a model by a transform job."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from scripts import aws, replay
from scripts.ab.capture import REPLAY_PREFIX, CaptureReader
from scripts.history import now
from tests.scripts.captured import START, entry, line, make_endpoint, put_actuals, put_capture

Command = Callable[..., tuple[int, str, str]]
Calls = Callable[[str], list[dict[str, Any]]]


class Runtime:
    """Answers 0.5, and for requests with some index fails."""

    def __init__(self, failing: Exception | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.failing = failing

    def invoke_endpoint(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        if self.failing is not None and len(self.asked) % 2:
            raise self.failing
        body = json.dumps({"predictions": [{"value": 0.5}]}).encode()
        return {"ContentType": "application/json", "Body": io.BytesIO(body)}


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Runtime]:
    """A runtime in SageMaker's place."""
    make = aws.client

    def place(failing: Exception | None = None) -> Runtime:
        runtime = Runtime(failing)
        monkeypatch.setattr(
            replay, "client", lambda name, *more: runtime if name == "sagemaker-runtime" else make(name, *more)
        )
        return runtime

    return place


def replayed(name: str) -> list[str]:
    reader = CaptureReader(boto3.client("s3"), "s3://bucket/capture-replay", "ab", replayed=True)
    return [each.identity for each in reader.read() if each.variant == name]


def captured(count: int, variant: str = "A") -> None:
    put_capture(variant, [entry(f"r{number:03}", START + number, 1.0) for number in range(count)])


def test_a_variant_is_asked_what_it_has_not_answered(command: Command, runtime: Callable[..., Runtime]) -> None:
    make_endpoint({"A": 1.0, "B": 0.0})
    captured(5)
    put_capture("B", [entry("r000", START, 1.0)])
    asked = runtime().asked
    code, out, err = command("replay", "ab", "--variant", "B")
    assert (code, err) == (0, "") and "4 of 4 answered" in out
    assert {each["TargetVariant"] for each in asked} == {"B"}
    assert all(each["InferenceId"].startswith(REPLAY_PREFIX) for each in asked)
    assert replayed("B") == ["r001", "r002", "r003", "r004"]
    code, out, _ = command("replay", "ab", "--variant", "B")
    assert code == 0 and "B has answered all captured requests" in out and len(asked) == 4


def test_another_endpoint_is_asked_and_its_answers_are_compared(
    command: Command, runtime: Callable[..., Runtime]
) -> None:
    make_endpoint({"A": 1.0})
    captured(150)
    put_actuals({f"r{number:03}": 0.0 for number in range(150)})
    asked = runtime().asked
    assert command("replay", "ab", "--through", "candidate", "--as", "B", "--last", "120")[0] == 0
    assert len(asked) == 120 and {each["EndpointName"] for each in asked} == {"candidate"}
    assert "TargetVariant" not in asked[0] and replayed("B")[0] == "r030"
    _, out, _ = command("compare", "ab", "--loss", "squared-error", "--json")
    (contest,) = json.loads(out)["challengers"]
    assert (contest["variant"], contest["design"], contest["requests"]) == ("B", "pairs", 120)
    assert contest["difference"] == pytest.approx(-0.75)


@pytest.mark.parametrize(
    "failing",
    [
        ClientError({"Error": {"Code": "ModelError", "Message": "no"}}, "InvokeEndpoint"),
        ReadTimeoutError(endpoint_url="http://here"),
    ],
)
def test_requests_that_fail_are_said_and_asked_again(
    command: Command, runtime: Callable[..., Runtime], failing: Exception
) -> None:
    make_endpoint({"A": 1.0, "B": 0.0})
    captured(10)
    runtime(failing)
    code, out, err = command("replay", "ab", "--variant", "B")
    assert code == 0 and "5 of 10 answered" in out and "warning: 5 requests were not answered: " in err
    runtime()
    assert "5 of 5 answered" in command("replay", "ab", "--variant", "B")[1]
    assert len(replayed("B")) == 10


def test_a_new_model_under_the_same_name_is_asked_anew_and_the_old_answers_count_no_longer(
    command: Command, runtime: Callable[..., Runtime]
) -> None:
    make_endpoint({"A": 1.0, "B": 0.0})
    captured(5)
    runtime()
    assert command("replay", "ab", "--variant", "B")[0] == 0
    time.sleep(1.1)
    moment = now()
    change = {
        "time": moment, "settled": moment, "endpoint": "ab", "action": "deploy", "models": {"B": "new"},
        "before": {"A": 1.0, "B": 0.0}, "after": {"A": 1.0, "B": 0.0},
    }  # fmt: skip
    Path("weights.jsonl").write_text(json.dumps(change) + "\n")
    _, out, _ = command("compare", "ab", "--loss", "squared-error")
    assert "5 answers are of models that served before under the same name" in out
    time.sleep(1.1)
    assert "5 of 5 answered" in command("replay", "ab", "--variant", "B")[1]


def test_a_model_answers_by_transform_jobs_one_for_each_content_type(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_endpoint({"A": 1.0})
    captured(3)
    put_capture("A", [line("csv", START + 9, "1,2\n", "0.1\n", kind="text/csv")])
    jobs: list[dict[str, Any]] = []
    s3 = boto3.client("s3")

    class Jobs:
        """SageMaker with transform jobs that answer all objects but the second."""

        def __getattr__(self, name: str) -> Any:
            return getattr(boto3.client("sagemaker"), name)

        def create_transform_job(self, **request: Any) -> None:
            jobs.append(request)
            place = request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"].removeprefix("s3://bucket/")
            for there in s3.list_objects_v2(Bucket="bucket", Prefix=place)["Contents"]:
                if not there["Key"].endswith("0000001"):
                    key = there["Key"].replace("/in/", "/out/") + ".out"
                    s3.put_object(Bucket="bucket", Key=key, Body=b'{"predictions": [{"value": 0.5}]}')

        def describe_transform_job(self, TransformJobName: str) -> dict[str, str]:
            return {"TransformJobStatus": "Failed", "FailureReason": "one file is broken."}

    make = aws.client
    monkeypatch.setattr(replay, "client", lambda name, *more: Jobs() if name == "sagemaker" else make(name, *more))
    code, out, err = command("replay", "ab", "--model", "demand-7", "--as", "B", "--poll", "0.01")
    assert code == 0 and "3 of 4 answered" in out
    assert "1 requests were not answered: the transform job has no answer" in err and "one file is broken" in err
    assert [job["TransformInput"]["ContentType"] for job in jobs] == ["application/json", "text/csv"]
    # A whole object is a request; of single records SageMaker and the front door want lines.
    assert all(job["TransformInput"]["SplitType"] == "None" and "BatchStrategy" not in job for job in jobs)
    assert {job["ModelName"] for job in jobs} == {"demand-7"} and replayed("B") == ["r000", "r002", "csv"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--variant", "Z"], "has no variant 'Z' that can be asked; known are A (a shadow is asked with --model)"),
        (["--variant", "A", "--last", "0"], "got '0'; allowed is a whole number of 1 or more"),
        (["--variant", "A", "--last", "-3"], "allowed is a whole number"),
        ([], "one of the arguments --variant --through --model is required"),
    ],
)
def test_what_is_refused(command: Command, options: list[str], message: str) -> None:
    make_endpoint({"A": 1.0})
    captured(3)
    code, _, err = command("replay", "ab", *options)
    assert code == 2 and message in err, err


def test_requests_that_were_not_captured_cannot_be_asked(command: Command) -> None:
    make_endpoint({"A": 1.0, "B": 0.0})
    code, _, err = command("replay", "ab", "--variant", "B")
    assert code == 1 and "nothing is captured under s3://bucket/capture/ab yet" in err
    document = json.loads(entry("r", START, 1.0))
    del document["captureData"]["endpointInput"]
    put_capture("A", [json.dumps(document).encode()])
    code, _, err = command("replay", "ab", "--variant", "B")
    assert code == 2 and "deploy with `--capture`, which captures Input and Output" in err


@pytest.mark.parametrize(
    ("who", "operation"),
    [
        (["--variant", "Z"], "InvokeEndpoint"),
        (["--through", "candidate"], "InvokeEndpoint"),
        (["--model", "demand-7"], "CreateTransformJob"),
    ],
)
def test_a_dry_run_prints_the_calls(
    command: Command, calls: Calls, nowhere: None, who: list[str], operation: str
) -> None:
    code, out, err = command("replay", "ab", *who, "--dry-run")
    assert (code, err) == (0, "")
    assert operation in [call["operation"] for call in calls(out)]
