"""The kernel of small tensors makes the sweeps that torch's products make."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from polyadic.decomposition.tucker import small_sweeps
from polyadic.decomposition.tucker.fit import Method, tucker
from polyadic.decomposition.tucker.nonnegative import nonnegative_sweep
from polyadic.decomposition.tucker.orthogonal import hooi_sweep
from polyadic.decomposition.tucker.progress import Progress
from polyadic.decomposition.tucker.small_sweeps import SmallSweeps
from polyadic.distributed import World
from polyadic.tensor.dense import Slab
from polyadic.tensor.products import multi_mode_product
from polyadic.tensor.tucker_tensor import TuckerTensor
from tests.helpers.tucker_cases import low_rank, whole


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, list[int], int]:
    """A tensor of any order with entries on [0, 1), ranks, which may be larger than the others' product, and a seed."""
    shape = draw(st.lists(st.integers(1, 7), min_size=2, max_size=5))
    ranks = [draw(st.integers(1, min(rows, 3))) for rows in shape]
    seed = draw(st.integers(0, 2**32))
    tensor = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 1e-3
    return tensor, ranks, seed


def begun(shape: Sequence[int], ranks: Sequence[int], seed: int) -> tuple[Tensor, list[Tensor]]:
    random = torch.Generator().manual_seed(seed)
    factors = [torch.rand(rows, rank, generator=random).double() for rows, rank in zip(shape, ranks, strict=True)]
    return torch.rand(list(ranks), generator=random).double(), factors


@given(problems())
def test_nonnegative_sweeps_are_those_of_torch(problem: tuple[Tensor, list[int], int]) -> None:
    tensor, ranks, seed = problem
    core, factors = begun(tensor.shape, ranks, seed)
    small = SmallSweeps(tensor, ranks, float(tensor.norm()), [None] * tensor.ndim)
    small.begin(core, factors)
    for _ in range(3):
        core, explained = nonnegative_sweep(Slab.whole(tensor), factors, core, World.alone())
        small(small.sweeps + 1, 0.0)
        error = math.sqrt(max(0.0, 1 - explained / float(tensor.norm()) ** 2))
        assert small.error == pytest.approx(error, abs=1e-6)
    assert small.sweeps == 3
    torch.testing.assert_close(multi_mode_product(*small.model()), multi_mode_product(core, factors), atol=1e-6, rtol=0)


