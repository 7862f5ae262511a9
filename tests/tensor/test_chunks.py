"""The nonzeros of a tree in chunks for a GPU: each once, within a row, none long, their sums each in its own place."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor import chunks, fibres
from polyadic.tensor.chunks import Chunks
from polyadic.tensor.fibres import Tree, plant
from polyadic.tensor.sparse import SparseTensor

shapes = st.lists(st.integers(1, 12), min_size=2, max_size=4)
compressed = st.sampled_from([0.0, 1e9])


def crowded(shape: list[int], count: int, seed: int = 0) -> SparseTensor:
    """Nonzeros of which half lie in the first rows of the modes."""
    random = torch.Generator().manual_seed(seed)
    indices = torch.stack([torch.randint(0, rows, (count,), generator=random, dtype=torch.int32) for rows in shape])
    indices[0, : count // 2] = 0
    indices[:-1, : count // 4] = 0
    return SparseTensor(indices, torch.randn(count, generator=random), tuple(shape))


def roots(tree: Tree) -> Tensor:
    """The row of each nonzero."""
    first = tree.first.long() if tree.ends is None else tree.ends[tree.first.long()].long()
    return torch.arange(len(first) - 1).repeat_interleave(first.diff())


@settings(max_examples=150, deadline=None)
@given(shape=shapes, count=st.integers(0, 90), length=st.integers(1, 20), least=compressed, seed=st.integers(0, 99))
def test_every_nonzero_is_in_one_chunk_and_every_chunk_in_one_row(
    shape: list[int], count: int, length: int, least: float, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "SHORTEST", length)
        tree = plant(crowded(shape, count, seed), 0, compressed_from=least)
        cut = tree.chunks
    sizes = cut.edges.diff()
    assert cut.edges[0] == 0 and cut.edges[-1] == count and len(cut.rows) == len(sizes)
    assert not count or 1 <= int(sizes.min()) <= int(sizes.max()) <= length
    assert torch.equal(cut.rows.long().repeat_interleave(sizes), roots(tree))
    if tree.ends is not None:
        assert cut.fibres is not None
        begins = cut.edges[:-1]
        assert bool((tree.ends[cut.fibres] <= begins).all()) and bool((begins < tree.ends[cut.fibres + 1]).all())


@settings(max_examples=150, deadline=None)
@given(shape=shapes, count=st.integers(0, 90), length=st.integers(1, 20), seed=st.integers(0, 99))
def test_a_row_takes_its_sum_straight_or_from_lines_of_its_own(
    shape: list[int], count: int, length: int, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "SHORTEST", length)
        cut = plant(crowded(shape, count, seed), 0).chunks
    rows, numbers = shape[0], torch.bincount(cut.rows, minlength=shape[0])
    assert len(cut.targets.unique()) == len(cut.targets)
    assert torch.equal(cut.cut, (numbers > 1).nonzero().flatten())
    assert cut.extra == int(numbers[cut.cut].sum())
    lines = [torch.arange(*pair) for pair in pairwise(cut.lines.tolist())]
    for row, number in enumerate(numbers.tolist()):
        targets = cut.targets[cut.rows == row]
        if number > 1:
            assert torch.equal(targets, lines[cut.cut.tolist().index(row)])
        else:
            assert targets.tolist() == [row] * number
    assert cut.lines.tolist()[0] == rows and int(cut.lines[-1]) == rows + cut.extra


def test_a_large_tensor_is_cut_into_longer_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "PROGRAMS", 10)
    first = torch.tensor([0, 5_000, 5_000, 5_001])
    cut = Chunks.of(first, None, 5_001)
    assert cut.edges.tolist() == [*range(0, 5_000, 500), 5_000, 5_001]
    assert cut.targets.tolist() == [*range(3, 13), 2] and cut.run == 5_001 / 11


def test_other_values_keep_the_chunks() -> None:
    tree = plant(crowded([5, 6, 7], 60), 1)
    same = tree.chunks
    other = tree.with_values(torch.ones(60))
    assert other.chunks is same and other.edges == tree.edges
    assert torch.equal(other.values, torch.ones(60)) and len(tree.values.unique()) == 60


def test_more_rows_than_an_index_counts_are_refused() -> None:
    tensor = SparseTensor(torch.zeros(2, 1, dtype=torch.int32), torch.ones(1), (2**30, 2**30))
    with pytest.raises(UserError, match="2147483648 rows together: 2147483647 at most are taken. Use more ranks"):
        plant(tensor, 0)


def test_ends_count_further_where_an_index_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = crowded([3, 4, 5], 60)
    near = plant(tensor, 0, compressed_from=0)
    monkeypatch.setattr(fibres, "LARGEST", 59)
    far = plant(tensor, 0, compressed_from=0)
    assert near.ends is not None and near.ends.dtype == torch.int32
    assert far.ends is not None and far.ends.dtype == torch.int64 and torch.equal(near.ends.long(), far.ends)
    for field in fields(Chunks):
        one, other = getattr(near.chunks, field.name), getattr(far.chunks, field.name)
        assert torch.equal(one, other) if isinstance(one, Tensor) else one == other
