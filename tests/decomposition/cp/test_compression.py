"""A core stands for its tensor: its bases are orthonormal, and its misfit that of the data."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.cp import compression
from polyadic.decomposition.cp.compression import Core, compress
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.tensor.dense import reconstruct
from polyadic.tensor.sparse import SparseTensor
from tests.helpers.ranks import on_ranks
from tests.helpers.tensors import low_rank, slab_of, some_of

SHAPES = [(30, 20), (20, 18, 22), (40, 3, 11), (9, 8, 10, 12)]


def check(core: Core, tensor: Tensor, rank: int, close: float) -> None:
    """A model of the core misses of the data what it misses of the core, and what the core has missed."""
    random = torch.Generator().manual_seed(0)
    factors = [torch.randn(rows, rank, generator=random, dtype=torch.float64) for rows in core.tensor.shape]
    ones = torch.ones(rank, dtype=torch.float64)
    within = (core.tensor - reconstruct(ones, factors)).square().sum().item()
    exact = tensor.double() / tensor.double().norm()
    outside = (exact - reconstruct(ones, core.expanded(Data.of(tensor), factors))).square().sum().item()
    assert outside == pytest.approx(within + core.missed, rel=close)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("work", [0, 2**60], ids=["sketches", "grams"])
def test_a_core_of_dense_data_holds_most_of_them(
    shape: tuple[int, ...], dtype: torch.dtype, work: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "GRAM_WORK", work)
    tensor = low_rank(shape, 3, noise=0.1)[0].to(dtype)
    core = compress(Data.of(tensor), 3, 0)
    assert core is not None and max(core.tensor.shape) <= 5
    check(core, tensor, 3, 1e-4)
    assert core.missed < 0.011
    for basis in core.bases:
        if basis is not None:
            eye = torch.eye(basis.shape[1], dtype=basis.dtype)
            torch.testing.assert_close(basis.T @ basis, eye, atol=1e-5, rtol=0)


def test_a_weak_component_of_an_exact_tensor_is_in_its_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "DOUBLE_WORK", 0)  # A Gram matrix in float32 comes first.
    factors = [torch.linalg.qr(torch.randn(rows, 2, dtype=torch.float64))[0] for rows in (30, 25, 20)]
    weak = reconstruct(torch.tensor([1.0, 1e-4], dtype=torch.float64), factors).float()
    core = compress(Data.of(weak), 2, 0)
    assert core is not None and core.missed == 0
    assert (1 - core.tensor.square().sum()).abs().item() < 1e-6
    lost = weak.double() - reconstruct(torch.ones(1, dtype=torch.float64), [factor[:, :1] for factor in factors])
    assert lost.norm() > 0.9e-4
    values = torch.linalg.svdvals(core.tensor.flatten(1))
    assert values[1].item() == pytest.approx(1e-4, rel=0.01)


def test_a_core_of_sparse_data_is_that_of_its_dense_form() -> None:
    tensor = low_rank((20, 18, 22), 3, noise=0.02)[0]
    core = compress(Data.of(SparseTensor.of(tensor)), 3, 0)
    assert core is not None and core.tensor.shape == (5, 5, 5)
    check(core, tensor, 3, 1e-6)
    assert core.missed < 2 * 0.02**2


def test_unknown_entries_and_large_cores_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = low_rank((9, 8, 7), 2)[0]
    assert compress(Data.of(some_of(tensor, 0.9), observed=True), 2, 0) is None
    monkeypatch.setattr(compression, "LARGEST_CORE", 4**3 - 1)
    assert compress(Data.of(tensor), 2, 0) is None


def of_rank(world: World) -> tuple[Tensor, float]:
    tensor = low_rank((20, 18, 22), 3, noise=0.1)[0]
    core = compress(Data.of(slab_of(tensor, world.rank, world.size), world), 3, 0)
    assert core is not None
    return core.tensor, core.missed


def test_every_rank_has_the_same_core() -> None:
    cores = on_ranks(2, of_rank)
    assert torch.equal(cores[0][0], cores[1][0])
    alone = of_rank(World.alone())
    assert cores[0][1] == pytest.approx(alone[1], rel=0.05)
