"""Tensors for tests, dense and sparse, and how near a model comes to the factors that made one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyadic.distributed import World
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import Slab, longest, reconstruct, share
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.tensor_train import TensorTrain


def low_rank(
    shape: Sequence[int], rank: int, seed: int = 0, noise: float = 0.0, positive: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """A tensor of normal (or uniform, positive) factors with noise of a part of its deviation, and the factors."""
    random = torch.Generator().manual_seed(seed)
    draw = torch.rand if positive else torch.randn
    factors = [draw(rows, rank, generator=random, dtype=torch.float64) for rows in shape]
    tensor = reconstruct(torch.ones(rank, dtype=torch.float64), factors)
    if noise:
        tensor = tensor + noise * tensor.std() * torch.randn(tensor.shape, generator=random, dtype=torch.float64)
    return tensor, factors


def sparse(shape: Sequence[int], density: float, seed: int = 0, dtype: torch.dtype = torch.float64) -> SparseTensor:
    """Normal values at random places."""
    random = torch.Generator().manual_seed(seed)
    kept = torch.rand(list(shape), generator=random) < density
    return SparseTensor.of(torch.randn(list(shape), generator=random, dtype=torch.float64).to(dtype) * kept)


def crowded(shape: Sequence[int], count: int, seed: int = 0) -> SparseTensor:
    """Normal values of which half lie in the first row of mode 0, and a quarter in the first rows of all but the last.

    Several may have the same indices.
    """
    random = torch.Generator().manual_seed(seed)
    indices = torch.stack([torch.randint(0, rows, (count,), generator=random, dtype=torch.int32) for rows in shape])
    indices[0, : count // 2] = 0
    indices[:-1, : count // 4] = 0
    return SparseTensor(indices, torch.randn(count, generator=random), tuple(shape))


def normal_factors(shape: Sequence[int], rank: int, dtype: torch.dtype, seed: int = 0) -> list[Tensor]:
    """Factors I_n x R of normal numbers."""
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, rank, generator=random, dtype=torch.float64).to(dtype) for rows in shape]


def random_train(shape: Sequence[int], rank: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> TensorTrain:
    """A tensor train of normal cores, all of whose inner ranks are `rank`."""
    random = torch.Generator().manual_seed(seed)
    wide = [1, *([rank] * (len(shape) - 1)), 1]
    cores = [
        torch.randn(wide[n], rows, wide[n + 1], generator=random, dtype=torch.float64) for n, rows in enumerate(shape)
    ]
    return TensorTrain([core.to(dtype) for core in cores])


def some_of(tensor: Tensor, share_seen: float, seed: int = 0) -> SparseTensor:
    """A random part of a dense tensor's entries, as observed ones."""
    seen = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(seed)) < share_seen
    index = seen.nonzero().T
    return SparseTensor(index.to(torch.int32), tensor[tuple(index)], tuple(tensor.shape))


def part_of(tensor: SparseTensor, world: World) -> SparseTensor:
    """A rank's nonzeros, dealt in turn."""
    mine = slice(world.rank, None, world.size)
    return SparseTensor(tensor.indices[:, mine].contiguous(), tensor.values[mine].contiguous(), tensor.shape)


def slab_of(tensor: Tensor, rank: int, ranks: int) -> Slab:
    """A rank's rows of the longest mode."""
    mode = longest(tensor.shape)
    first, last = share(tensor.shape[mode], rank, ranks)
    return Slab(tensor.narrow(mode, first, last - first).contiguous(), tuple(tensor.shape), mode, first)


def true_error(model: CPTensor, tensor: Tensor, seen: Tensor | None = None) -> float:
    """|X - Y| / |X| by reconstruction in float64, over the entries seen."""
    misses = tensor.double() - reconstruct(model.weights.double(), [factor.double() for factor in model.factors])
    kept = torch.ones_like(misses) if seen is None else seen.double()
    return float((misses.nan_to_num() * kept).norm() / (tensor.double().nan_to_num() * kept).norm())


def factor_match(model: CPTensor, factors: Sequence[Tensor]) -> float:
    """The least product of the cosines of matched components' columns: the factor match score."""
    cosines = torch.ones((), dtype=torch.float64)
    for factor, true in zip(model.factors, factors, strict=True):
        cosines = cosines * (factor.double().T @ (true / true.norm(dim=0)).double()).abs()
    rows, columns = linear_sum_assignment(-cosines.numpy())
    return float(cosines.numpy()[rows, columns].min())
