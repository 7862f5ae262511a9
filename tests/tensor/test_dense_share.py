"""MTTKRPs of a slab, in any order and with any factor changed between them, against the plain product."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor import dense_share
from polyadic.tensor.dense import Slab, khatri_rao, longest, mttkrp, share
from polyadic.tensor.dense_share import DenseShare

shapes = st.lists(st.integers(1, 9), min_size=2, max_size=5)
ranks = st.sampled_from([1, 3, 4, 8, 9, 16, 20, 40])
dtypes = st.sampled_from([torch.float32, torch.float64])


def random_tensor(shape: list[int], rank: int, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, list[Tensor]]:
    random = torch.Generator().manual_seed(seed)
    tensor = torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)
    return tensor, [torch.randn(rows, rank, generator=random, dtype=torch.float64).to(dtype) for rows in shape]


def exact(tensor: Tensor, factors: list[Tensor], mode: int) -> Tensor:
    return mttkrp(tensor.double(), [factor.double() for factor in factors], mode)


def assert_near(actual: Tensor, expected: Tensor) -> None:
    """Equal to the precision of `actual`, by the largest entry: sums of mixed signs cancel."""
    assert actual.shape == expected.shape
    size = max(1.0, expected.abs().max().item()) if expected.numel() else 1.0
    assert (actual.double() - expected).abs().max().item() <= 200 * torch.finfo(actual.dtype).eps * size


@pytest.mark.slow
@pytest.mark.parametrize("room", [4, 1, 10**9], ids=["usual", "ample", "none"])
@settings(max_examples=60, deadline=None)
@given(shape=shapes, rank=ranks, dtype=dtypes, sweeps=st.integers(1, 3))
def test_sweeps_give_every_mode_its_mttkrp_with_the_newest_factors(
    room: int, shape: list[int], rank: int, dtype: torch.dtype, sweeps: int
) -> None:
    """`room` decides between the three ways: one mode contracted, half of them, or none kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense_share, "PARTIAL_DIVISOR", room)
        tensor, factors = random_tensor(shape, rank, dtype)
        data, random = DenseShare(Slab.whole(tensor), World.alone()), torch.Generator().manual_seed(1)
        for _ in range(sweeps):
            for mode in range(len(shape)):
                assert_near(data.mttkrp(mode, factors), exact(tensor, factors, mode))
                factors[mode] = torch.randn(factors[mode].shape, generator=random, dtype=dtype)


@settings(max_examples=60, deadline=None)
@given(shape=shapes, steps=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=12))
def test_any_order_of_modes_is_served(shape: list[int], steps: list[tuple[int, bool]]) -> None:
    tensor, factors = random_tensor(shape, 3, torch.float64)
    data = DenseShare(Slab.whole(tensor), World.alone())
    for step, changes in steps:
        mode = step % len(shape)
        assert_near(data.mttkrp(mode, factors), exact(tensor, factors, mode))
        if changes:
            factors[mode] = factors[mode] + 1


@pytest.mark.parametrize("shape", [(40, 41, 42), (12, 13, 14, 15), (70, 80)])
@pytest.mark.parametrize("rank", [7, 16, 24])
def test_sizes_that_fill_the_kernels_blocks(shape: tuple[int, ...], rank: int) -> None:
    tensor, factors = random_tensor(list(shape), rank, torch.float32)
    data = DenseShare(Slab.whole(tensor), World.alone())
    for mode in range(len(shape)):
        assert_near(data.mttkrp(mode, factors), exact(tensor, factors, mode))


def test_a_wide_mode_takes_several_blocks_of_columns() -> None:
    tensor, factors = random_tensor([3, 5, 1200], 4, torch.float32)
    data = DenseShare(Slab.whole(tensor), World.alone())
    for mode in (2, 0, 1, 2):
        assert_near(data.mttkrp(mode, factors), exact(tensor, factors, mode))


def test_a_tensor_that_is_not_contiguous_is_read() -> None:
    tensor, factors = random_tensor([4, 3, 5], 2, torch.float64)
    turned = tensor.permute(2, 0, 1)
    factors = [factors[2], factors[0], factors[1]]
    data = DenseShare(Slab.whole(turned), World.alone())
    for mode in range(3):
        assert_near(data.mttkrp(mode, factors), exact(turned, factors, mode))


@settings(max_examples=25, deadline=None)
@given(shape=shapes, parts=st.integers(1, 4))
def test_the_products_of_slabs_add_up(shape: list[int], parts: int) -> None:
    tensor, factors = random_tensor(shape, 3, torch.float64)
    divided = longest(shape)
    by_part: list[list[Tensor]] = []
    for part in range(parts):
        start, stop = share(shape[divided], part, parts)
        slab = Slab(tensor.narrow(divided, start, stop - start).contiguous(), tuple(shape), divided, start)
        own = [factor[slab.rows] if n == divided else factor for n, factor in enumerate(factors)]
        data = DenseShare(slab, World.alone())
        by_part.append([data.mttkrp(mode, own) for mode in range(len(shape))])
    for mode, products in enumerate(zip(*by_part, strict=True)):
        together = torch.cat(products) if mode == divided else torch.stack(products).sum(0)
        assert_near(together, exact(tensor, factors, mode))


