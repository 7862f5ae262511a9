"""Sums over the ranks of one host through memory that they share, without sockets or further threads.

On CPUs gloo hands each message to a thread of its own, which must be woken on both sides. Where the cores are busy, or
where a virtual machine has put them to sleep, that takes milliseconds; a whole sweep of a sparse decomposition takes no
more than ten.
"""

from __future__ import annotations

import mmap
import os
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor

REGION_BYTES = 2**22
"""Bytes that a rank gives at a time. They are pages of a file, which take memory when they are first written to."""
CACHE_LINE_BYTES = 64
BUSY_SECONDS = 0.01
"""A rank that waits for another keeps its core for so long, and yields it only to threads that are ready to run.
After that it sleeps between two looks."""
SLEEP_SECONDS = 1e-4
LIVENESS_SECONDS = 0.5
"""Seconds between two checks that the process waited for still lives."""


def possible(ranks: int, local_ranks: int) -> bool:
    """Whether these ranks can share memory: all on one host whose processor keeps the order of writes."""
    return 1 < ranks == local_ranks and platform.machine() in ("x86_64", "AMD64") and os.name == "posix"


class SameHost:
    """One rank's view of the memory that `size` ranks of a host share.

    Each rank has a counter of what it has given so far, and two regions that it fills in turn. When it fills a region
    again, all others have given twice since, and so have read what was in it.

    path: the file that `make` made; patience: how long to wait for a rank that lives but does not give.
    """

    def __init__(self, path: Path, rank: int, size: int, patience: timedelta) -> None:
        self._rank, self._size, self._patience, self._given = rank, size, patience.total_seconds(), 0
        lines_bytes = 2 * CACHE_LINE_BYTES * size
        length = lines_bytes + 2 * REGION_BYTES * size
        with path.open("r+b") as file:
            file.truncate(length)
            self._map = mmap.mmap(file.fileno(), length)
        whole = torch.frombuffer(self._map, dtype=torch.uint8)
        # Each number lies in a cache line of its own, so that writing it disturbs no other rank.
        lines = whole[:lines_bytes].view(torch.int64).view(2, size, CACHE_LINE_BYTES // 8)
        self._counts, self._pids = lines[0, :, 0].numpy(), lines[1, :, 0].numpy()
        self._regions = whole[lines_bytes:].view(2, size, REGION_BYTES)
        self._pids[rank] = os.getpid()

    @staticmethod
    def make() -> Path:
        """A new, empty file for the ranks to open. One rank makes it, and removes it when all have opened it."""
        handle, name = tempfile.mkstemp(prefix="polyadic-ranks-")
        os.close(handle)
        return Path(name)

    def sum_(self, tensor: Tensor) -> None:
        """Adds a contiguous tensor over the ranks, in place and in the order of the ranks: all get the same numbers.

        Raises torch's DistNetworkError where another rank has gone or does not answer.
        """
        for part in _parts(tensor):
            first, *others = self._exchange(part, part)
            part.copy_(first)
            for other in others:
                part += other

    def from_first_(self, tensor: Tensor) -> None:
        """Puts rank 0's numbers into a contiguous tensor, in place.

        Raises torch's DistNetworkError where another rank has gone or does not answer.
        """
        for part in _parts(tensor):
            first = self._exchange(part if self._rank == 0 else part[:0], part)[0]
            part.copy_(first)

    def _exchange(self, given: Tensor, like: Tensor) -> list[Tensor]:
        """What every rank gives, each as long as `like`; it stays until the exchange after the next one."""
        regions = self._regions[self._given % 2]
        views = [region[: like.numel() * like.element_size()].view(like.dtype) for region in regions]
        views[self._rank][: len(given)].copy_(given)
        self._given += 1
        self._counts[self._rank] = self._given
        for other in range(self._size):
            self._await(other)
        return views

    def _await(self, other: int) -> None:
        """Waits until a rank has given as often as this one."""
        counts, given = self._counts, self._given
        if counts[other] >= given:
            return
        began = checked = time.monotonic()
        while counts[other] < given:
            now = time.monotonic()
            if now - began < BUSY_SECONDS:
                os.sched_yield()
                continue
            time.sleep(SLEEP_SECONDS)
            if now - checked > LIVENESS_SECONDS:
                checked = now
                if not _lives(int(self._pids[other])) or now - began > self._patience:
                    raise torch.distributed.DistNetworkError(f"rank {other} of this host has gone, or does not answer")


def _parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """The tensor's numbers, as many at a time as a region holds."""
    return torch.split(tensor.view(-1), REGION_BYTES // tensor.element_size())


def _lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and whose parent has not yet asked for its status does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except ProcessLookupError:
        return False
    except OSError:  # The process is another user's, or the system has no /proc.
        return True


def open_together(
    rank: int,
    size: int,
    local_ranks: int,
    patience: timedelta,
    *,
    from_first: Callable[[Path | None], Path | None],
    collect: Callable[[bool], list[bool]],
) -> SameHost | None:
    """The memory that `size` ranks share, or None where they cannot share any; a collective of all of them.

    local_ranks: how many of them are on this host; patience: how long to wait for a rank that does not answer;
    from_first(value): the value that rank 0 gives; collect(value): the values of all ranks.
    """
    if not possible(size, local_ranks):
        return None
    path = from_first(SameHost.make() if rank == 0 else None)
    assert path is not None
    try:
        memory = SameHost(path, rank, size, patience)
    except OSError:
        memory = None
    all_opened = all(collect(memory is not None))
    if rank == 0:
        path.unlink(missing_ok=True)
    return memory if all_opened else None
