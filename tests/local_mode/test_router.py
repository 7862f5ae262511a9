import json
import math
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from local_mode.endpoint import Endpoint, EndpointSettings, running_endpoint
from local_mode.errors import LocalModeError
from local_mode.front_door.runtime.calls import MAX_BODY_BYTES
from local_mode.front_door.runtime.routes import Choice, Route, VariantRoute
from local_mode.processes import ProcessBackend
from local_mode.stopping import Stopped, StopRequest
from local_mode.variants import Variant

MakeArchive = Callable[..., Path]


@contextmanager
def runtime(url: str) -> Iterator[Any]:
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


def invoke(client: Any, endpoint: str, **parameters: str) -> dict[str, Any]:
    """The stand-in's echo; the variant it names is the one that the router names."""
    answer = client.invoke_endpoint(EndpointName=endpoint, Body=b"{}", **parameters)
    echo: dict[str, Any] = json.loads(answer["Body"].read())
    assert answer["InvokedProductionVariant"] == echo["variant"]
    return echo


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory, standin: Path, archive: MakeArchive) -> Iterator[Endpoint]:
    model = archive(tmp_path_factory.mktemp("model"))
    variants = [
        Variant("champion", model, 3.0),
        Variant("challenger", model, 1.0),
        Variant("idle", model, 0.0),
    ]
    settings = EndpointSettings("forecasts", variants, seed=7)
    with running_endpoint(settings, ProcessBackend(standin), StopRequest()) as running:
        yield running


@pytest.fixture(scope="module")
def client(endpoint: Endpoint) -> Iterator[Any]:
    with runtime(endpoint.url) as opened:
        yield opened


def test_traffic_splits_by_weight_and_the_counts_say_so(endpoint: Endpoint, client: Any) -> None:
    before = counts(endpoint)
    invoked = Counter(invoke(client, "forecasts")["variant"] for _ in range(400))
    assert set(invoked) == {"champion", "challenger"}
    four_sigma = 4 * math.sqrt(400 * 0.75 * 0.25)
    assert abs(invoked["champion"] - 300) < four_sigma
    assert counts(endpoint) - before == invoked


def test_a_seed_repeats_the_split() -> None:
    route = Route([VariantRoute("a", 1, []), VariantRoute("b", 1, [])])
    first, second, other = (Choice(random.Random(seed)) for seed in (1, 1, 2))
    split = [first.variant("e", route, None) for _ in range(64)]
    assert split == [second.variant("e", route, None) for _ in range(64)]
    assert split != [other.variant("e", route, None) for _ in range(64)]


@pytest.mark.parametrize("variant", ["champion", "challenger", "idle"])
def test_target_variant_overrides_the_weights(client: Any, variant: str) -> None:
    assert invoke(client, "forecasts", TargetVariant=variant)["variant"] == variant


def test_headers_of_the_protocol_pass_both_ways_and_others_do_not(client: Any) -> None:
    answer = client.invoke_endpoint(
        EndpointName="forecasts",
        Body=b"{}",
        ContentType="application/jsonlines",
        Accept="application/json",
        CustomAttributes="user=7",
        InferenceId="id-1",
        TargetVariant="champion",
    )
    headers = {name.lower(): value for name, value in json.loads(answer["Body"].read())["headers"].items()}
    assert headers["content-type"] == "application/jsonlines"
    assert headers["accept"] == "application/json" and headers["accept-encoding"] == "identity"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "user=7"
    assert headers["x-amzn-sagemaker-inference-id"] == "id-1"
    assert "authorization" not in headers
    assert answer["CustomAttributes"] == "variant=champion"
    assert answer["ContentType"] == "application/json"
    assert "x-private" not in answer["ResponseMetadata"]["HTTPHeaders"]


def test_unknown_endpoint_is_a_validation_error(client: Any) -> None:
    with pytest.raises(ClientError, match="Endpoint nowhere .* not found; this is forecasts") as caught:
        client.invoke_endpoint(EndpointName="nowhere", Body=b"{}")
    assert_validation_error(caught.value)


def test_unknown_variant_is_a_validation_error(client: Any) -> None:
    with pytest.raises(ClientError, match="Variant winner .* champion, challenger, idle") as caught:
        client.invoke_endpoint(EndpointName="forecasts", Body=b"{}", TargetVariant="winner")
    assert_validation_error(caught.value)


def test_too_large_a_body_is_a_validation_error(client: Any) -> None:
    with pytest.raises(ClientError, match=f"has {MAX_BODY_BYTES + 1} bytes; at most {MAX_BODY_BYTES}") as caught:
        client.invoke_endpoint(EndpointName="forecasts", Body=bytes(MAX_BODY_BYTES + 1))
    assert_validation_error(caught.value)


def test_the_largest_body_arrives_whole(client: Any) -> None:
    answer = client.invoke_endpoint(EndpointName="forecasts", Body=bytes(MAX_BODY_BYTES))
    assert json.loads(answer["Body"].read())["length"] == MAX_BODY_BYTES


