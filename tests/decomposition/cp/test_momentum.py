"""Sweeps over observed entries that begin ahead: never a higher objective, fewer of them, and exact resumption."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.sweep import Sweep
from polyadic.tensor.products import multi_mode_product

als = importlib.import_module("polyadic.decomposition.cp.als")


def holey(seed: int, cosine: float = 0.9, shape: tuple[int, ...] = (20, 18, 16), rank: int = 3) -> Tensor:
    """A tensor of factors that lean towards each other, 1 % noise, half of its entries unknown."""
    random = torch.Generator().manual_seed(seed)
    factors = [torch.randn(rows, rank, generator=random, dtype=torch.float64) for rows in shape]
    factors = [cosine**0.5 * factor[:, :1] + (1 - cosine) ** 0.5 * factor for factor in factors]
    core = torch.zeros([rank] * len(shape), dtype=torch.float64)
    core[(torch.arange(rank),) * len(shape)] = 1.0
    tensor = multi_mode_product(core, factors)
    rough = torch.randn(shape, generator=random, dtype=torch.float64)
    tensor += 0.01 * tensor.norm() / rough.norm() * rough
    return torch.where(torch.rand(shape, generator=random) < 0.5, tensor, torch.nan)


def swept(tensor: Tensor, sweeps: int, seed: int = 0, **how: Any) -> list[float]:
    """The errors after each sweep."""
    errors: list[float] = []

    def after(state: Progress) -> bool:
        errors.append(state.relative_error)
        return True

    cp(tensor, 3, method="als", observed=True, max_iterations=sweeps, stop_tol=0, seed=seed, after_sweep=after, **how)
    return errors


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_error_never_grows(seed: int, nonnegative: bool) -> None:
    tensor = holey(seed).abs() if nonnegative else holey(seed)
    errors = swept(tensor, 60, seed, nonnegative=nonnegative)
    assert all(after <= before * (1 + 1e-9) for before, after in itertools.pairwise(errors))


def test_fewer_sweeps_reach_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eight fits all are ahead after 60 sweeps, most of them after 40 of where plain sweeps are after 60."""
    ahead = [swept(holey(seed), 60, seed) for seed in range(8)]
    monkeypatch.setattr(als, "sweep_ahead", Sweep.__call__)
    plain = [swept(holey(seed), 60, seed) for seed in range(8)]
    assert all(one[59] < other[59] for one, other in zip(ahead, plain, strict=True))
    assert sum(one[39] < other[59] for one, other in zip(ahead, plain, strict=True)) >= 5


@pytest.mark.parametrize("stop", [1, 7, 20])
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_resuming_equals_never_stopping(stop: int, l2: float) -> None:
    tensor, kept = holey(1), list[Progress]()
    how: dict[str, Any] = {"method": "als", "observed": True, "stop_tol": 0.0, "max_iterations": 30, "l2": l2}

    def until(most: int) -> Callable[[Progress], bool]:
        def after(state: Progress) -> bool:
            kept.append(deepcopy(state))
            return state.iteration < most

        return after

    expected = cp(tensor, 3, **how)
    cp(tensor, 3, after_sweep=until(stop), **how)
    model = cp(tensor, 3, progress=kept[-1], **how)
    assert model.relative_error == expected.relative_error
    assert all(map(torch.equal, model.factors, expected.factors))
