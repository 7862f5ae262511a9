"""An endpoint under load while it is updated, reweighed and its servers die: no request is lost or answered wrongly."""

from __future__ import annotations

import math
import random
import re
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_mode.front_door.runtime.routes import Choice, Route, VariantRoute
from tests.local_mode.conftest import make_archive
from tests.local_mode.front_door.conftest import Door, make_config, make_model, settled

SEED, CLIENTS, REQUESTS_A_MINUTE = 14, 6, 1000
LONGEST_SECONDS = 10.0
# How long after its server died a variant may answer with errors: a server starts in about a second of an idle machine.
REVIVAL_SECONDS = 10.0


@dataclass
class Load:
    """Requests of several clients, each with its moments, who answered, or the error's code and whose it was."""

    door: Door
    endpoint: str
    answered: list[tuple[float, float, str]] = field(default_factory=list)
    failed: list[tuple[float, float, str, str]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Load:
        self.threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def _ask(self) -> None:
        client = boto3.client(
            "sagemaker-runtime", endpoint_url=self.door.url, region_name="us-east-1", aws_access_key_id="any",
            aws_secret_access_key="any", config=Config(retries={"total_max_attempts": 1}, read_timeout=70),
        )  # fmt: skip
        while not self.ended.is_set():
            began = time.monotonic()
            try:
                answer = client.invoke_endpoint(EndpointName=self.endpoint, Body=b"{}")
                answer["Body"].read()
                self.answered.append((began, time.monotonic(), answer["InvokedProductionVariant"]))
            except ClientError as error:
                code, stream = error.response["Error"]["Code"], error.response.get("LogStreamArn", "")
                told = re.search(r"Variant (\w+) of endpoint", str(error))
                variant = told[1] if told else stream.rpartition(":")[2]
                self.failed.append((began, time.monotonic(), code, variant))
            except Exception as error:  # No answer, or none of SageMaker's shape.
                self.failed.append((began, time.monotonic(), "lost", repr(error)))
            time.sleep(max(0.0, began + CLIENTS * 60 / (1.5 * REQUESTS_A_MINUTE) - time.monotonic()))
        client.close()


@dataclass
class History:
    """Which variants may answer, from each moment on; while a change is under way those of both sides."""

    moments: list[tuple[float, frozenset[str]]]

    def begin(self, after: Iterable[str]) -> None:
        self.moments.append((time.monotonic(), self.moments[-1][1] | frozenset(after)))

    def end(self, after: Iterable[str]) -> None:
        self.moments.append((time.monotonic(), frozenset(after)))

    def allowed(self, began: float, ended: float) -> set[str]:
        """The variants that had weight at some moment of a request."""
        found: set[str] = set()
        for number, (since, variants) in enumerate(self.moments):
            until = self.moments[number + 1][0] if number + 1 < len(self.moments) else math.inf
            if since <= ended and until >= began:
                found |= variants
        return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_updates_weights_and_deaths_lose_no_request(door: Door, tmp_path: Path) -> None:
    chance, sagemaker = random.Random(SEED), door.client("sagemaker")
    make_model(door, "sound", archive=make_archive(tmp_path))
    make_config(door, "ab", A=("sound", 1.0, 2), B=("sound", 1.0, 1))
    make_config(door, "bc", B=("sound", 1.0, 1), C=("sound", 1.0, 2))
    sagemaker.create_endpoint(EndpointName="busy", EndpointConfigName="ab")
    settled(door, "busy")
    history, config = History([(time.monotonic(), frozenset("AB"))]), "ab"
    deaths: dict[str, list[float]] = defaultdict(list)
    began = time.monotonic()
    with Load(door, "busy") as load:
        for step in _steps(chance):
            if step == "update":
                config = "bc" if config == "ab" else "ab"
                history.begin(config.upper())
                sagemaker.update_endpoint(EndpointName="busy", EndpointConfigName=config)
            elif step == "weights":
                weights = {name: chance.choice([0.0, 0.5, 2.0]) for name in config.upper()}
                weights[chance.choice(list(weights))] = 1.0
                heavy = [name for name, weight in weights.items() if weight]
                history.begin(heavy)
                sagemaker.update_endpoint_weights_and_capacities(
                    EndpointName="busy",
                    DesiredWeightsAndCapacities=[
                        {"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()
                    ],
                )
            else:
                variant = chance.choice(config.upper())
                deaths[variant].append(time.monotonic())
                with pytest.raises(ClientError, match="ModelError|ServiceUnavailable"):
                    door.client("sagemaker-runtime").invoke_endpoint(
                        EndpointName="busy", Body=b"exit", TargetVariant=variant
                    )
                continue
            described = settled(door, "busy")
            assert described["EndpointConfigName"] == config and "FailureReason" not in described, described
            history.end(each["VariantName"] for each in described["ProductionVariants"] if each["CurrentWeight"])
            time.sleep(0.2)
        time.sleep(max(0.0, max(map(max, deaths.values())) + REVIVAL_SECONDS - time.monotonic()))
        quiet_from = time.monotonic()
        time.sleep(3.0)
    seconds = time.monotonic() - began
    assert not [each for each in load.failed if each[2] not in ("ModelError", "ServiceUnavailable")], load.failed
    wrong = [each for each in load.answered if each[2] not in history.allowed(*each[:2])]
    assert not wrong, wrong[:5]
    asked = len(load.answered) + len(load.failed)
    assert asked > REQUESTS_A_MINUTE * seconds / 60, (asked, seconds)
    # Only a variant's own death makes errors, and not for longer than a new server takes to start.
    causeless = [
        each for each in load.failed if not any(0 <= each[1] - death <= REVIVAL_SECONDS for death in deaths[each[3]])
    ]
    assert not causeless, causeless[:5]
    assert sum(each[0] >= quiet_from for each in load.answered) > 20
    moments = [each[:2] for each in load.answered] + [each[:2] for each in load.failed]
    slowest = max(ended - began for began, ended in moments)
    assert slowest < LONGEST_SECONDS, slowest


def _steps(chance: random.Random) -> list[str]:
    steps = ["update"] * 10 + ["weights"] * 50 + ["kill"] * 5
    chance.shuffle(steps)
    return steps


def within(count: int, draws: int, share: float) -> bool:
    """Whether a count is within four standard deviations of its share of the draws."""
    return abs(count - draws * share) <= 4 * math.sqrt(draws * share * (1 - share))


@pytest.mark.parametrize("weights", [(0.9, 0.1), (1.0, 1.0, 2.0), (0.999, 0.001), (0.0, 3.0)])
def test_draws_keep_the_weights(weights: tuple[float, ...]) -> None:
    route = Route([VariantRoute(str(number), weight, []) for number, weight in enumerate(weights)])
    choice, draws = Choice(random.Random(SEED)), 100_000
    counts = Counter(choice.variant("e", route, None).name for _ in range(draws))
    assert all(within(counts[str(number)], draws, weight / sum(weights)) for number, weight in enumerate(weights))


def test_shadows_keep_their_share() -> None:
    chance: Any = random.Random(SEED)
    copies = sum(Choice(chance).one_of(0.1) for _ in range(100_000))
    assert within(copies, 100_000, 0.1)
    assert all(Choice(chance).one_of(1.0) for _ in range(1000)) and not any(
        Choice(chance).one_of(0) for _ in range(1000)
    )


@pytest.mark.slow
def test_a_thousand_connections_are_held(door: Door, tmp_path: Path) -> None:
    make_model(door, "held", archive=make_archive(tmp_path))
    make_config(door, "held", A=("held", 1.0, 1))
    door.client("sagemaker").create_endpoint(EndpointName="held", EndpointConfigName="held")
    settled(door, "held")
    port = int(door.url.rpartition(":")[2])
    body = b"{}"
    head = f"POST /endpoints/held/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(1000)]
        for connection in connections[::2]:
            connection.sendall(head.encode()[:30])  # Half of them stop in the middle of a request.
        seconds = []
        for _ in range(50):
            began = time.monotonic()
            answer = door.client("sagemaker-runtime").invoke_endpoint(EndpointName="held", Body=body)
            answer["Body"].read()
            seconds.append(time.monotonic() - began)
        assert sorted(seconds)[45] < 0.5, sorted(seconds)
        for number, connection in enumerate(connections):  # All of them are as they were.
            connection.sendall(head.encode()[30 if number % 2 == 0 else 0 :] + body)
            answered = b""
            while b'"variant": "A"' not in answered:
                part = connection.recv(65536)
                assert part, answered
                answered += part
            assert answered.startswith(b"HTTP/1.1 200")
