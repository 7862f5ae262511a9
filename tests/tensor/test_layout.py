"""The grid of blocks: every nonzero on one rank, every row updated by one rank."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polyadic.distributed import World
from polyadic.tensor import layout
from polyadic.tensor.layout import cuts, distribute, grid, of_slab, whole_factor
from tests.helpers.ranks import on_ranks
from tests.helpers.tensors import part_of, slab_of, sparse


@given(st.lists(st.integers(1, 10**6), min_size=2, max_size=5), st.integers(1, 64))
def test_the_grid_has_a_block_for_every_rank(shape: list[int], ranks: int) -> None:
    assert math.prod(grid(shape, ranks)) == ranks


@pytest.mark.parametrize(
    ("shape", "ranks", "expected"),
    [
        ((2000, 10000, 20000), 2, (1, 1, 2)),
        ((2000, 10000, 20000), 4, (1, 2, 2)),
        ((9, 9), 1, (1, 1)),
        ((100, 10), 6, (6, 1)),
    ],
)
def test_the_longest_mode_is_cut_first(shape: tuple[int, ...], ranks: int, expected: tuple[int, ...]) -> None:
    assert grid(shape, ranks) == expected


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(1, 8))
def test_cuts_cover_the_rows(counts: list[int], parts: int) -> None:
    edges = cuts(torch.tensor(counts), parts)
    assert len(edges) == parts + 1 and edges[0] == 0 and edges[-1] == len(counts) and edges == sorted(edges)


def test_cuts_halve_the_nonzeros() -> None:
    assert cuts(torch.tensor([1, 1, 1, 1, 4]), 2) == [0, 4, 5]
    assert cuts(torch.tensor([8, 1, 1, 1, 1]), 2) == [0, 1, 5]


def scatter(world: World) -> Any:
    tensor = sparse([7, 9, 8], 0.4)
    twice = part_of(tensor, world)
    block = distribute(twice, world)
    corner = torch.tensor([layer.start for layer in block.layers])[:, None]
    own = [(layer.start + layer.own.start, layer.start + layer.own.stop) for layer in block.layers]
    factor = torch.arange(27.0).reshape(9, 3)
    layer = block.layers[1]
    mine = factor[layer.held]
    summed = layer.combine(torch.ones_like(mine))
    spread = layer.spread(mine[layer.own])
    whole = whole_factor(layer, mine[layer.own], world, 9)
    return block.tensor.indices + corner, block.tensor.values, own, summed, torch.equal(spread, mine), whole


def scatter_apart(world: World) -> Any:
    layout.ROWS_UPDATED_EVERYWHERE = 0
    return scatter(world)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_every_nonzero_and_every_row_has_one_rank(ranks: int) -> None:
    answers = on_ranks(ranks, scatter_apart, fresh=True) if ranks > 1 else [scatter(World.alone())]
    tensor = sparse([7, 9, 8], 0.4)
    found = torch.zeros(tensor.shape, dtype=torch.float64)
    for indices, values, *_ in answers:
        assert (found[tuple(indices.long())] == 0).all()
        found[tuple(indices.long())] = values
    assert torch.equal(found, tensor.to_dense())
    for mode, rows in enumerate(tensor.shape):
        owned = sorted(row for _, _, own, *_ in answers for row in range(*own[mode]))
        assert owned == list(range(rows))
    parts = grid(tensor.shape, ranks)
    for *_, summed, spread, whole in answers:
        assert (summed == ranks // parts[1]).all() and spread
        assert torch.equal(whole, torch.arange(27.0).reshape(9, 3))


@pytest.mark.slow
def test_a_short_mode_that_all_ranks_hold_is_updated_by_all() -> None:
    for *_, own, summed, spread, whole in on_ranks(2, scatter):
        assert own[0] == (0, 7) and own[2] == (0, 8), "mode 1 alone is cut"
        assert (summed == 1).all() and spread and torch.equal(whole, torch.arange(27.0).reshape(9, 3))


def test_a_slab_holds_its_rows_of_one_mode_and_all_of_the_others() -> None:
    slab = slab_of(torch.zeros(3, 8, 4), 1, 2)
    layers = of_slab(slab, World.alone())
    assert [layer.held for layer in layers] == [slice(0, 3), slice(4, 8), slice(0, 4)]
    assert [layer.own for layer in layers] == [slice(0, 3), slice(0, 4), slice(0, 4)]
