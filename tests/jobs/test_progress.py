"""The progress of a fit is a snapshot, and comes back from it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from polyadic.jobs.progress import freeze, thaw
from polyadic.tensor.cp_tensor import CPTensor


@dataclass
class Progress:
    """Every kind of field that a fit has."""

    iteration: int = 0
    error: float = 1.0
    weights: Tensor = field(default_factory=lambda: torch.empty(0))
    factors: list[Tensor] = field(default_factory=list)
    grams: list[Tensor] = field(default_factory=list)
    best: CPTensor | None = None


def example() -> Progress:
    factors = [torch.arange(6.0).reshape(3, 2), torch.ones(4, 2)]
    return Progress(3, 0.25, torch.ones(2), factors, [torch.eye(2)], CPTensor(torch.ones(2), factors, 0.5))


def test_progress_comes_back() -> None:
    given = example()
    back = thaw(Progress, freeze(given, 3), torch.device("cpu"))
    assert (back.iteration, back.error) == (3, 0.25) and isinstance(back.iteration, int)
    assert torch.equal(back.weights, given.weights)
    assert all(map(torch.equal, back.factors, given.factors)) and all(map(torch.equal, back.grams, given.grams))
    assert back.best is not None and back.best.relative_error == 0.5
    assert all(map(torch.equal, back.best.factors, given.factors))


def test_factors_are_kept_whole_and_taken_in_rows() -> None:
    def whole(factors: list[Tensor]) -> list[Tensor]:
        return [torch.cat([factor, factor]) for factor in factors]

    def held(factors: list[Tensor]) -> list[Tensor]:
        return [factor[: len(factor) // 2] for factor in factors]

    given = example()
    snapshot = freeze(given, 3, whole)
    assert snapshot.tensors["factors_0"].shape == (6, 2) and snapshot.tensors["best_factors_1"].shape == (8, 2)
    assert snapshot.tensors["grams_0"].shape == (2, 2)
    back = thaw(Progress, snapshot, torch.device("cpu"), held)
    assert all(map(torch.equal, back.factors, given.factors))


def test_what_is_not_there_yet_has_its_default() -> None:
    back = thaw(Progress, freeze(Progress(), 0), torch.device("cpu"))
    assert back.best is None and back.factors == []
