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
"""How long a collective waits for a rank, which may read its channel for long before it joins the first one."""


@dataclass(frozen=True)
class World:
    """The ranks that work on one fit, seen from one of them; alone, every collective is the identity.

    rank and size: this rank, from 0, of how many. local_rank and local_size: the same among the ranks of this host,
    which see the same files. group: the process group of these ranks, None where it is that of all processes.
    shared_memory: through which ranks of one host without GPUs add up; None for others.
    """

    rank: int
    size: int
    device: torch.device
    local_rank: int = 0
    local_size: int = 1
    group: dist.ProcessGroup | None = None
    shared_memory: SameHost | None = None

    def __str__(self) -> str:
        return f"{self.size} process{'es' * (self.size > 1)}"

    @staticmethod
    def alone(device: str | torch.device = "cpu") -> World:
        """The world of one process."""
        return World(rank=0, size=1, device=torch.device(device))

    @staticmethod
    def join() -> World:
        """The world that torch.distributed.run describes in the environment.

        It reads RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE. Each process has a GPU, and the ranks speak through
        nccl, where a host has a GPU for each of its processes; otherwise all are on CPUs and speak through gloo.
        """
        rank, size = _integer("RANK", 0), _integer("WORLD_SIZE", 1)
        local_rank, local_size = _integer("LOCAL_RANK", 0), _integer("LOCAL_WORLD_SIZE", 1)
        device = _device(local_rank, local_size)
        if size > 1:
            backend = "nccl" if device.type == "cuda" else "gloo"
            gpu = device if device.type == "cuda" else None
            dist.init_process_group(backend, rank=rank, world_size=size, timeout=LONG_WAIT, device_id=gpu)
        return World(rank, size, device, local_rank, local_size)._with_shared_memory(local_size)

    def leave(self) -> None:
        """Ends the process group; no collective may follow."""
        if self.size > 1:
            dist.destroy_process_group()

    def split(self, color: int) -> World:
        """The ranks of the whole world that give the same color, as a world of their own, in their order."""
        colors = self.collect(color)
        part = self
        for group_color in sorted(set(colors)):  # Every rank makes every group: that is a collective of all of them.
            members = [rank for rank, other in enumerate(colors) if other == group_color]
            group = dist.new_group(members) if 1 < len(members) < self.size else None
            if group_color == color:
                part = World(members.index(self.rank), len(members), self.device, group=group)
        if part.group is not None and self.shared_memory is not None:
            part = part._with_shared_memory(part.size)
        return part

    def _with_shared_memory(self, local_size: int) -> World:
        """The same world, with memory that its ranks share where all of them are among the `local_size` of one host."""
        if self.device.type != "cpu":
            return self
        memory = open_together(
            self.rank, self.size, local_size, LONG_WAIT, from_first=self.from_first, collect=self.collect
        )
        return replace(self, shared_memory=memory)

    def sum_(self, tensor: Tensor) -> Tensor:
        """Adds a tensor over the ranks, in place, and returns it: the same numbers on each rank."""
        if self.size > 1:
            whole = tensor.contiguous()  # gloo reads a strided tensor as if it were contiguous.
            if self.shared_memory:
                self.shared_memory.sum_(whole)
            else:
                dist.all_reduce(whole, group=self.group)
            if whole is not tensor:
                tensor.copy_(whole)
        return tensor

    def sum_part(self, rows: Tensor, chunk: int) -> Tensor:
        """A part of the sum of `rows` (n x ...) over the ranks: rows [rank · chunk, (rank + 1) · chunk), at most n."""
        if self.size == 1:
            return rows
        own = slice(min(self.rank * chunk, len(rows)), min((self.rank + 1) * chunk, len(rows)))
        if self.device.type == "cpu":  # gloo's own reduce-scatter is five times slower than this.
            return self.sum_(rows.contiguous())[own].clone()
        room = rows.new_zeros(chunk * self.size, *rows.shape[1:])
        room[: len(rows)] = rows
        part = rows.new_empty(chunk, *rows.shape[1:])
        dist.reduce_scatter(part, list(torch.split(room, chunk)), group=self.group)
        return part[: own.stop - own.start]

    def join_parts(self, part: Tensor, chunk: int, rows: int) -> Tensor:
        """The `rows` rows (rows x ...) of which each rank gives the part that `sum_part` cuts for it."""
        if self.size == 1:
            return part
        padded = part.new_zeros(chunk, *part.shape[1:])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded, group=self.group)
        return torch.cat(parts)[:rows]

    def exchange(self, rows: Tensor, counts: list[int]) -> Tensor:
        """Sends the first counts[0] rows to rank 0, the next counts[1] to rank 1 and so on.

        rows: n x ..., where n is the sum of `counts`. Returns the rows that this rank was sent, in the ranks' order.
        """
        if self.size == 1:
            return rows
        sent = torch.tensor(counts, device=self.device)
        received = torch.empty_like(sent)
        dist.all_to_all_single(received, sent, group=self.group)
        room = rows.new_empty(int(received.sum()), *rows.shape[1:])
        dist.all_to_all_single(room, rows.contiguous(), received.tolist(), counts, group=self.group)
        return room

    def gather_rows(self, rows: Tensor) -> Tensor:
        """All ranks' rows (n_r x ...), stacked in the order of the ranks; n_r may differ and may be 0."""
        if self.size == 1:
            return rows
        counts = self.collect(len(rows))
        room = rows.new_zeros(max(counts), *rows.shape[1:])
        room[: len(rows)] = rows
        parts = [torch.empty_like(room) for _ in counts]
        dist.all_gather(parts, room, group=self.group)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def collect(self, value: T) -> list[T]:
        """Every rank's value (anything that pickles), in the order of the ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def from_first(self, value: T) -> T:
        """Rank 0's value (anything that pickles)."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, group_src=0, device=self.device, group=self.group)
        return box[0]

    def from_first_(self, tensor: Tensor) -> Tensor:
        """Puts rank 0's numbers into the tensor, in place, and returns it."""
        if self.shared_memory and tensor.is_contiguous():
            self.shared_memory.from_first_(tensor)
        elif self.size > 1:
            dist.broadcast(tensor, group_src=0, group=self.group)
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether the flag is True on any rank."""
        return (self.size > 1 and bool(self.sum_(torch.tensor(float(flag), device=self.device)) > 0)) or flag

    def data_parallel(self, module: nn.Module) -> nn.Module:
        """The module whose backward pass averages gradients over the ranks; buffers are not sent, and must be alike."""
        if self.size == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        parameters = signature(DistributedDataParallel).parameters
        # torch 2.13 renamed the option.
        name = "forward_sync_buffers" if "forward_sync_buffers" in parameters else "broadcast_buffers"
        options: dict[str, Any] = {name: False}
        return DistributedDataParallel(module, device_ids=devices, gradient_as_bucket_view=True, **options)


def _integer(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


def _device(local_rank: int, local_size: int) -> torch.device:
    """This rank's GPU, where each of the host's ranks has one; otherwise the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    gpus = torch.cuda.device_count()
    if local_size > gpus:  # Ranks that differ in their backend would wait for each other for ever.
        if local_rank == 0:
            warnings.warn(f"{local_size} ranks have {gpus} GPU(s) between them: all run on CPUs", stacklevel=2)
        return torch.device("cpu")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


def lost_peer(error: BaseException) -> bool:
    """Whether an error of a collective means that another rank has gone."""
    text = str(error).lower()
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and ("gloo" in text or "nccl" in text))
