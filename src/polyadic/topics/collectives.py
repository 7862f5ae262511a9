"""Collectives for tensors on the CPU, where the ranks may speak through their GPUs."""

from __future__ import annotations

from torch import Tensor

from polyadic.distributed import World


def sum_over_ranks(world: World, tensor: Tensor) -> Tensor:
    """The sum of a tensor over the ranks, of the same shape and on the same device: the same numbers on each rank."""
    return world.sum_(tensor.to(world.device, copy=True)).to(tensor.device)


def from_rank_0(world: World, tensor: Tensor) -> Tensor:
    """Rank 0's tensor, on the device of this rank's own, which has the same shape."""
    return world.from_first_(tensor.to(world.device).contiguous()).to(tensor.device)
