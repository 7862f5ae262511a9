"""The memory that this process may still take: of the machine, its container, its address space, or a GPU."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from polyadic.errors import UserError

if TYPE_CHECKING:
    import torch

_NO_LIMIT = 2**60
"""Bytes from which a limit of cgroup v1 means none."""


class Room(NamedTuple):
    """Bytes that this process may still take, and what bounds them."""

    bytes: float
    source: str


def refuse_large(count: float, what: str) -> None:
    """UserError where so many bytes, taken at once, are more than half of what is left: most are copied once.

    what: what takes them, as a message calls it.
    """
    if count >= Watch.STRIDE_BYTES and count > room().bytes / 2:
        left = room()
        raise UserError(
            f"{what} takes {size(count)} at once, and {size(left.bytes)} of {left.source} are left: divide it into "
            "several files, or choose an instance with more memory"
        )


class Watch:
    """Refuses to go on reading where what is read would end the process: it is joined and sorted once it is whole.

    what: what is read, as a message calls it.
    """

    STRIDE_BYTES = 2**26

    def __init__(self, what: str) -> None:
        self._what, self._held, self._next = what, 0, self.STRIDE_BYTES

    def add(self, count: int) -> None:
        """Counts bytes that are held from now on; UserError where no more than all of them are left."""
        self._held += count
        if self._held < self._next:
            return
        self._next = self._held + self.STRIDE_BYTES
        left = room()
        if left.bytes < self._held:
            raise UserError(
                f"the {self._what} that were read so far take {size(self._held)}, and {size(left.bytes)} of "
                f"{left.source} are left: divide the files between more hosts (ShardedByS3Key), or choose an instance "
                "with more memory"
            )


def size(count: float) -> str:
    """A number of bytes for people: 3.1 GB."""
    unit = next((name for name, scale in _UNITS.items() if count >= scale), "MB")
    number = count / _UNITS[unit]
    return f"{number:,.0f} {unit}" if number >= 10 else f"{number:.1f} {unit}"


_UNITS = {"EB": 1e18, "PB": 1e15, "TB": 1e12, "GB": 1e9, "MB": 1e6}


def room(device: torch.device | str = "cpu", root: Path = Path("/")) -> Room:
    """The memory that this process may still take on a device.

    On a GPU what is free of it. On a CPU the least of what the machine has available, what the control groups of the
    container leave (memory.max of version 2, memory.limit_in_bytes of version 1; pages of files that can be given back
    are free), and what the address space may still grow by (ulimit -v). root: where /proc and /sys are.
    """
    if str(device).startswith("cuda"):
        import torch

        return Room(float(torch.cuda.mem_get_info(device)[0]), "GPU memory")
    rooms = [Room(_machine(root), "memory"), *_control_groups(root), *_address_space(root)]
    return min(rooms, key=lambda of: of.bytes)


def _machine(root: Path) -> float:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return float(line.split()[1]) * 1024
    return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")


def _control_groups(root: Path) -> list[Room]:
    """What each group that this process is in leaves, from the innermost outwards."""
    rooms = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit, used, inactive = root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            base, limit, used = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            inactive = "total_inactive_file"
        else:
            continue
        inner = base / path.strip().lstrip("/")
        for folder in [inner, *inner.parents]:
            if folder == base.parent:
                break
            most, taken = _number(folder / limit), _number(folder / used)
            if most is not None and taken is not None and most < _NO_LIMIT:
                stat = dict(line.split() for line in _lines(folder / "memory.stat") if len(line.split()) == 2)
                free = most - taken + float(stat.get(inactive, 0))
                rooms.append(Room(max(free, 0.0), "the container's memory"))
    return rooms


def _address_space(root: Path) -> list[Room]:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = _lines(root / "proc/self/statm")
        if limit != resource.RLIM_INFINITY and pages:
            taken = float(pages[0].split()[0]) * resource.getpagesize()
            return [Room(max(limit - taken, 0.0), "address space (ulimit -v)")]
    return []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _number(path: Path) -> float | None:
    """The number in a file; None where there is no such file, or where it says max."""
    text = "".join(_lines(path)).strip()
    return float(text) if text.isdigit() else None
