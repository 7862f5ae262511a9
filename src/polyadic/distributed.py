"""The World that a fit runs in: its rank, its device and its collectives."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from datetime import timedelta
from inspect import signature
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from polyadic.same_host import SameHost, open_together

T = TypeVar("T")

LONG_WAIT = timedelta(minutes=30)
"""A peer may read its channel for long before it joins the first collective."""


@dataclass(frozen=True)
class World:
    """The ranks that work on one fit, seen from one of them; alone, every collective is the identity.

    `local_rank` counts this rank among the `local_size` ranks of its host, which see the same files. `group` is the
    process group of a part of the ranks; None is all of them. `near` is what ranks of one host and no GPU share.
    """

    rank: int
    size: int
    device: torch.device
    local_rank: int = 0
    local_size: int = 1
    group: dist.ProcessGroup | None = None
    near: SameHost | None = None

    @staticmethod
    def alone(device: str | torch.device = "cpu") -> World:
        """A world of one process."""
        return World(0, 1, torch.device(device))

    @staticmethod
    def join() -> World:
        """The world that torch.distributed.run describes in the environment (RANK, WORLD_SIZE, LOCAL_RANK).

        A GPU a process and nccl where a host has a GPU for each, gloo on CPUs.
        """
        rank, size = _whole("RANK", 0), _whole("WORLD_SIZE", 1)
        local_rank, local_size = _whole("LOCAL_RANK", 0), _whole("LOCAL_WORLD_SIZE", 1)
        device = _device(local_rank, local_size)
        if size > 1:
            backend = "nccl" if device.type == "cuda" else "gloo"
            bound = device if device.type == "cuda" else None
            dist.init_process_group(backend, rank=rank, world_size=size, timeout=LONG_WAIT, device_id=bound)
        return World(rank, size, device, local_rank, local_size)._side_by_side(local_size)

    def leave(self) -> None:
        """Gives the process group back."""
        if self.size > 1:
            dist.destroy_process_group()

    def split(self, color: int) -> World:
        """Those ranks of the whole world that give the same color, as a world of their own, in order."""
        colors = self.collect(color)
        mine = self
        for one in sorted(set(colors)):  # Every rank makes every group: it is a collective of all of them.
            members = [rank for rank, other in enumerate(colors) if other == one]
            group = dist.new_group(members) if 1 < len(members) < self.size else None
            if one == color:
                mine = World(members.index(self.rank), len(members), self.device, group=group)
        if mine.group is not None and self.near is not None:
            mine = mine._side_by_side(mine.size)
        return mine

    def _side_by_side(self, local_size: int) -> World:
        """The same world, with memory that its ranks share where all of them, `local_size`, are of one host."""
        if self.device.type != "cpu":
            return self
        return replace(self, near=open_together(self, local_size, LONG_WAIT))

    def sum_(self, tensor: Tensor) -> Tensor:
        """Adds `tensor` over the ranks, in place; the same value on each of them."""
        if self.size > 1:
            whole = tensor.contiguous()  # gloo reads a strided one as if it were not.
            if self.near:
                self.near.sum_(whole)
            else:
                dist.all_reduce(whole, group=self.group)
            if whole is not tensor:
                tensor.copy_(whole)
        return tensor

    def sum_part(self, rows: Tensor, chunk: int) -> Tensor:
        """This rank's rows [rank · chunk, (rank + 1) · chunk) of the sum of `rows` (n x ...) over the ranks."""
        if self.size == 1:
            return rows
        mine = slice(min(self.rank * chunk, len(rows)), min((self.rank + 1) * chunk, len(rows)))
        if self.device.type == "cpu":  # gloo's own reduce-scatter is five times slower than this.
            return self.sum_(rows.contiguous())[mine].clone()
        room = rows.new_zeros(chunk * self.size, *rows.shape[1:])
        room[: len(rows)] = rows
        part = rows.new_empty(chunk, *rows.shape[1:])
        dist.reduce_scatter(part, list(torch.split(room, chunk)), group=self.group)
        return part[: mine.stop - mine.start]

    def join_parts(self, part: Tensor, chunk: int, rows: int) -> Tensor:
        """The `rows` rows of which each rank gives its part as `sum_part` cuts them."""
        if self.size == 1:
            return part
        padded = part.new_zeros(chunk, *part.shape[1:])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded, group=self.group)
        return torch.cat(parts)[:rows]

    def exchange(self, rows: Tensor, counts: list[int]) -> Tensor:
        """Sends the first counts[0] rows to rank 0, the next counts[1] to rank 1 and so on; what this rank is sent."""
        if self.size == 1:
            return rows
        sent = torch.tensor(counts, device=self.device)
        received = torch.empty_like(sent)
        dist.all_to_all_single(received, sent, group=self.group)
        room = rows.new_empty(int(received.sum()), *rows.shape[1:])
        dist.all_to_all_single(room, rows.contiguous(), received.tolist(), counts, group=self.group)
        return room

    def gather_rows(self, rows: Tensor) -> Tensor:
        """Stacks each rank's rows (n_r x ...) in the order of the ranks; n_r may differ and may be 0."""
        if self.size == 1:
            return rows
        counts = self.collect(len(rows))
        room = rows.new_zeros(max(counts), *rows.shape[1:])
        room[: len(rows)] = rows
        parts = [torch.empty_like(room) for _ in counts]
        dist.all_gather(parts, room, group=self.group)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def collect(self, value: T) -> list[T]:
        """Every rank's value, in the order of the ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def from_first(self, value: T) -> T:
        """Rank 0's value."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, group_src=0, device=self.device, group=self.group)
        return box[0]

    def from_first_(self, tensor: Tensor) -> Tensor:
        """Rank 0's values in place of this rank's."""
        if self.near and tensor.is_contiguous():
            self.near.from_first_(tensor)
        elif self.size > 1:
            dist.broadcast(tensor, group_src=0, group=self.group)
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether the flag is up on any rank."""
        return (self.size > 1 and bool(self.sum_(torch.tensor(float(flag), device=self.device)) > 0)) or flag

    def data_parallel(self, module: nn.Module) -> nn.Module:
        """The module whose backward pass averages gradients over the ranks; its buffers are alike from the start."""
        if self.size == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        known = signature(DistributedDataParallel).parameters
        # torch 2.13 renamed it.
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        buffers: dict[str, Any] = {name: False}
        return DistributedDataParallel(module, device_ids=devices, gradient_as_bucket_view=True, **buffers)


def _whole(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


def _device(local_rank: int, local_size: int) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    # All or none: ranks that differ in their backend would wait for each other for ever.
    if local_size > (count := torch.cuda.device_count()):
        if local_rank == 0:
            warnings.warn(f"{local_size} ranks have {count} GPU(s) between them: all run on CPUs", stacklevel=2)
        return torch.device("cpu")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


def lost_peer(error: BaseException) -> bool:
    """Whether an error of a collective means that another rank has gone."""
    text = str(error).lower()
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and ("gloo" in text or "nccl" in text))