@pytest.mark.parametrize(("modes", "sweeps", "expected"), [([0, 1, 2, 3], 4, 5), ([0, 2, 3], 4, 1), ([1, 3], 6, 1)])
def test_a_pass_over_the_data_serves_as_many_products_as_there_are_modes(
    modes: list[int], sweeps: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But the first, which serves one less; and all of them where a mode is fixed: its factor stands for ever."""
    tensor, factors = random_tensor([40, 40, 40, 40], 2, torch.float32)
    data, passes = DenseShare(Slab.whole(tensor), World.alone()), []
    contract = DenseShare._contract

    def counted(self: DenseShare, used: range, *rest: Any) -> tuple[Tensor, Tensor | None]:
        passes.append(used)
        return contract(self, used, *rest)

    monkeypatch.setattr(DenseShare, "_contract", counted)
    data.seek(0, modes, 2)
    for number in range(sweeps):
        assert sorted(data.sweep(number)) == modes
        for mode in data.sweep(number):
            assert_near(data.mttkrp(mode, factors), exact(tensor, factors, mode))
            factors[mode] = factors[mode] * 1.1
    assert len(passes) == expected


@pytest.mark.parametrize("shape", [(40, 41, 42), (20, 21, 22), (4, 5, 6, 40)], ids=["turns", "stays", "cut"])
@pytest.mark.parametrize("sweeps", [0, 1, 2, 3, 4])
def test_a_share_that_seeks_goes_on_with_the_same_partial_product(sweeps: int, shape: tuple[int, ...]) -> None:
    tensor, factors = random_tensor(list(shape), 2, torch.float32)
    whole, again = (DenseShare(Slab.whole(tensor), World.alone()) for _ in range(2))
    whole.seek(0, range(len(shape)), 2)
    for number in range(sweeps):
        for mode in whole.sweep(number):
            whole.mttkrp(mode, factors)
            factors[mode] = factors[mode] * 1.1
    again.seek(sweeps, range(len(shape)), 2)
    for number in (sweeps, sweeps + 1):
        assert whole.sweep(number) == again.sweep(number)
        for mode in whole.sweep(number):
            assert torch.equal(whole.mttkrp(mode, factors), again.mttkrp(mode, factors))
            factors[mode] = factors[mode] * 0.9


def test_every_rank_takes_the_modes_in_the_same_order() -> None:
    """Also where one has few rows of the divided mode, or none."""
    tensor, _ = random_tensor([33, 70, 40], 2, torch.float32)
    orders = []
    for rows in (range(35), range(35, 70), range(0)):
        part = tensor[:, rows.start : rows.stop].contiguous()
        data = DenseShare(Slab(part, (33, 70, 40), 1, rows.start), World.alone())
        data.world = replace(data.world, size=2)
        data.seek(0, data.order(), 2)
        orders.append([data.sweep(number) for number in range(3)])
    assert orders == [[[0, 2, 1], [0, 1, 2], [0, 2, 1]]] * 3


def test_a_large_rank_needs_no_khatri_rao_product(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, rank = (24, 25, 26), 500
    tensor, factors = random_tensor(list(shape), rank, torch.float32)
    largest, made = [0], khatri_rao

    def noted(parts: list[Tensor]) -> Tensor:
        product = made(parts)
        largest[0] = max(largest[0], product.numel())
        return product

    monkeypatch.setattr(dense_share, "khatri_rao", noted)
    monkeypatch.setattr(dense_share, "KHATRI_RAO_NUMBERS", 0)  # So small a tensor may take them in any case.
    data = DenseShare(Slab.whole(tensor), World.alone())
    for mode in range(3):
        assert_near(data.mttkrp(mode, factors), exact(tensor, factors, mode))
    assert largest[0] <= math.prod(shape) // 4


def test_the_square_is_summed_in_float64() -> None:
    tensor = torch.full((300, 300, 60), 3.1, dtype=torch.float32)
    data = DenseShare(Slab.whole(tensor), World.alone())
    assert data.square().item() == pytest.approx(tensor.double().square().sum().item(), rel=1e-12)
    empty = DenseShare(Slab(torch.zeros(0, 3), (4, 3), 0, 4), World.alone())
    assert empty.square().item() == 0 and torch.equal(
        empty.mttkrp(1, [torch.ones(0, 2), torch.ones(3, 2)]), torch.zeros(3, 2)
    )
