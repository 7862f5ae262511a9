"""Entries stand for a tensor in a search: all of them, or a sample that any number of ranks draws alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from polyadic.decomposition.cp import entries
from polyadic.decomposition.cp.entries import Entries, observed_entries
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.tensor.sparse import SparseTensor
from tests.helpers.ranks import on_ranks
from tests.helpers.tensors import low_rank, part_of, slab_of, some_of

SHAPE = (16, 9, 12)


def of(world: World, form: str) -> Entries:
    tensor = low_rank(SHAPE, 2, noise=0.1)[0]
    seen = some_of(tensor, 0.6)
    if form == "sparse":
        return Entries.of(Data.of(part_of(seen, world), world, observed=True), 1)
    known = SparseTensor(seen.indices, torch.ones_like(seen.values), seen.shape).to_dense() > 0
    gaps = torch.where(known, tensor, torch.nan)
    return Entries.of(Data.of(slab_of(gaps, world.rank, world.size), world, observed=True), 1)


def sampled(world: World) -> list[Entries]:
    entries.ENTRIES_PER_NUMBER = 10
    return [of(world, form) for form in ("dense", "sparse")]


def test_few_entries_are_all_taken() -> None:
    for form in ("dense", "sparse"):
        found = of(World.alone(), form)
        assert found.part == 1 and found.norm == pytest.approx(1) and np.linalg.norm(found.values) == pytest.approx(1)
        assert len(found.values) / found.density == pytest.approx(np.prod(SHAPE))


def test_a_sample_is_the_same_for_dense_and_sparse_data_and_any_number_of_ranks() -> None:
    alone = on_ranks(1, sampled)[0]
    answers = [alone, *on_ranks(3, sampled)]
    assert 200 < len(alone[0].values) < 600 and alone[0].part < 0.6
    for answer in answers:
        for found in answer:
            assert found.part == alone[0].part
            np.testing.assert_array_equal(found.places, alone[0].places)
            np.testing.assert_allclose(found.values, alone[0].values, rtol=1e-12)


def test_a_sample_takes_its_part_of_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.randn(40, 30, 50)
    monkeypatch.setattr(entries, "ENTRIES_PER_NUMBER", 100)
    monkeypatch.setattr(entries, "CHUNK_ENTRIES", 1000)
    data = Data.of(tensor, observed=True)
    found = Entries.of(data, 1)
    assert observed_entries(data) == 60_000 and len(found.values) == pytest.approx(12_000, rel=0.05)
    for first, rows in ((0, 40), (40, 30), (70, 50)):
        counts = np.bincount(found.places.ravel(), minlength=120)[first : first + rows]
        assert counts.min() > 0.75 * 12_000 / rows and counts.max() < 1.25 * 12_000 / rows


def test_factors_of_entries_are_those_of_the_data() -> None:
    """A model of a sample, its values divided by their norm, is one of the data over theirs."""
    tensor = low_rank(SHAPE, 2)[0]
    data = Data.of(tensor, observed=True)
    found = Entries.of(data, 1)
    smaller = Entries(SHAPE, found.places, found.values, 0.5, found.density, 0.3)
    factors: list[Tensor] = [torch.rand(rows, 1, dtype=torch.float64) for rows in SHAPE]
    whole = [factor.prod() for factor in smaller.expanded(data, factors)]
    product, halved = torch.stack([factor.prod() for factor in factors]).prod(), 0.5 ** (sum(SHAPE) / 3)
    assert float(torch.stack(whole).prod()) == pytest.approx(float(product) * halved, rel=1e-9)
