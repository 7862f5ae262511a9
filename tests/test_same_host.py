"""Sums through shared memory against gloo's, and what a rank is told of one that has gone."""

from __future__ import annotations

import platform
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from polyadic import same_host
from polyadic.distributed import World, lost_peer
from polyadic.same_host import SameHost, open_together
from tests.helpers.ranks import on_ranks


def both_ways(world: World) -> list[str]:
    """What differs between the two ways to sum, over the world and over a part of it."""
    assert world.shared_memory is not None
    part = world.split(world.rank % 2)
    assert part.size == 1 or part.shared_memory is not None
    same_host.REGION_BYTES = 2**10
    random, wrong = torch.Generator().manual_seed(world.rank), []
    for ranks in (world, part):
        by_gloo = replace(ranks, shared_memory=None)
        for dtype in (torch.float32, torch.float64, torch.int64, torch.bfloat16):
            for shape in ((), (1,), (0,), (3, 5), (1000, 7)):
                given = (torch.randn(shape, generator=random) * 100).to(dtype)
                ours, theirs = ranks.sum_(given.clone()), by_gloo.sum_(given.clone())
                exact = not dtype.is_floating_point or ranks.size == 2  # Of more ranks, gloo adds in another order.
                tolerance = 0.0 if exact else 1000 * torch.finfo(dtype).eps
                if not torch.allclose(ours, theirs, rtol=0, atol=tolerance):
                    wrong.append(f"the sum of {shape} {dtype}")
                if not torch.equal(ranks.from_first_(given.clone()), by_gloo.from_first_(given.clone())):
                    wrong.append(f"the first of {shape} {dtype}")
    columns = torch.ones(4, 6)[:, ::2]
    if not torch.equal(world.sum_(columns), torch.full((4, 3), float(world.size))):
        wrong.append("the sum of what is not contiguous")
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_the_sums_are_those_of_gloo(ranks: int) -> None:
    assert on_ranks(ranks, both_ways, fresh=True) == [[]] * ranks


def rank_1_leaves(world: World) -> str:
    if world.rank == 1:
        return "left"
    began = time.monotonic()
    try:
        world.sum_(torch.ones(3))
    except RuntimeError as error:
        assert lost_peer(error)
        return f"{error} after {time.monotonic() - began:.0f} s"
    return "no error"


@pytest.mark.slow
def test_a_rank_that_has_gone_is_missed() -> None:
    said, _ = on_ranks(2, rank_1_leaves, fresh=True)
    assert said.startswith("rank 1 of this host has gone") and float(said.split()[-2]) < 30


def test_ranks_of_several_hosts_share_no_memory() -> None:
    assert on_ranks(2, shares_memory, hosts=2) == [False, False]
    assert World.alone().shared_memory is None


def shares_memory(world: World) -> bool:
    return world.shared_memory is not None


def test_where_a_rank_cannot_open_the_file_no_rank_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(same_host, "possible", lambda ranks, local_ranks: True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    wait = timedelta(seconds=1)
    memory = open_together(0, 2, 2, wait, from_first=lambda path: path, collect=lambda opened: [opened, True])
    assert memory is not None and list(tmp_path.iterdir()) == [], "the file goes when all ranks have opened it"
    other_failed = open_together(0, 2, 2, wait, from_first=lambda path: path, collect=lambda opened: [opened, False])
    assert other_failed is None and list(tmp_path.iterdir()) == []
    absent = tmp_path / "absent"
    opened: list[bool] = []

    def collect(own: bool) -> list[bool]:
        opened.append(own)
        return [True, own]

    own_failed = open_together(1, 2, 2, wait, from_first=lambda path: absent, collect=collect)
    assert own_failed is None and opened == [False]


@pytest.mark.parametrize(
    ("ranks", "local_ranks", "machine", "expected"),
    [(2, 2, "x86_64", True), (4, 2, "x86_64", False), (1, 1, "x86_64", False), (2, 2, "aarch64", False)],
)
def test_memory_is_shared_on_one_host_that_keeps_the_order_of_writes(
    ranks: int, local_ranks: int, machine: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert same_host.possible(ranks, local_ranks) is expected


@pytest.mark.slow
def test_a_living_rank_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.touch()
    memory, other = (SameHost(path, rank, 2, timedelta(seconds=0.6)) for rank in range(2))
    with pytest.raises(torch.distributed.DistNetworkError, match="rank 1 of this host has gone, or does not answer"):
        memory.sum_(torch.ones(1))
    assert other is not None  # Its process, this one, lives.
