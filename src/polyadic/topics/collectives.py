"""Sums over the ranks of what lies on the CPU, whatever device the ranks speak through."""

from __future__ import annotations

from torch import Tensor

from polyadic.distributed import World


def total(world: World, tensor: Tensor) -> Tensor:
    """A tensor added over the ranks, the same on each of them."""
    return world.sum_(tensor.to(world.device, copy=True)).to(tensor.device)


def of_first(world: World, tensor: Tensor) -> Tensor:
    """Rank 0's tensor."""
    return world.from_first_(tensor.to(world.device).contiguous()).to(tensor.device)
