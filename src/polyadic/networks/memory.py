"""The memory that a network's forward pass keeps for its backward one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

TRIED = 2
"""Samples that are tried; and twice as many, to tell what grows with them from what does not."""


def left_behind(network: nn.Module, run: Callable[[int], object], count: int, most: int) -> float:
    """The bytes that the forward pass of `count` samples keeps, told from few of them.

    run: the forward pass of the first so many samples, of `most`. The network is then in training; random numbers are
    as they were.
    """
    few, more = (min(tried, most) for tried in (TRIED, 2 * TRIED))
    network.train()
    if few == more:
        return _kept(network, run, few)
    first, second = (_kept(network, run, tried) for tried in (few, more))
    return first + (second - first) / (more - few) * max(0, count - few)


def _kept(network: nn.Module, run: Callable[[int], object], count: int) -> float:
    if not count:
        return 0.0
    own = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run(count)
    return float(sum(kept.values()))
