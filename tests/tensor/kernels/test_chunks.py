"""Sorted nonzeros in chunks for a GPU: each nonzero once, each chunk within a row, the sum of each in its own place."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polyadic.tensor.kernels import chunks
from polyadic.tensor.kernels.chunks import Chunks
from polyadic.tensor.tree import Tree
from tests.helpers.tensors import crowded

shapes = st.lists(st.integers(1, 12), min_size=2, max_size=4)
nonzeros_per_fibre = st.sampled_from([0.0, 1e9])


def roots(tree: Tree) -> Tensor:
    """The row of each nonzero."""
    begins = tree.row_starts.long()
    if tree.fibre_starts is not None:
        begins = tree.fibre_starts[begins].long()
    return torch.arange(len(begins) - 1).repeat_interleave(begins.diff())


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    shape=shapes, count=st.integers(0, 90), length=st.integers(1, 20), least=nonzeros_per_fibre, seed=st.integers(0, 99)
)
def test_every_nonzero_is_in_one_chunk_and_every_chunk_in_one_row(
    shape: list[int], count: int, length: int, least: float, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "SHORTEST_NONZEROS", length)
        tree = Tree.of(crowded(shape, count, seed), 0, nonzeros_per_fibre=least)
        divided = tree.chunks
    sizes = divided.edges.diff()
    assert divided.edges[0] == 0 and divided.edges[-1] == count and len(divided.rows) == len(sizes)
    assert not count or 1 <= int(sizes.min()) <= int(sizes.max()) <= length
    assert torch.equal(divided.rows.long().repeat_interleave(sizes), roots(tree))
    if tree.fibre_starts is not None:
        assert divided.fibres is not None
        begins = divided.edges[:-1]
        assert bool((tree.fibre_starts[divided.fibres] <= begins).all())
        assert bool((begins < tree.fibre_starts[divided.fibres + 1]).all())


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(shape=shapes, count=st.integers(0, 90), length=st.integers(1, 20), seed=st.integers(0, 99))
def test_a_chunk_is_a_whole_row_or_has_a_line_of_its_own(shape: list[int], count: int, length: int, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "SHORTEST_NONZEROS", length)
        divided = Tree.of(crowded(shape, count, seed), 0).chunks
    rows, counts = shape[0], torch.bincount(divided.rows, minlength=shape[0])
    assert len(set(divided.targets.tolist())) == len(divided.targets)
    assert torch.equal(divided.cut_rows, (counts > 1).nonzero().flatten())
    assert divided.extra_lines == int(counts[divided.cut_rows].sum())
    lines = [torch.arange(*pair) for pair in pairwise(divided.lines.tolist())]
    for row, chunk_count in enumerate(counts.tolist()):
        targets = divided.targets[divided.rows == row]
        if chunk_count > 1:
            assert torch.equal(targets, lines[divided.cut_rows.tolist().index(row)])
        else:
            assert targets.tolist() == [row] * chunk_count
    assert divided.lines.tolist()[0] == rows and int(divided.lines[-1]) == rows + divided.extra_lines


def test_a_large_tensor_is_cut_into_longer_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MOST_CHUNKS", 10)
    row_starts = torch.tensor([0, 5_000, 5_000, 5_001])
    divided = Chunks.of(row_starts, None, 5_001)
    assert divided.edges.tolist() == [*range(0, 5_000, 500), 5_000, 5_001]
    assert divided.targets.tolist() == [*range(3, 13), 2] and divided.mean_run == 5_001 / 11
