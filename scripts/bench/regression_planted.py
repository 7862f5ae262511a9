"""Tensor regression with planted weights: how often they are found, and what noise costs beside an oracle."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import torch
from torch import Tensor

from polyadic.regression import tensor_regression
from polyadic.regression.weights import WEIGHTS, Weight
from scripts.bench.measure import OURS, Bound, Case

SHAPES = ((12, 12), (8, 8, 8), (6, 5, 5, 4), (4, 4, 4, 4, 4))
RANK, NOISE = 2, 0.3
SEEDS = 20
RECOVERED_AT, FOUND = 3, 1e-3
"""Samples for each number of the weight, without noise; and the relative error of a weight that is found."""
SAMPLES_PER_NUMBER = (2, 3, 6, 12)
MOST_TIMES_ORACLE = 1.2


def run() -> Iterator[Case]:
    """For each form and order the share that is found, and root mean square errors, ours and the oracle's."""
    for form in WEIGHTS:
        for shape in SHAPES:
            yield _case(form, shape).reported()


def _case(form: str, shape: tuple[int, ...]) -> Case:
    size = _planted(form, shape, 0)[0].degrees_of_freedom
    found = [_errors(form, shape, RECOVERED_AT * size, 0.0, seed)[0] < FOUND for seed in range(SEEDS)]
    bounds = [Bound(f"share found of {RECOVERED_AT} samples per number", sum(found) / SEEDS, 0.99, "value at least")]
    figures = {}
    for times in SAMPLES_PER_NUMBER:
        errors = [_errors(form, shape, times * size, NOISE, seed) for seed in range(SEEDS)]
        ours, oracle = (statistics.fmean(error**2 for error in of) ** 0.5 for of in zip(*errors, strict=True))
        bounds.append(Bound(f"error over the oracle's, {times} samples per number", ours / oracle, MOST_TIMES_ORACLE))
        figures = {OURS: ours, "oracle": oracle}
    dense = torch.Size(shape).numel()
    return Case(
        key=f"{form}_{len(shape)}",
        title=f"{form} of rank {RANK}, {' x '.join(map(str, shape))}: {size} numbers of {dense}",
        figures=figures,
        roles={"oracle": "floor"},
        unit=f"relative error, {SAMPLES_PER_NUMBER[-1]} samples per number",
        bounds=bounds,
    )


def _planted(form: str, shape: tuple[int, ...], seed: int) -> tuple[Weight, torch.Generator]:
    """A weight of norm 1."""
    generator = torch.Generator().manual_seed(seed)
    kind = WEIGHTS[form]
    weight = kind.random(shape, kind.ranks_of(RANK, shape, 1), 1, generator)
    weight.scale_(weight.norm_squared() ** -0.5)
    return weight, generator


def _errors(form: str, shape: tuple[int, ...], samples: int, noise: float, seed: int) -> tuple[float, float]:
    """The relative errors of our weight and of the oracle's, from normal samples."""
    weight, generator = _planted(form, shape, seed)
    full = weight.full().flatten()
    x = torch.randn(samples, *shape, generator=generator, dtype=torch.float64)
    label = 3 + x.flatten(1) @ full + noise * torch.randn(samples, generator=generator, dtype=torch.float64)
    ours = tensor_regression(x, label, RANK, weight=form, seed=seed).weight.full().flatten()
    return float((ours - full).norm()), float((_oracle(weight, x, label) - full).norm())


def _oracle(weight: Weight, x: Tensor, label: Tensor) -> Tensor:
    """Least squares over the tangents of the weight's form at the planted weight, which the oracle knows.

    No estimate without bias has a smaller error, where samples are many.
    """
    identity = torch.eye(x[0].numel(), dtype=x.dtype).reshape(-1, *x.shape[1:])
    tangents = torch.cat([block.rows(0, len(identity))[:, 0] for block in weight.blocks(identity)], 1)
    directions = torch.linalg.svd(tangents, full_matrices=False)[0][:, : weight.degrees_of_freedom]
    rows = torch.cat([x.flatten(1) @ directions, x.new_ones(len(x), 1)], 1)
    solution: Tensor = torch.linalg.lstsq(rows, label[:, None]).solution
    weight_of_oracle: Tensor = directions @ solution[:-1, 0]
    return weight_of_oracle
