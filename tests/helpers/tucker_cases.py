"""Tensors that the Tucker tests decompose, and the error by explicit reconstruction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.tucker.progress import Progress
from polyadic.tensor.products import multi_mode_product
from polyadic.tensor.tucker_tensor import TuckerTensor

CASES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((9, 7), (3, 3)),
    ((6, 9, 8), (3, 2, 4)),
    ((4, 5, 6, 3), (2, 3, 2, 2)),
    ((3, 4, 3, 5, 2), (2, 2, 2, 3, 1)),
]
each_case = pytest.mark.parametrize(("shape", "ranks"), CASES)


def low_rank(
    shape: Sequence[int], ranks: Sequence[int], noise: float = 0.0, seed: int = 0, positive: bool = False
) -> tuple[Tensor, list[Tensor]]:
    random = torch.Generator().manual_seed(seed)
    draw = torch.rand if positive else torch.randn
    core = draw(list(ranks), generator=random, dtype=torch.float64)
    factors = [draw(rows, rank, generator=random, dtype=torch.float64) for rows, rank in zip(shape, ranks, strict=True)]
    tensor = multi_mode_product(core, factors)
    spread = draw(tensor.shape, generator=random, dtype=torch.float64)
    return tensor + noise * tensor.norm() / spread.norm() * spread, factors


def whole(model: TuckerTensor) -> Tensor:
    return multi_mode_product(model.core.double(), [factor.double() for factor in model.factors])


def true_error(model: TuckerTensor, tensor: Tensor) -> float:
    return float((tensor.double() - whole(model)).norm() / tensor.double().norm())


def noting(values: list[float], name: str) -> Callable[[Progress], bool]:
    def after_sweep(progress: Progress) -> bool:
        values.append(getattr(progress, name))
        return True

    return after_sweep


def spread_out(shape: tuple[int, ...], decay: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """A tensor of full rank whose singular values fall by a constant factor, so that a Gram matrix loses most."""
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for mode, rows in enumerate(shape):
        basis = torch.linalg.qr(torch.randn(rows, rows, generator=torch.Generator().manual_seed(mode + 1)))[0].double()
        tensor = multi_mode_product(tensor, [basis * decay ** torch.arange(rows)], [mode])
    return tensor.to(dtype)
