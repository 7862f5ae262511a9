"""Sparse tensors made dense: on one rank, over several, and where they would be too large."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor import densify as densify_module
from polyadic.tensor.dense import Slab
from polyadic.tensor.densify import densify
from polyadic.tensor.sparse import SparseTensor
from tests.helpers.ranks import on_ranks


def test_a_slab_stays_as_it_is() -> None:
    slab = Slab.whole(torch.ones(2, 3))
    assert densify(slab, World.alone(), wanted_by="tucker") is slab


def test_the_largest_sparse_tensor_is_taken_and_a_larger_one_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse = SparseTensor.of(torch.eye(4))
    monkeypatch.setattr(densify_module, "MOST_ENTRIES", 16)
    assert torch.equal(densify(sparse, World.alone(), wanted_by="tucker").local, torch.eye(4))
    monkeypatch.setattr(densify_module, "MOST_ENTRIES", 15)
    with pytest.raises(UserError, match="4 x 4, has 16 entries with its zeros: tucker makes it dense"):
        densify(sparse, World.alone(), wanted_by="tucker")


def densify_on_each_rank(world: World) -> tuple[torch.Tensor, int, int]:
    random = np.random.default_rng(world.rank)
    indices = torch.from_numpy(np.stack([random.integers(0, rows, 6) for rows in (4, 11, 3)]).astype(np.int32))
    slab = densify(SparseTensor(indices, torch.ones(6), (4, 11, 3)), world, wanted_by="tucker")
    return slab.local, slab.mode, slab.start


@pytest.mark.slow
def test_every_rank_gets_the_nonzeros_of_its_rows() -> None:
    parts = on_ranks(3, densify_on_each_rank)
    expected = torch.zeros(4, 11, 3)
    for rank in range(3):
        random = np.random.default_rng(rank)
        for index in np.stack([random.integers(0, rows, 6) for rows in (4, 11, 3)]).T:
            expected[tuple(index)] += 1
    assert torch.equal(torch.cat([local for local, _, _ in parts], 1), expected)
    assert [mode for _, mode, _ in parts] == [1, 1, 1] and [start for _, _, start in parts] == [0, 3, 7]
