"""The endurance test in its short form: overload, ends and deaths under load, clients that misbehave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.load.server import Server
from scripts.soak import endurance

pytestmark = [pytest.mark.alone, pytest.mark.slow]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("POLYADIC_IMAGE", raising=False)
        with endurance.served("cp") as running:
            yield running


@pytest.fixture(scope="module")
def data() -> list[bytes]:
    return endurance.asked("cp", 2000)


def test_twice_the_capacity_is_answered_or_refused_and_nothing_is_lost(server: Server, data: list[bytes]) -> None:
    over = endurance.overload(server, data, 10)
    assert over.other_statuses == over.outcome.without_retry == 0
    assert over.outcome.statuses[200] and over.outcome.statuses[503]
    assert over.spread < 10 and over.growth < 0.15  # A heap settles within a minute; make soak asks for 5 %.


@pytest.mark.parametrize("doing", list(endurance.MISBEHAVING))
def test_others_are_served_beside_clients_that_misbehave(server: Server, data: list[bytes], doing: str) -> None:
    outcome = endurance.beside(server, data, endurance.MISBEHAVING[doing], 40)
    assert set(outcome.statuses) == {200} and not outcome.lost
    assert outcome.statuses[200] > 10


def test_others_are_served_beside_more_idle_connections_than_there_are_descriptors(
    server: Server, data: list[bytes]
) -> None:
    outcome = endurance.without_descriptors(server, data)
    assert set(outcome.statuses) == {200} and not outcome.lost


def test_who_is_accepted_is_answered_at_the_end(data: list[bytes]) -> None:
    with endurance.served("cp") as server:
        outcome, took = endurance.stopped_under_load(server, data)
    assert outcome.statuses[200] and not outcome.lost and took < 25


def test_a_killed_worker_is_replaced(data: list[bytes]) -> None:
    with endurance.served("cp", 2) as server:
        meanwhile, afterwards = endurance.killed_under_load(server, data)
    assert set(meanwhile.statuses) <= {200, 503}
    assert set(afterwards.statuses) == {200} and not afterwards.lost


@pytest.mark.parametrize("name", ["cp", "lda"])
def test_a_model_whose_files_are_replaced_is_served_as_it_was_loaded(name: str) -> None:
    outcome = endurance.replaced_under_load(name, 10)
    assert set(outcome.statuses) == {200} and not outcome.lost
