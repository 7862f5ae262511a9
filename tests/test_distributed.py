"""The collectives of a World, on one rank and on two."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from polyadic import distributed
from polyadic.distributed import World, lost_peer
from tests.helpers.ranks import RankError, on_ranks


def every_collective(world: World) -> dict[str, Any]:
    rank = world.rank
    torch.manual_seed(0)
    linear = torch.nn.Linear(2, 1, bias=False)
    parallel = world.data_parallel(linear)
    parallel(torch.full((1, 2), float(rank + 1))).sum().backward()
    summed = torch.tensor([1.0, rank])
    return {
        "rank": rank,
        "size": world.size,
        "local": (world.local_rank, world.local_size),
        "sum_": world.sum_(summed),
        "in place": summed,
        # Rank 0 has no rows, rank 1 has two.
        "rows": world.gather_rows(torch.full((2 * rank, 3), float(rank))),
        "integers": world.gather_rows(torch.arange(rank, rank + 2)),
        "no rows": world.gather_rows(torch.empty(0, 4)),
        "collect": world.collect({"rank": rank}),
        "from_first": world.from_first(f"from {rank}"),
        "first in place": world.from_first_(torch.full((2,), float(rank + 1))),
        # Rank r sends r + 1 rows to each rank.
        "exchanged": world.exchange(torch.full((world.size * (rank + 1), 2), float(rank)), [rank + 1] * world.size),
        "part of a sum": world.sum_part(torch.arange(3.0)[:, None] * (rank + 1), 2),
        "joined": world.join_parts(
            torch.arange(3.0)[2 * rank : 2 * rank + 2] if world.size > 1 else torch.arange(3.0), 2, 3
        ),
        "any": [world.any(flag) for flag in (False, rank == 0, rank == 1, True)],
        "gradient": linear.weight.grad,
    }


@pytest.fixture(scope="module", params=[1, 2])
def answers(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return on_ranks(request.param, every_collective)


@pytest.mark.slow
def test_ranks_know_their_place(answers: list[dict[str, Any]]) -> None:
    n = len(answers)
    assert [(answer["rank"], answer["size"]) for answer in answers] == [(rank, n) for rank in range(n)]
    assert [answer["local"] for answer in answers] == [(rank, n) for rank in range(n)]


@pytest.mark.slow
def test_sum_adds_over_the_ranks_in_place(answers: list[dict[str, Any]]) -> None:
    n = len(answers)
    for answer in answers:
        assert answer["sum_"].tolist() == [n, sum(range(n))]
        assert answer["in place"].tolist() == [n, sum(range(n))]


@pytest.mark.slow
def test_gather_rows_stacks_unequal_and_empty_shares(answers: list[dict[str, Any]]) -> None:
    n = len(answers)
    for answer in answers:
        assert answer["rows"].tolist() == [[float(rank)] * 3 for rank in range(n) for _ in range(2 * rank)]
        assert answer["rows"].shape[1] == 3
        assert answer["integers"].tolist() == [rank + k for rank in range(n) for k in range(2)]
        assert answer["integers"].dtype == torch.int64
        assert answer["no rows"].shape == (0, 4)


@pytest.mark.slow
def test_objects_are_collected_and_broadcast(answers: list[dict[str, Any]]) -> None:
    n = len(answers)
    for answer in answers:
        assert answer["collect"] == [{"rank": rank} for rank in range(n)]
        assert answer["from_first"] == "from 0"


@pytest.mark.slow
def test_rank_0s_numbers_replace_those_of_the_others(answers: list[dict[str, Any]]) -> None:
    assert [answer["first in place"].tolist() for answer in answers] == [[1.0, 1.0]] * len(answers)


@pytest.mark.slow
def test_rows_are_exchanged_in_the_order_of_the_ranks(answers: list[dict[str, Any]]) -> None:
    n = len(answers)
    for answer in answers:
        assert answer["exchanged"].tolist() == [[float(rank)] * 2 for rank in range(n) for _ in range(rank + 1)]


@pytest.mark.slow
def test_a_sum_is_cut_into_parts_that_join_again(answers: list[dict[str, Any]]) -> None:
    n = len(answers)
    summed = [[row * n * (n + 1) / 2] for row in range(3)]
    expected = [summed] if n == 1 else [summed[:2], summed[2:]]
    assert [answer["part of a sum"].tolist() for answer in answers] == expected
    assert [answer["joined"].tolist() for answer in answers] == [[0, 1, 2]] * n


def colored(world: World) -> list[Any]:
    part = world.split(world.rank % 2)
    return [part.rank, part.size, part.collect(world.rank), part.sum_(torch.tensor(float(world.rank))).item()]


def test_ranks_of_one_color_are_a_world_of_their_own() -> None:
    assert on_ranks(4, colored) == [[0, 2, [0, 2], 2], [0, 2, [1, 3], 4], [1, 2, [0, 2], 2], [1, 2, [1, 3], 4]]


@pytest.mark.slow
def test_any_sees_every_rank(answers: list[dict[str, Any]]) -> None:
    assert [answer["any"] for answer in answers] == [[False, True, len(answers) == 2, True]] * len(answers)


@pytest.mark.slow
def test_data_parallel_averages_gradients(answers: list[dict[str, Any]]) -> None:
    mean = sum(range(1, len(answers) + 1)) / len(answers)
    for answer in answers:
        assert answer["gradient"].tolist() == [[mean, mean]]


def test_alone_is_the_world_of_one() -> None:
    world = World.alone()
    assert (world.rank, world.size, world.device) == (0, 1, torch.device("cpu"))
    assert world.collect(3) == [3]
    world.leave()


@pytest.mark.parametrize(
    ("gpus", "ranks", "expected"), [(0, 2, "cpu"), (1, 1, "cuda:0"), (1, 2, "cpu"), (2, 2, "cuda:1")]
)
def test_a_hosts_ranks_all_have_a_gpu_or_none(
    gpus: int, ranks: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One rank on nccl and one on gloo would wait for each other for ever."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    assert distributed._device(ranks - 1, ranks) == torch.device(expected)
    if ranks > gpus > 0:
        with pytest.warns(UserWarning, match="2 ranks have 1 GPU"):
            distributed._device(0, ranks)


def fail_on_rank_1(world: World) -> None:
    if world.rank == 1:
        raise ValueError("as it should")
    world.sum_(torch.zeros(1))


def test_a_failure_of_one_rank_is_raised_with_its_text() -> None:
    with pytest.raises(RankError, match="rank 1: (.|\n)*ValueError: as it should|Connection closed by peer"):
        on_ranks(2, fail_on_rank_1)


def test_a_lost_peer_is_told_from_a_fault_of_ours() -> None:
    assert lost_peer(RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer"))
    assert lost_peer(torch.distributed.DistBackendError("NCCL error"))
    assert not lost_peer(RuntimeError("shapes cannot be multiplied"))
    assert not lost_peer(ValueError("gloo"))


def strided_sum(world: World) -> Tensor:
    part = torch.arange(12.0).reshape(3, 4)[:, :2]
    return world.sum_(part)


@pytest.mark.slow
def test_a_strided_tensor_is_summed_too() -> None:
    for answer in on_ranks(2, strided_sum):
        assert torch.equal(answer, 2 * torch.arange(12.0).reshape(3, 4)[:, :2])
