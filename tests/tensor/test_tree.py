"""Trees of sparse tensors: when fibres are compressed, how rows are divided, and what is refused."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor import tree as tree_module
from polyadic.tensor.kernels.chunks import Chunks
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.tree import LEAST_NONZEROS_PER_FIBRE, Tree, offsets
from tests.helpers.tensors import crowded, sparse


def test_a_tree_without_compressed_fibres_is_the_sorted_nonzeros() -> None:
    index = torch.tensor([[1, 0, 1], [3, 2, 0], [0, 4, 1]], dtype=torch.int32)
    tree = Tree.of(SparseTensor(index, torch.tensor([7.0, 8.0, 9.0]), (2, 4, 5)), 0)
    assert (tree.mode, tree.order, tree.own_start) == (0, 3, 0)
    assert tree.row_starts.tolist() == [0, 1, 3] and tree.fibre_starts is None
    assert tree.others.tolist() == [[4, 10], [2, 7], [5, 6]] and tree.values.tolist() == [8, 9, 7]


def test_compressed_fibres_keep_their_shared_indices_once() -> None:
    index = torch.tensor([[1, 1, 0, 1], [3, 3, 2, 0], [4, 1, 0, 1]], dtype=torch.int32)
    tensor = SparseTensor(index, torch.tensor([1.0, 2.0, 3.0, 4.0]), (2, 4, 5))
    tree = Tree.of(tensor, 0, nonzeros_per_fibre=0)
    assert tree.row_starts.tolist() == [0, 1, 3]
    assert tree.fibre_starts is not None and tree.fibre_starts.tolist() == [0, 1, 2, 4]
    assert tree.others.tolist() == [[4], [2], [5]]
    assert tree.leaves.tolist() == [6, 7, 7, 10] and tree.values.tolist() == [3, 4, 2, 1]


def test_the_last_level_is_the_longest_of_the_other_modes() -> None:
    tree = Tree.of(sparse((3, 9, 4), 0.5), 2, nonzeros_per_fibre=0)
    assert bool((tree.others < 3).all()) and bool((tree.leaves >= 3).all()) and bool((tree.leaves < 12).all())


def test_fibres_are_compressed_where_they_are_long() -> None:
    long = Tree.of(SparseTensor.of(torch.ones(3, 4, 9)), 0)
    assert long.fibre_starts is not None and len(long.others) == 12 and LEAST_NONZEROS_PER_FIBRE < 9
    short = Tree.of(sparse([30, 40, 50], 0.01), 0)
    assert short.fibre_starts is None and len(short.others) == len(short.values)
    assert long.bytes < short.bytes * len(long.values) / len(short.values)


def test_rows_are_divided_by_nonzeros() -> None:
    dense = torch.zeros(50, 20, 20)
    dense[7] = 1
    dense[:, 0, 0] = 1
    tree = Tree.of(SparseTensor.of(dense), 0)
    assert tree.edges[0] == 0 and tree.edges[-1] == 50 and tree.edges == sorted(tree.edges)
    assert tree.edges[1] in (7, 8), "row 7 holds most of the nonzeros"


def test_other_values_keep_edges_and_chunks() -> None:
    tree = Tree.of(crowded([5, 6, 7], 60), 1)
    chunks = tree.chunks
    other = tree.with_values(torch.ones(60))
    assert other.chunks is chunks and other.edges == tree.edges
    assert torch.equal(other.values, torch.ones(60)) and len(set(tree.values.tolist())) == 60


def test_offsets_are_the_first_rows_of_the_factors() -> None:
    assert offsets((3, 4, 5)) == [0, 3, 7]


def test_more_rows_than_an_index_counts_are_refused() -> None:
    tensor = SparseTensor(torch.zeros(2, 1, dtype=torch.int32), torch.ones(1), (2**30, 2**30))
    with pytest.raises(UserError, match="2147483648 rows together: 2147483647 at most are taken. Use more ranks"):
        Tree.of(tensor, 0)


def test_more_nonzeros_than_an_index_counts_have_starts_of_64_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = crowded([3, 4, 5], 60)
    short = Tree.of(tensor, 0, nonzeros_per_fibre=0)
    monkeypatch.setattr(tree_module, "LARGEST_INDEX", 59)
    long = Tree.of(tensor, 0, nonzeros_per_fibre=0)
    assert short.fibre_starts is not None and short.fibre_starts.dtype == torch.int32
    assert long.fibre_starts is not None and long.fibre_starts.dtype == torch.int64
    assert torch.equal(short.fibre_starts.long(), long.fibre_starts)
    for field in fields(Chunks):
        ours, theirs = getattr(short.chunks, field.name), getattr(long.chunks, field.name)
        assert torch.equal(ours, theirs) if isinstance(ours, Tensor) else ours == theirs
