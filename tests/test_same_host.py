"""Sums through shared memory against gloo's, and what a rank is told of one that has gone."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from polyadic import same_host
from polyadic.distributed import World, lost_peer
from tests.helpers.ranks import on_ranks


def both_ways(world: World) -> list[str]:
    """What differs between the two ways to sum, over the world and over a part of it."""
    assert world.near is not None
    part = world.split(world.rank % 2)
    assert part.size == 1 or part.near is not None
    same_host.REGION = 2**10
    random, wrong = torch.Generator().manual_seed(world.rank), []
    for here in (world, part):
        for dtype in (torch.float32, torch.float64, torch.int64, torch.bfloat16):
            for shape in ((), (1,), (0,), (3, 5), (1000, 7)):
                mine = (torch.randn(shape, generator=random) * 100).to(dtype)
                ours, theirs = here.sum_(mine.clone()), replace(here, near=None).sum_(mine.clone())
                exact = not dtype.is_floating_point or here.size == 2  # Of more, gloo adds in another order.
                near = 0.0 if exact else 1000 * torch.finfo(dtype).eps
                if not torch.allclose(ours, theirs, rtol=0, atol=near):
                    wrong.append(f"the sum of {shape} {dtype}")
                if not torch.equal(here.from_first_(mine.clone()), replace(here, near=None).from_first_(mine.clone())):
                    wrong.append(f"the first of {shape} {dtype}")
    columns = torch.ones(4, 6)[:, ::2]
    if not torch.equal(world.sum_(columns), torch.full((4, 3), float(world.size))):
        wrong.append("the sum of what is not contiguous")
    return wrong


@pytest.mark.parametrize("ranks", [2, 4])
def test_the_sums_are_those_of_gloo(ranks: int) -> None:
    assert on_ranks(ranks, both_ways, fresh=True) == [[]] * ranks


def one_leaves(world: World) -> str:
    if world.rank == 1:
        return "left"
    began = time.monotonic()
    try:
        world.sum_(torch.ones(3))
    except RuntimeError as error:
        assert lost_peer(error)
        return f"{error} after {time.monotonic() - began:.0f} s"
    return "no error"


def test_a_rank_that_has_gone_is_missed() -> None:
    said, _ = on_ranks(2, one_leaves, fresh=True)
    assert said.startswith("rank 1 of this host has gone") and float(said.split()[-2]) < 30


def test_ranks_of_several_hosts_share_no_memory() -> None:
    assert on_ranks(2, shares_memory, hosts=2) == [False, False]
    assert World.alone().near is None


def shares_memory(world: World) -> bool:
    return world.near is not None