def test_the_containers_error_is_a_model_error(client: Any) -> None:
    with pytest.raises(client.exceptions.ModelError) as caught:
        client.invoke_endpoint(EndpointName="forecasts", Body=b"bad", TargetVariant="challenger")
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 400
    assert response["OriginalMessage"] == "instance 3 is no number"
    assert response["LogStreamArn"].endswith("/forecasts:log-stream:challenger")
    assert "client error (400)" in response["Error"]["Message"]


def test_another_operation_is_named_in_the_error(client: Any) -> None:
    with pytest.raises(ClientError, match="no operation at /endpoints/forecasts/async-invocations"):
        client.invoke_endpoint_async(EndpointName="forecasts", InputLocation="s3://bucket/key")


def test_weight_zero_everywhere_needs_a_target_variant(tmp_path: Path, standin: Path, archive: MakeArchive) -> None:
    settings = EndpointSettings("dark", [Variant("only", archive(tmp_path), 0.0)])
    with (
        running_endpoint(settings, ProcessBackend(standin), StopRequest()) as running,
        runtime(running.url) as client,
    ):
        with pytest.raises(ClientError, match="weight 0: name a TargetVariant") as caught:
            client.invoke_endpoint(EndpointName="dark", Body=b"{}")
        assert_validation_error(caught.value)
        assert invoke(client, "dark", TargetVariant="only")["variant"] == "only"


def test_a_server_that_dies_while_serving_is_a_model_error_and_reported(
    tmp_path: Path, standin: Path, archive: MakeArchive
) -> None:
    settings = EndpointSettings("e", [Variant("a", archive(tmp_path))])
    with (
        running_endpoint(settings, ProcessBackend(standin), StopRequest()) as running,
        runtime(running.url) as client,
    ):
        with pytest.raises(client.exceptions.ModelError) as caught:
            client.invoke_endpoint(EndpointName="e", Body=b"exit")
        assert caught.value.response["OriginalStatusCode"] == 0
        running.servers[0].program.process.wait(10)
        with pytest.raises(LocalModeError, match="variant 'a' ended with exit code 5"):
            running.raise_if_server_died()


def test_a_server_that_dies_at_start_is_reported_with_its_last_lines(
    tmp_path: Path, standin: Path, archive: MakeArchive, no_process_left: object
) -> None:
    variants = [Variant("good", archive(tmp_path / "1")), Variant("bad", archive(tmp_path / "2", die=True))]
    with pytest.raises(LocalModeError, match="'bad' ended with exit code 4(.|\n)*unknown algorithm 'x'"):
        start(EndpointSettings("e", variants), standin)


def test_a_server_that_never_becomes_healthy_is_reported(
    tmp_path: Path, standin: Path, archive: MakeArchive, no_process_left: object
) -> None:
    variants = [Variant("slow", archive(tmp_path, never_healthy=True))]
    with pytest.raises(LocalModeError, match="'slow' did not answer /ping with 200 within 1 seconds"):
        start(EndpointSettings("e", variants, healthy_seconds=1), standin)


def test_a_stop_while_starting_leaves_nothing(
    tmp_path: Path, standin: Path, archive: MakeArchive, no_process_left: object
) -> None:
    stop = StopRequest()
    stop.receive(2, None)
    with pytest.raises(Stopped):
        start(EndpointSettings("e", [Variant("slow", archive(tmp_path, never_healthy=True))]), standin, stop)


def test_a_taken_port_is_known_before_anything_starts(tmp_path: Path, standin: Path, archive: MakeArchive) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalModeError, match=f"cannot listen on port {port}"):
            start(EndpointSettings("e", [Variant("a", archive(tmp_path))], port=port), standin)


def test_a_truncated_archive_is_named(tmp_path: Path, standin: Path, archive: MakeArchive) -> None:
    model = archive(tmp_path)
    model.write_bytes(model.read_bytes()[:-20])
    with pytest.raises(LocalModeError, match=f"cannot read '{model}' .*cut short"):
        start(EndpointSettings("e", [Variant("a", model)]), standin)


def start(settings: EndpointSettings, standin: Path, stop: StopRequest | None = None) -> None:
    with running_endpoint(settings, ProcessBackend(standin), stop or StopRequest()):
        pytest.fail("the endpoint must not come up")


def counts(endpoint: Endpoint) -> Counter[str]:
    with urllib3.PoolManager() as pool:
        described = pool.request("GET", f"{endpoint.url}/endpoints/forecasts").json()
    assert described["EndpointName"] == "forecasts"
    return Counter({v["VariantName"]: v["Invocations"] for v in described["ProductionVariants"] if v["Invocations"]})


def assert_validation_error(error: ClientError) -> None:
    assert error.response["Error"]["Code"] == "ValidationError"
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