@given(problems())
def test_orthogonal_sweeps_are_those_of_torch(problem: tuple[Tensor, list[int], int]) -> None:
    tensor, ranks, seed = problem
    ranks = [min(rank, math.prod(ranks) // rank) for rank in ranks]
    if any(rank > math.prod(ranks) // rank for rank in ranks):
        ranks = [1] * len(ranks)
    core, factors = begun(tensor.shape, ranks, seed)
    factors = [torch.linalg.qr(factor)[0] for factor in factors]
    small = SmallSweeps(tensor, ranks, float(tensor.norm()))
    small.begin(core, factors)
    for _ in range(3):
        core, explained = hooi_sweep(Slab.whole(tensor), factors, core, World.alone())
        small(small.sweeps + 1, 0.0)
    assert small.error**2 == pytest.approx(max(0.0, 1 - explained / float(tensor.norm()) ** 2), abs=1e-9)
    ours, (_, columns) = multi_mode_product(*small.model()), small.model()
    torch.testing.assert_close(ours, multi_mode_product(core, factors), atol=1e-5, rtol=0)
    for factor in columns:
        torch.testing.assert_close(factor.T @ factor, torch.eye(factor.shape[1]).double(), atol=1e-12, rtol=0)


def test_a_basis_stands_for_the_larger_tensor() -> None:
    """Sweeps of a core with its bases are those of the tensor that they make, which the core holds whole."""
    tensor = low_rank((20, 18, 16), (3, 2, 4), positive=True)[0]
    found = tucker(tensor, (3, 2, 4))
    core, factors = begun(tensor.shape, (2, 2, 3), 1)
    norm, errors = float(tensor.norm()), []
    for x, bases in ((tensor, [None] * 3), (found.core, found.factors), (tensor, [torch.eye(20).double(), None, None])):
        small = SmallSweeps(x, (2, 2, 3), norm, bases)
        small.begin(core, factors)
        small(20, 0.0)
        errors.append(small.error)
    assert errors == pytest.approx(errors[:1] * 3, rel=1e-6) and errors[0] > 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_columns_beyond_the_rank_of_the_data_are_orthonormal_all_the_same(dtype: torch.dtype) -> None:
    tensor = torch.zeros(6, 5, 4, dtype=dtype)
    tensor[0, 0, 0] = 2.0
    model = tucker(tensor, (3, 2, 2), method="hooi")
    assert model.relative_error == pytest.approx(0, abs=1e-6)
    for factor in model.factors:
        torch.testing.assert_close(factor.T @ factor, torch.eye(factor.shape[1], dtype=dtype), atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", ["hooi", "nonnegative"])
def test_a_fit_that_nobody_watches_is_the_same_in_calls_of_any_length(
    method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor = low_rank((9, 8, 7), (3, 3, 3), 0.3, positive=True)[0]

    def fitted() -> TuckerTensor:
        return tucker(tensor, (2, 2, 2), method=method, max_iterations=30, stop_tol=0)

    expected = fitted()
    monkeypatch.setattr(small_sweeps, "MOST_AT_ONCE", 1)
    assert torch.equal(whole(fitted()), whole(expected))


def test_data_of_more_entries_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    slab = Slab.whole(torch.rand(6, 5, 4))
    assert SmallSweeps.of_all(slab, (2, 2, 2), World.alone(), nonnegative=False) is not None
    monkeypatch.setitem(small_sweeps.MOST_WORK, False, 239)
    assert SmallSweeps.of_all(slab, (2, 2, 2), World.alone(), nonnegative=False) is None
    assert SmallSweeps.of_all(slab, (2, 2, 2), World.alone(), nonnegative=True) is not None


def test_ranks_that_follow_from_tol_may_be_above_the_product_of_the_others() -> None:
    """Of a diagonal matrix, whose modes are truncated one after the other."""
    model = tucker(torch.diag(torch.tensor([10.0, 1.0, 1.0])), tol=0.15, method="hooi")
    assert model.relative_error == pytest.approx(0.140028, abs=1e-5)


@pytest.mark.parametrize(
    ("shape", "ranks"), [((12, 100, 20, 1), (1, 87, 1, 1)), ((4, 2, 100), (1, 1, 20)), ((9, 8, 7), (9, 8, 7))]
)
def test_nonnegative_ranks_of_any_size_are_fitted(shape: tuple[int, ...], ranks: tuple[int, ...]) -> None:
    tensor = low_rank(shape, [1] * len(shape), 0.1, positive=True)[0]
    model = tucker(tensor, ranks, method="nonnegative", max_iterations=5)
    assert model.relative_error < 0.2 and model.core.shape == ranks


def test_ranks_beyond_those_of_small_kernels_are_left_to_torch() -> None:
    slab = Slab.whole(torch.rand(30, 30, 30))
    assert SmallSweeps.of_all(slab, (20, 2, 20), World.alone(), nonnegative=True) is None
    assert SmallSweeps.of_all(slab, (2, 1, 5), World.alone(), nonnegative=False) is None


@pytest.mark.parametrize("method", ["hooi", "nonnegative"])
@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-4])
def test_the_error_of_every_sweep_of_float32_is_true(method: Method, noise: float) -> None:
    tensor = low_rank((12, 10, 9), (2, 2, 2), noise, positive=True)[0].float()
    seen: list[tuple[float, float]] = []

    def after(state: Progress) -> bool:
        model = multi_mode_product(state.core.double(), [factor.double() for factor in state.factors])
        misses = (tensor.double() - model).norm() / tensor.double().norm()
        seen.append((state.relative_error, float(misses)))
        return True

    tucker(tensor, (2, 2, 2), method=method, max_iterations=4, stop_tol=0, after_sweep=after)
    for told, true in seen:
        assert told == pytest.approx(true, abs=3e-7)


def test_a_fit_that_was_ended_goes_on_to_the_bit() -> None:
    """In float32 too, though the model that it returned then was rounded."""
    tensor = low_rank((6, 7, 8), (3, 3, 3), 0.5, positive=True)[0].float()
    how = {"method": "nonnegative", "stop_tol": 0.0}
    expected = tucker(tensor, (2, 3, 2), max_iterations=8, **how)  # type: ignore[arg-type]
    state = Progress()
    tucker(tensor, (2, 3, 2), max_iterations=3, progress=state, **how)  # type: ignore[arg-type]
    resumed = tucker(tensor, (2, 3, 2), max_iterations=8, progress=state, **how)  # type: ignore[arg-type]
    assert torch.equal(resumed.core, expected.core) and all(map(torch.equal, resumed.factors, expected.factors))
