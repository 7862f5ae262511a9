"""Sums over the ranks of one host through memory that they share: no socket, no thread beside the caller's.

On CPUs gloo hands each message to a thread of its own, which must be woken on both sides; where the cores are busy or a
virtual machine has put them to sleep, that takes milliseconds, a sweep of a sparse decomposition no more than ten.
"""

from __future__ import annotations

import mmap
import os
import platform
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

REGION = 2**22
"""Bytes that a rank gives at a time. They are pages of a file, taken when they are first written to."""
LINE = 64
SPIN = 0.01
"""Seconds of waiting in which the core is kept, but for those who want it; then it sleeps between two looks."""
NAP = 1e-4
LOOK = 0.5
"""Seconds between two looks at whether the others still live."""


def possible(ranks: int, local_ranks: int) -> bool:
    """Whether these ranks can share memory: all on one host whose processor keeps the order of writes."""
    return 1 < ranks == local_ranks and platform.machine() in ("x86_64", "AMD64") and os.name == "posix"


class SameHost:
    """One rank's view of the memory that `size` ranks of a host share.

    Each rank has a counter, of what it has given so far, and two regions, which it fills in turn: when it fills one
    again, all others have given twice since, and so have read what stood there.
    """

    def __init__(self, path: Path, rank: int, size: int, patience: timedelta) -> None:
        self._rank, self._size, self._patience, self._given = rank, size, patience.total_seconds(), 0
        length = 2 * LINE * size + 2 * REGION * size
        with path.open("r+b") as file:
            file.truncate(length)
            self._map = mmap.mmap(file.fileno(), length)
        whole = torch.frombuffer(self._map, dtype=torch.uint8)
        lines = whole[: 2 * LINE * size].view(torch.int64).view(2, size, LINE // 8)
        self._counts, self._pids = lines[0, :, 0].numpy(), lines[1, :, 0].numpy()
        self._regions = whole[2 * LINE * size :].view(2, size, REGION)
        self._pids[rank] = os.getpid()

    @staticmethod
    def make() -> Path:
        """An empty file for the ranks to open; one of them makes it, and removes it when all have."""
        handle, name = tempfile.mkstemp(prefix="polyadic-ranks-")
        os.close(handle)
        return Path(name)

    def sum_(self, tensor: Tensor) -> None:
        """Adds a contiguous tensor over the ranks, in place and in their order: the same value on each of them."""
        for part in _parts(tensor):
            first, *others = self._exchange(part, part)
            part.copy_(first)
            for other in others:
                part += other

    def from_first_(self, tensor: Tensor) -> None:
        """Rank 0's values in place of a contiguous tensor's."""
        for part in _parts(tensor):
            first = self._exchange(part if self._rank == 0 else part[:0], part)[0]
            part.copy_(first)

    def _exchange(self, given: Tensor, like: Tensor) -> list[Tensor]:
        """What every rank gives, each as long as `like`; it stands until the exchange after the next one."""
        regions = self._regions[self._given % 2]
        views = [region[: like.numel() * like.element_size()].view(like.dtype) for region in regions]
        views[self._rank][: len(given)].copy_(given)
        self._given += 1
        self._counts[self._rank] = self._given
        for other in range(self._size):
            self._await(other)
        return views

    def _await(self, other: int) -> None:
        counts, given = self._counts, self._given
        if counts[other] >= given:
            return
        began = looked = time.monotonic()
        while counts[other] < given:
            now = time.monotonic()
            if now - began < SPIN:
                os.sched_yield()
                continue
            time.sleep(NAP)
            if now - looked > LOOK:
                looked = now
                if not _lives(int(self._pids[other])) or now - began > self._patience:
                    raise torch.distributed.DistNetworkError(f"rank {other} of this host has gone, or does not answer")


def _parts(tensor: Tensor) -> tuple[Tensor, ...]:
    return torch.split(tensor.view(-1), REGION // tensor.element_size())


def _lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and whose parent has not yet asked for its status does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except ProcessLookupError:
        return False
    except OSError:  # Another user's, or a system without /proc.
        return True


def open_together(world: Any, local_ranks: int, patience: timedelta) -> SameHost | None:
    """The memory that the ranks of a world share, or None where they cannot; a collective of all of them."""
    if not possible(world.size, local_ranks):
        return None
    path = world.from_first(SameHost.make() if world.rank == 0 else None)
    try:
        mine = SameHost(path, world.rank, world.size, patience)
    except OSError:
        mine = None
    together = all(world.collect(mine is not None))
    if world.rank == 0:
        path.unlink(missing_ok=True)
    return mine if together else None
