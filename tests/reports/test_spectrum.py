"""What the numbers of a spectrum are: weights by size, energies of the unfoldings, singular values at the bonds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from polyadic.reports.spectrum import bond_singular_values, spectra, strongest_first
from polyadic.tensor.numbered_names import numbered


def train_cores(shape: tuple[int, ...], rank: int) -> list[Tensor]:
    ranks = [1, *[rank] * (len(shape) - 1), 1]
    random = torch.Generator().manual_seed(0)
    return [torch.randn(ranks[n], rows, ranks[n + 1], generator=random) for n, rows in enumerate(shape)]


def test_the_weights_are_shown_by_size_with_their_numbers() -> None:
    (shown,) = spectra({"weights": torch.tensor([1.0, -3.0, 2.0]), "factor_0": torch.ones(1, 3)})
    assert shown.curves["weight"].tolist() == [3, 2, 1]
    assert shown.ticks == ("1", "2", "0")
    assert shown.title == "Weights of 3 components: 3 down to 1"
    (single,) = spectra({"weights": torch.tensor([-2.5]), "factor_0": torch.ones(1, 1)})
    assert single.title == "Weight of the one component: 2.5" and single.ticks == ("0",)


def test_components_of_equal_weights_stay_in_their_order() -> None:
    assert strongest_first(torch.tensor([1.0, 2.0, -2.0, 1.0])) == [1, 2, 0, 3]


def test_the_core_s_energy_is_that_of_the_unfoldings() -> None:
    dense = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    bases = [torch.linalg.svd(dense.movedim(n, 0).flatten(1), full_matrices=False)[0] for n in range(3)]
    core = torch.einsum("ijk,ia,jb,kc->abc", dense, *bases)
    (shown,) = spectra({"core": core, **numbered("factor", bases)})
    assert shown.logarithmic and list(shown.curves) == ["mode 0", "mode 1", "mode 2"]
    for mode in range(3):
        squares = torch.linalg.svdvals(dense.movedim(mode, 0).flatten(1)).square()
        np.testing.assert_allclose(shown.curves[f"mode {mode}"], (squares / squares.sum()).numpy(), rtol=1e-9)
    largest = (core.square().max() / core.square().sum()).item()
    assert shown.title == f"Energy of the 6 x 5 x 4 core: its largest entry holds {largest:.1%}"


def test_a_core_of_zeros_has_no_energy() -> None:
    (shown,) = spectra({"core": torch.zeros(2, 3)})
    assert {name: values.tolist() for name, values in shown.curves.items()} == {"mode 0": [0, 0], "mode 1": [0, 0, 0]}


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5), (2, 3, 2, 3, 2)])
def test_bond_singular_values_are_those_of_the_dense_unfoldings(shape: tuple[int, ...]) -> None:
    cores = train_cores(shape, 2)
    dense = cores[0].double()
    for core in cores[1:]:
        dense = torch.tensordot(dense, core.double(), 1)
    dense = dense.reshape(shape)
    values = bond_singular_values(cores)
    assert len(values) == len(shape) - 1
    for bond, sizes in enumerate(values, 1):
        expected = torch.linalg.svdvals(dense.flatten(0, bond - 1).flatten(1))[: len(sizes)]
        np.testing.assert_allclose(sizes, expected.numpy(), rtol=1e-9, atol=1e-12)


def test_a_train_shows_its_ranks_and_the_singular_values_at_each_bond() -> None:
    cores = train_cores((3, 4, 5), 2)
    ranks, sizes = spectra(numbered("core", cores))
    assert ranks.curves["rank"].tolist() == [2, 2] and ranks.ticks == ("0 | 1", "1 | 2")
    assert ranks.title == "Bond ranks of the train: 2 at most"
    assert list(sizes.curves) == ["bond 0 | 1", "bond 1 | 2"] and sizes.logarithmic
    np.testing.assert_array_equal(sizes.curves["bond 1 | 2"], bond_singular_values(cores)[1])


def test_the_cores_are_left_as_they_are() -> None:
    cores = [core.double() for core in train_cores((3, 4, 5), 2)]
    before = [core.clone() for core in cores]
    bond_singular_values(cores)
    for core, earlier in zip(cores, before, strict=True):
        assert torch.equal(core, earlier)
