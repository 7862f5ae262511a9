"""Tucker: exact cases, TensorLy as the oracle, tolerances, resuming."""

from __future__ import annotations

import itertools
import math
from copy import deepcopy
from typing import Any

import pytest
import tensorly
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorly.decomposition import tucker as tensorlys_tucker
from torch import Tensor

from polyadic.decomposition.tucker import error, orthogonal, subspaces, unfoldings
from polyadic.decomposition.tucker.fit import Method, tucker
from polyadic.decomposition.tucker.orthogonal import RangeFinder
from polyadic.decomposition.tucker.progress import Progress
from polyadic.tensor.dense import Slab, unfold
from polyadic.tensor.products import multi_mode_product
from tests.helpers.tucker_cases import each_case, low_rank, noting, spread_out, true_error, whole

FINDERS: list[tuple[Method, RangeFinder]] = [
    ("st-hosvd", "gram"),
    ("st-hosvd", "randomized"),
    ("st-hosvd", "auto"),
    ("hooi", "auto"),
]
each_finder = pytest.mark.parametrize(("method", "finder"), FINDERS)


@each_case
@each_finder
def test_an_exact_tensor_is_recovered_and_its_subspaces(
    shape: tuple[int, ...], ranks: tuple[int, ...], method: Method, finder: RangeFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orthogonal, "OVERSAMPLED_COLUMNS", 1)
    tensor, factors = low_rank(shape, ranks)
    model = tucker(tensor, ranks, method=method, range_finder=finder)
    assert model.shape == shape and model.core.shape == ranks
    assert true_error(model, tensor) < 1e-12
    for found, true in zip(model.factors, factors, strict=True):
        cosines = torch.linalg.svdvals(found.T @ torch.linalg.qr(true)[0])
        torch.testing.assert_close(cosines, torch.ones_like(cosines))


@each_case
@each_finder
def test_factors_are_orthonormal_and_the_core_is_ordered(
    shape: tuple[int, ...], ranks: tuple[int, ...], method: Method, finder: RangeFinder
) -> None:
    model = tucker(low_rank(shape, shape, noise=0.3)[0], ranks, method=method, range_finder=finder)
    for mode, factor in enumerate(model.factors):
        torch.testing.assert_close(factor.T @ factor, torch.eye(ranks[mode], dtype=factor.dtype))
        assert (factor.gather(0, factor.abs().argmax(0, keepdim=True)) > 0).all()
        slices = unfold(model.core, mode)
        gram = slices @ slices.T
        assert (gram - gram.diagonal().diag()).abs().max() < 1e-12 * gram.max()
        assert (gram.diagonal().diff() <= 0).all()


@each_case
@each_finder
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 5e-5)])
def test_the_relative_error_is_that_of_the_reconstruction(
    shape: tuple[int, ...],
    ranks: tuple[int, ...],
    method: Method,
    finder: RangeFinder,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    for noise in (0.5, 1e-2, 1e-5, 0.0):
        tensor = low_rank(shape, ranks, noise)[0].to(dtype)
        model = tucker(tensor, ranks, method=method, range_finder=finder)
        assert model.core.dtype == model.factors[0].dtype == dtype
        assert model.relative_error == pytest.approx(true_error(model, tensor), abs=tolerance, rel=1e-3)


def test_the_error_by_reconstruction_goes_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error, "BLOCK_ENTRIES", 20)
    tensor = low_rank((6, 9, 8), (3, 2, 4), 1e-9)[0]
    model = tucker(tensor, (3, 2, 4))
    assert model.relative_error == pytest.approx(true_error(model, tensor), rel=1e-6)


