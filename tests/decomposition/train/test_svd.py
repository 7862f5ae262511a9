"""TT-SVD: exact cases, the tolerance, TensorLy as the oracle, any number of ranks and any divided mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import tensorly
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorly.decomposition import tensor_train as tensorlys
from torch import Tensor

from polyadic.decomposition.train import bases
from polyadic.decomposition.train.svd import tensor_train
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.dense import Slab, share
from polyadic.tensor.tensor_train import TensorTrain
from polyadic.tensor.train_ranks import feasible_ranks
from tests.helpers.ranks import on_ranks


def of_rank(shape: Sequence[int], rank: int, noise: float = 0.0, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    wide = [1, *([rank] * (len(shape) - 1)), 1]
    cores = [
        torch.randn(wide[n], rows, wide[n + 1], generator=random, dtype=torch.float64) for n, rows in enumerate(shape)
    ]
    tensor = TensorTrain(cores).full()
    return tensor + noise * tensor.square().mean().sqrt() * torch.randn(
        tensor.shape, generator=random, dtype=torch.float64
    )


def true_error(train: TensorTrain, tensor: Tensor) -> float:
    return float((tensor.double() - train.full().double()).norm() / tensor.double().norm())


def by_svd(tensor: Tensor, ranks: Sequence[int]) -> float:
    """The relative error of TT-SVD by full decompositions, from the left to the right."""
    rest, rank, squares = tensor.double().reshape(1, -1), 1, 0.0
    for n, kept in enumerate(ranks):
        _, values, right = torch.linalg.svd(rest.reshape(rank * tensor.shape[n], -1), full_matrices=False)
        squares += float(values[kept:].square().sum())
        rest, rank = values[:kept, None] * right[:kept], kept
    return math.sqrt(squares) / float(tensor.double().norm())


def slab_of(tensor: Tensor, mode: int, rank: int, ranks: int) -> Slab:
    first, last = share(tensor.shape[mode], rank, ranks)
    return Slab(tensor.narrow(mode, first, last - first).contiguous(), tuple(tensor.shape), mode, first)


ORDERS = [(9, 7), (6, 7, 8), (4, 5, 6, 3), (3, 4, 3, 5, 2), (40, 3, 50)]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)])
@pytest.mark.parametrize("limits", [{"max_rank": 3}, {"max_rank": 6}, {"tol": 1e-5}, {"tol": 1e-3, "max_rank": 4}])
@pytest.mark.parametrize("shape", ORDERS)
def test_a_train_is_recovered_with_its_ranks(
    shape: tuple[int, ...], limits: dict[str, Any], dtype: torch.dtype, tolerance: float
) -> None:
    tensor = of_rank(shape, 3).to(dtype)
    train = tensor_train(tensor, **limits)
    assert train.ranks == (1, *feasible_ranks(shape, 3, None), 1)
    assert true_error(train, tensor) < tolerance and train.relative_error < tolerance
    assert {core.dtype for core in train.cores} == {dtype}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.integers(0, 1000), st.floats(1e-6, 0.95), st.data())
def test_the_tolerance_is_respected_whatever_the_mode(
    shape: list[int], seed: int, tol: float, data: st.DataObject
) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mode = data.draw(st.integers(0, len(shape) - 1))
    train = tensor_train(Slab(tensor, tuple(shape), mode, 0), tol=tol)
    assert true_error(train, tensor) <= tol * (1 + 1e-9)
    assert train.relative_error == pytest.approx(true_error(train, tensor), abs=1e-9)


@pytest.mark.parametrize("tol", [0.3, 0.1, 1e-2, 1e-4, 1e-6])
def test_the_tolerance_is_respected_in_float32_by_no_more_rank_than_in_float64(tol: float) -> None:
    """1e-4 and 1e-6 drown in a Gram matrix of float32."""
    grid = torch.arange(20, dtype=torch.float64)
    tensor = 1 / (1 + grid[:, None, None] + grid[None, :, None] + grid[None, None, :])
    train = tensor_train(tensor.float(), tol=tol)
    assert true_error(train, tensor.float()) <= tol
    assert train.ranks == tensor_train(tensor, tol=tol).ranks
    assert max(train.ranks) < 12


@pytest.mark.parametrize("max_rank", [1, 2, 5, 100, [2, 3], [8, 1]])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_the_error_is_that_of_full_decompositions(max_rank: int | list[int], mode: int) -> None:
    tensor = of_rank((8, 9, 10), 4, noise=0.5)
    train = tensor_train(Slab(tensor, (8, 9, 10), mode, 0), max_rank=max_rank)
    kept = feasible_ranks((8, 9, 10), max_rank, None)
    assert train.ranks == (1, *kept, 1)
    assert true_error(train, tensor) <= 1.01 * by_svd(tensor, kept) + 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_error_is_no_worse_than_tensorlys(power: float, dtype: torch.dtype) -> None:
    """Noise, and spectra that fall slowly and fast; sizes at which the random range finder is taken."""
    random = torch.Generator().manual_seed(5)
    tensor = torch.randn(200, 60, 190, generator=random, dtype=torch.float64)
    for mode, rows in enumerate(tensor.shape):
        fall = torch.arange(1, rows + 1, dtype=torch.float64) ** -power
        turn = torch.linalg.qr(torch.randn(rows, rows, generator=random, dtype=torch.float64))[0] * fall
        tensor = torch.tensordot(tensor, turn, ([mode], [1])).movedim(-1, mode)
    tensor = tensor.to(dtype).contiguous()
    train = tensor_train(tensor, max_rank=6)
    with tensorly.backend_context("pytorch"):
        theirs = TensorTrain(list(tensorlys(tensor, [1, 6, 6, 1])))
    assert true_error(train, tensor) <= 1.01 * true_error(theirs, tensor)
    assert train.relative_error == pytest.approx(true_error(train, tensor), rel=1e-4)


def falling(small: int, large: int, power: float) -> Tensor:
    """A matrix whose singular values fall, large x small."""
    random = torch.Generator().manual_seed(3)
    left, right = (
        torch.linalg.qr(torch.randn(rows, small, generator=random, dtype=torch.float64))[0] for rows in (large, small)
    )
    matrix: Tensor = left * torch.arange(1, small + 1, dtype=torch.float64) ** -power @ right.T
    return matrix


@pytest.mark.parametrize("limits", [{"tol": 0.5}, {"tol": 0.1}, {"tol": 0.02, "max_rank": 40}, {"tol": 1e-4}])
@pytest.mark.parametrize("turned", [False, True])
def test_a_tolerance_on_two_large_sides_is_tried_with_few_columns(
    limits: dict[str, Any], turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bases, "LARGE_SIDE", 100)
    matrix = falling(400, 500, 1.0)
    matrix = (matrix.T if turned else matrix).contiguous().float()
    train = tensor_train(matrix, **limits)
    values = torch.linalg.svdvals(matrix.double()) / matrix.double().norm()
    tails = values.square().flip(0).cumsum(0).flip(0).sqrt()
    needed = int((tails > limits["tol"]).sum())
    assert train.ranks[1] <= min(needed + 2, limits.get("max_rank", 400))
    best = float(tails[train.ranks[1]]) if train.ranks[1] < 400 else 0.0
    assert true_error(train, matrix) <= max(limits["tol"], 1.01 * best if "max_rank" in limits else 0)


def test_the_range_finders_widths_have_fewer_flops_than_a_gram_matrix() -> None:
    assert bases.range_finder_widths(300, 20, strict=False) == [32]
    assert bases.range_finder_widths(100, 20, strict=False) == []
    assert bases.range_finder_widths(300, 20, strict=True) == [32]
    assert bases.range_finder_widths(5000, 10**9, strict=True) == [64, 128, 256, 512]
    assert bases.range_finder_widths(5000, 100, strict=True) == [64, 112]


@pytest.mark.parametrize("shape", [(12, 300, 3), (300, 5, 4), (2, 9, 300)])
def test_a_side_larger_than_the_rest_is_taken_from_the_other_side(shape: tuple[int, ...]) -> None:
    """The mode at the end has more rows than all others together, and is not the divided one."""
    tensor = of_rank(shape, 3, noise=0.2)
    for mode in range(3):
        train = tensor_train(Slab(tensor, shape, mode, 0), tol=0.3)
        assert true_error(train, tensor) <= 0.3
        exact = tensor_train(Slab(tensor, shape, mode, 0), tol=1e-9)
        assert true_error(exact, tensor) <= 1e-9


@pytest.mark.parametrize("mode", range(4))
def test_cores_are_orthonormal_on_both_sides_of_the_divided_mode(mode: int) -> None:
    train = tensor_train(Slab(of_rank((4, 5, 6, 3), 4, noise=0.3), (4, 5, 6, 3), mode, 0), max_rank=3)
    for n, core in enumerate(train.cores):
        eye = torch.eye(core.shape[2] if n < mode else core.shape[0], dtype=core.dtype)
        if n < mode:
            torch.testing.assert_close(core.flatten(0, 1).T @ core.flatten(0, 1), eye)
        elif n > mode:
            torch.testing.assert_close(core.flatten(1) @ core.flatten(1).T, eye)


def test_signs_do_not_depend_on_those_of_the_arithmetic() -> None:
    tensor = of_rank((6, 7, 8), 3, noise=0.1)
    for one, other in zip(
        tensor_train(tensor, max_rank=3).cores[:-1], tensor_train(-tensor, max_rank=3).cores, strict=False
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("factor", [1e-35, 1e-25, 1e-12, 1e12, 1e25, 1e35])
def test_the_unit_of_the_data_does_not_matter(factor: float) -> None:
    """Of float32, whose squares overflow at 1e19."""
    tensor = of_rank((6, 5, 4), 3, noise=0.3)
    expected = tensor_train(tensor.float(), max_rank=2)
    train = tensor_train((tensor * factor).float(), max_rank=2)
    assert train.relative_error == pytest.approx(expected.relative_error, rel=1e-4)
    torch.testing.assert_close(train.full() / factor, expected.full(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 6, 1, 5), (1, 1), (7, 1), (1, 1, 9)])
def test_modes_of_one_row_are_modes(shape: tuple[int, ...]) -> None:
    tensor = of_rank(shape, 1)
    for mode in range(len(shape)):
        train = tensor_train(Slab(tensor, shape, mode, 0), tol=1e-6)
        assert train.shape == shape and true_error(train, tensor) < 1e-12


@pytest.mark.parametrize(
    ("tensor", "limits", "message"),
    [
        (torch.ones(2, 3), {}, r"neither tol nor max_rank is given: set tol \(the relative error allowed\), max_rank"),
        (torch.ones(2, 3), {"max_rank": 0}, "max_rank is 0: it must be a whole number, 1 or more"),
        (
            torch.ones(2, 3, 4),
            {"max_rank": [2]},
            r"max_rank is \[2\]: give one number, or a list of 2",
        ),
        (torch.ones(2, 3), {"tol": -1.0}, r"tol is -1\.0: it must be a finite number, 0 or more"),
        (torch.ones(5), {"tol": 0.1}, "the tensor has 1 modes: a decomposition needs 2 or more"),
        (torch.ones(()), {"tol": 0.1}, "the tensor has 0 modes"),
        (torch.zeros(2, 3), {"tol": 0.1}, "the tensor is all zero: there is nothing to decompose"),
        (torch.zeros(2, 0, 3), {"tol": 0.1}, r"the tensor is empty: its shape is \(2, 0, 3\)"),
        (torch.tensor([[1.0, math.nan]]), {"tol": 0.1}, "NaN or infinite"),
        (torch.tensor([[1.0, math.inf]]), {"max_rank": 1}, "NaN or infinite"),
        (torch.full((40, 50, 60), 3e38), {"max_rank": 1}, "the sums over this tensor overflow float32: .* float64"),
    ],
)
def test_what_cannot_be_decomposed_is_refused(tensor: Tensor, limits: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        tensor_train(tensor, **limits)


SHAPES: list[tuple[int, ...]] = [(6, 7, 8), (90, 30, 100), (3, 2, 5, 3, 4), (9, 5), (2, 60, 3)]
LIMITS: list[tuple[dict[str, Any], float, torch.dtype]] = [
    ({"max_rank": 3}, 0.1, torch.float32),
    ({"max_rank": 3}, 0.0, torch.float64),
    ({"tol": 0.2}, 0.1, torch.float32),
    ({"tol": 1e-6}, 0.0, torch.float32),
    ({"tol": 1e-6}, 0.1, torch.float64),
]
CASES = [(shape, mode, *rest) for shape in SHAPES for mode in range(len(shape)) for rest in LIMITS]


def fit_on_each_rank(world: World, holders: int) -> list[TensorTrain]:
    """Every case over some ranks; those beyond them hold nothing."""
    trains = []
    for shape, mode, limits, noise, dtype in CASES:
        slab = slab_of(of_rank(shape, 3, noise).to(dtype), mode, min(world.rank, holders - 1), holders)
        if world.rank >= holders:
            slab = Slab(slab.local.narrow(mode, 0, 0), shape, mode, 0)
        trains.append(tensor_train(slab, world=world, **limits))
    return trains


@pytest.fixture(scope="module")
def alone() -> list[TensorTrain]:
    return fit_on_each_rank(World.alone(), 1)


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "holders"), [(2, 2), (4, 4), (3, 2)])
def test_any_number_of_ranks_equals_one(ranks: int, holders: int, alone: list[TensorTrain]) -> None:
    """Also where a rank holds nothing: the last of three, and of four those that a mode of two rows leaves out."""
    for trains in on_ranks(ranks, fit_on_each_rank, holders):
        for case, train, expected in zip(CASES, trains, alone, strict=True):
            assert train.ranks == expected.ranks, case
            assert (train - expected).norm() <= 1e-5 * expected.norm(), case
            assert train.relative_error == pytest.approx(expected.relative_error, rel=1e-5, abs=1e-6), case
            if case[3] == 0:
                for mine, other in zip(train.cores, expected.cores, strict=True):
                    torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))


def refused_on_each_rank(world: World) -> str:
    tensor = torch.ones(4, 5)
    if world.rank == 1:
        tensor[3, 2] = math.nan
    try:
        tensor_train(slab_of(tensor, 0, world.rank, world.size), max_rank=1, world=world)
    except UserError as error:
        return str(error)
    return ""


def test_all_ranks_refuse_what_one_holds() -> None:
    assert all("NaN or infinite" in answer for answer in on_ranks(2, refused_on_each_rank))
