"""A CP tensor's entries, slices and embeddings against its reconstruction; TensorLy's form and back."""

from __future__ import annotations

import pytest
import tensorly
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.decomposition.cp.fit import cp
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import reconstruct
from tests.helpers.tensors import low_rank


def model(shape: tuple[int, ...] = (6, 5, 4), rank: int = 3) -> CPTensor:
    return cp(low_rank(shape, rank, noise=0.1)[0], rank, max_iterations=20)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), st.data())
def test_a_slice_is_that_of_the_whole(shape: list[int], data: st.DataObject) -> None:
    factors = low_rank(shape, 2, seed=1)[1]
    tensor = CPTensor(torch.tensor([2.0, -1.0], dtype=torch.float64), factors, 0.0)
    whole = reconstruct(tensor.weights, factors)
    index = [data.draw(st.none() | st.integers(0, rows - 1)) for rows in shape]
    expected = whole[tuple(slice(None) if row is None else row for row in index)]
    torch.testing.assert_close(tensor.slice(index), expected)
    assert tensor.shape == tuple(shape) and tensor.rank == 2


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("gaps", [False, True])
def test_an_embedding_of_the_models_own_slab_is_its_row(mode: int, gaps: bool) -> None:
    tensor = model()
    whole = reconstruct(tensor.weights, tensor.factors).movedim(mode, 0).clone()
    if gaps:
        whole[:, 0, 1] = torch.nan
    found, residual = tensor.embed(mode, whole)
    torch.testing.assert_close(found, tensor.factors[mode])
    assert residual.max() < 1e-10


def test_an_embedding_is_the_least_squares_one_and_tells_its_residual() -> None:
    tensor, slab = model(), torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found, residual = tensor.embed(0, slab)
    basis = torch.einsum("jr,kr,r->jkr", tensor.factors[1], tensor.factors[2], tensor.weights).reshape(20, 3)
    expected = torch.linalg.lstsq(basis, slab.reshape(20, 1)).solution[:, 0]
    torch.testing.assert_close(found[0], expected)
    rest = (slab.flatten() - basis @ expected).norm() / slab.norm()
    assert residual.item() == pytest.approx(rest.item())
    assert tensor.embed(0, torch.zeros(1, 5, 4))[1].item() == 0


@pytest.mark.parametrize("backend", ["numpy", "pytorch"])
def test_tensorly_reads_ours_and_we_read_theirs(backend: str) -> None:
    tensor = model()
    whole = reconstruct(tensor.weights, tensor.factors)
    with tensorly.backend_context("pytorch"):
        torch.testing.assert_close(tensorly.cp_to_tensor(tensor.to_tensorly()), whole)
    with tensorly.backend_context(backend):
        theirs = tensorly.decomposition.parafac(
            tensorly.tensor(whole.numpy()), 3, n_iter_max=50, init="svd", normalize_factors=backend == "numpy"
        )
        expected = torch.as_tensor(tensorly.cp_to_tensor(theirs))
    ours = CPTensor.from_tensorly(theirs)
    torch.testing.assert_close(reconstruct(ours.weights, ours.factors), expected)
    for factor in ours.factors:
        torch.testing.assert_close(factor.norm(dim=0), torch.ones(3, dtype=factor.dtype))