@pytest.mark.parametrize("blocks", [1, 1024])
@pytest.mark.parametrize("finder", ["gram", "randomized"])
def test_an_unfolding_is_read_a_few_columns_at_a_time(
    blocks: int, finder: RangeFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfoldings, "FEWEST_COLUMNS", blocks)
    monkeypatch.setattr(unfoldings, "BLOCK_NUMBERS", {"cpu": 4, "cuda": 4})
    tensor = low_rank((14, 16, 15), (3, 2, 4), 0.1)[0]
    expected = tensorlys_tucker(tensor.numpy(), (3, 2, 4), n_iter_max=1, tol=0)
    their_error = float(torch.from_numpy(tensorly.tucker_to_tensor(expected) - tensor.numpy()).norm() / tensor.norm())
    assert tucker(tensor, (3, 2, 4), range_finder=finder).relative_error == pytest.approx(their_error, abs=1e-3)


@each_case
def test_full_ranks_give_the_tensor_itself(shape: tuple[int, ...], ranks: tuple[int, ...]) -> None:
    tensor = low_rank(shape, shape)[0]
    full = [min(rows, math.prod(shape) // rows) for rows in shape]
    assert true_error(tucker(tensor, full), tensor) < 1e-13


def test_the_subspaces_are_those_of_the_singular_vectors() -> None:
    tensor = torch.randn(9, 30, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = tucker(tensor, (8, 30, 8), range_finder="gram")
    # Only mode 0 is cut: no other mode's truncation comes into it.
    vectors = torch.linalg.svd(unfold(tensor, 0))[0][:, :8]
    torch.testing.assert_close(model.factors[0] @ model.factors[0].T, vectors @ vectors.T)


tolerances = st.floats(-12, -0.01).map(lambda power: 10**power)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=2, max_size=4), st.floats(0.01, 1), tolerances)
def test_tol_is_kept_and_ranks_are_no_larger_than_it_needs(shape: list[int], decay: float, tol: float) -> None:
    tensor = spread_out(tuple(shape), decay)
    model = tucker(tensor, tol=tol)
    assert model.relative_error <= tol
    assert true_error(model, tensor) <= tol
    allowed = tol**2 * float(tensor.square().sum()) / tensor.ndim
    for mode, rank in enumerate(model.core.shape):
        values = torch.linalg.svdvals(unfold(tensor, mode)).square()
        # What the other modes have left out can only lower a tail.
        assert rank == 1 or values[rank - 1 :].sum() > 0.99 * allowed


@pytest.mark.parametrize("tol", [0.3, 1e-2, 1e-3, 1e-4, 2e-5])
def test_tol_is_kept_in_float32(tol: float) -> None:
    tensor = spread_out((12, 14, 13), 0.2, torch.float32)
    model = tucker(tensor, tol=tol)
    assert true_error(model, tensor) <= tol
    assert math.prod(model.core.shape) < tensor.numel() / 4


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
def test_ranks_far_down_a_spectrum_are_not_lost_in_a_gram_matrix(dtype: torch.dtype, tolerance: float) -> None:
    """Its squares drown singular values under 3e-4 of the largest in float32, and under 1e-8 in float64."""
    tensor = spread_out((12, 14, 13), 0.05, dtype)
    cut = 7 if dtype == torch.float64 else 4
    best = max(float(torch.linalg.svdvals(unfold(tensor, n).double())[cut:].norm() / tensor.norm()) for n in range(3))
    model = tucker(tensor, (cut, cut, cut), range_finder="gram")
    assert true_error(model, tensor) < 2 * best + tolerance


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("finder", ["gram", "randomized"])
def test_st_hosvd_is_within_1_percent_of_hooi(noise: float, finder: RangeFinder) -> None:
    tensor = low_rank((60, 50, 55), (5, 6, 7), noise)[0]
    best = tucker(tensor, (5, 6, 7), method="hooi", stop_tol=0, max_iterations=30)
    assert tucker(tensor, (5, 6, 7), range_finder=finder).relative_error < 1.01 * best.relative_error


def test_auto_sketches_modes_with_far_more_rows_than_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []

    def noted(*arguments: Any) -> Tensor:
        modes.append(arguments[3])
        return subspaces.sketch(*arguments)

    monkeypatch.setattr(orthogonal, "sketch", noted)
    tensor = low_rank((10, 200, 300), (2, 2, 2), 0.1)[0]
    tucker(tensor, (2, 2, 2))
    assert modes == [1]
    tucker(tensor, (2, 2, 2), range_finder="gram")
    assert modes == [1]
    tucker(tensor, tol=0.5)
    assert modes == [1]


def test_a_sketch_follows_from_the_seed() -> None:
    tensor = low_rank((30, 20, 25), (3, 3, 3), 2.0)[0]
    first, again, other = (tucker(tensor, (2, 2, 2), range_finder="randomized", seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.core, again.core) and not torch.equal(first.core, other.core)


@each_case
@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_hooi_is_as_good_as_tensorlys(shape: tuple[int, ...], ranks: tuple[int, ...], noise: float) -> None:
    tensor = low_rank(shape, ranks, noise)[0]
    theirs = tensorlys_tucker(tensor.numpy(), ranks, init="svd", n_iter_max=200, tol=1e-10)
    expected = float(torch.from_numpy(tensorly.tucker_to_tensor(theirs) - tensor.numpy()).norm() / tensor.norm())
    model = tucker(tensor, ranks, method="hooi", max_iterations=200, stop_tol=1e-10)
    assert model.relative_error < expected + 1e-3
    assert true_error(model, tensor) == pytest.approx(model.relative_error, abs=1e-12)


@each_case
@pytest.mark.parametrize("method", ["hooi", "nonnegative"])
def test_the_error_never_grows_in_a_sweep(shape: tuple[int, ...], ranks: tuple[int, ...], method: Method) -> None:
    tensor = low_rank(shape, ranks, 1.0, positive=True)[0]
    start = tucker(tensor, ranks).relative_error if method == "hooi" else math.inf
    errors = [start]
    tucker(tensor, ranks, method=method, stop_tol=0, max_iterations=30, after_sweep=noting(errors, "relative_error"))
    assert len(errors) == 31 and errors[-1] <= errors[1] + 1e-12 < 1
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(errors))


@pytest.mark.slow
def test_a_component_too_many_does_no_harm() -> None:
    tensor = low_rank((6, 5, 4), (1, 1, 1), positive=True)[0]
    methods: tuple[Method, ...] = ("st-hosvd", "hooi", "nonnegative")
    for method in methods:
        model = tucker(tensor, (3, 3, 3), method=method, max_iterations=300, stop_tol=1e-9)
        assert true_error(model, tensor) < 1e-4
        assert all(one.isfinite().all() for one in (model.core, *model.factors))


def test_a_tensor_of_one_entry_and_modes_of_one_row() -> None:
    tensor = torch.zeros(3, 1, 5)
    tensor[1, 0, 3] = -7
    model = tucker(tensor, (2, 1, 2))
    assert true_error(model, tensor) < 1e-6
    assert model.at(torch.tensor([[1, 0, 3], [0, 0, 0]])).tolist() == pytest.approx([-7, 0], abs=1e-5)


def test_a_mode_with_more_rows_than_the_others_together() -> None:
    tensor = low_rank((4, 100, 3), (2, 3, 2), 0.1)[0]
    turned = Slab(tensor.contiguous(), (4, 100, 3), 0, 0)
    expected = tucker(tensor, (2, 3, 2), method="hooi", stop_tol=0, max_iterations=30)
    model = tucker(turned, (2, 3, 2), method="hooi", stop_tol=0, max_iterations=30)
    assert model.relative_error == pytest.approx(expected.relative_error, abs=1e-9)
    assert true_error(tucker(turned, tol=1e-10), tensor) <= 1e-10


def test_a_fit_ends_when_its_change_is_under_stop_tol() -> None:
    tensor = low_rank((12, 13, 14), (4, 4, 4), 1.0)[0]
    errors = [tucker(tensor, (2, 3, 2)).relative_error]
    tucker(tensor, (2, 3, 2), method="hooi", stop_tol=1e-5, after_sweep=noting(errors, "relative_error"))
    changes = [abs(before - after) for before, after in itertools.pairwise(errors)]
    assert 2 < len(changes) < 100
    assert changes[-1] < 1e-5 <= min(changes[:-1])


def test_st_hosvd_makes_no_sweep_that_is_seen() -> None:
    sweeps: list[float] = []
    tensor = low_rank((30, 20, 25), (3, 3, 3), 0.1)[0]
    tucker(tensor, (3, 3, 3), range_finder="randomized", after_sweep=noting(sweeps, "iteration"))
    assert sweeps == []


def test_hooi_within_tol_begins_within_it() -> None:
    tensor = spread_out((9, 8, 7), 0.5)
    errors: list[float] = []
    model = tucker(tensor, tol=0.05, method="hooi", after_sweep=noting(errors, "relative_error"))
    assert model.relative_error <= max(errors) <= 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sweeps", [1, 3, 7])
@pytest.mark.parametrize("method", ["hooi", "nonnegative"])
def test_resuming_equals_never_stopping_to_the_bit(method: Method, sweeps: int, dtype: torch.dtype) -> None:
    tensor = low_rank((6, 7, 8), (3, 3, 3), 0.5, positive=True)[0].to(dtype)
    fixed: dict[str, Any] = {"method": method, "max_iterations": 8, "stop_tol": 0.0}
    kept: list[Progress] = []

    def stop(state: Progress) -> bool:
        kept.append(deepcopy(state))
        return state.iteration < sweeps

    expected = tucker(tensor, (2, 3, 2), **fixed)
    halfway = tucker(tensor, (2, 3, 2), after_sweep=stop, **fixed)
    assert len(kept) == sweeps and halfway.relative_error == kept[-1].relative_error
    assert halfway.relative_error == pytest.approx(true_error(halfway, tensor), abs=1e-5)
    resumed = tucker(tensor, (2, 3, 2), progress=kept[-1], **fixed)
    assert resumed.relative_error == expected.relative_error
    assert torch.equal(resumed.core, expected.core)
    assert all(map(torch.equal, resumed.factors, expected.factors))


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1e-35, 1e-25, 1e-12, 1e12, 1e25, 1e35])
@pytest.mark.parametrize("method", ["st-hosvd", "hooi", "nonnegative"])
def test_the_unit_of_the_data_does_not_matter(factor: float, method: Method) -> None:
    """Of float32, whose squares overflow at 1e19."""
    tensor = low_rank((6, 5, 4), (2, 2, 2), 0.5, positive=True)[0]
    expected = tucker(tensor.float(), (2, 2, 2), method=method, max_iterations=20, stop_tol=0)
    model = tucker((tensor * factor).float(), (2, 2, 2), method=method, max_iterations=20, stop_tol=0)
    assert model.relative_error == pytest.approx(expected.relative_error, abs=1e-4)
    size = float(expected.core.abs().max())
    torch.testing.assert_close(model.core.double() / factor, expected.core.double(), atol=1e-3 * size, rtol=0)


def test_a_tensor_that_is_not_contiguous_is_the_same_tensor() -> None:
    tensor = low_rank((6, 7, 8), (3, 3, 3), 0.3)[0]
    turned, straight = tucker(tensor.permute(2, 0, 1), (2, 3, 3)), tucker(tensor, (3, 3, 2))
    torch.testing.assert_close(whole(turned), whole(straight).permute(2, 0, 1), atol=0.5, rtol=0.5)
    assert turned.relative_error == pytest.approx(straight.relative_error, abs=1e-2)


def test_a_held_out_slab_is_folded_in() -> None:
    tensor, _ = low_rank((12, 9, 8), (3, 3, 3), 1e-3)
    model = tucker(tensor[1:], (3, 3, 3), method="hooi")
    rows, residual = model.embed(0, tensor[:1])
    assert residual.item() < 5e-3
    found = multi_mode_product(model.core, [rows, *model.factors[1:]])[0]
    assert float((found - tensor[0]).norm() / tensor[0].norm()) == pytest.approx(residual.item(), abs=1e-9)
    holey = tensor[:1].clone()
    holey[0, :4] = math.nan
    torch.testing.assert_close(model.embed(0, holey)[0], rows, atol=0.02 * float(rows.abs().max()), rtol=0)
