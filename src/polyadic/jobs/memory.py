"""What a job needs of memory beside what is there: said before it is taken, and refused where it cannot be had."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from polyadic.errors import UserError
from polyadic.jobs.job import Job

PROGRAM_BYTES = 0.45e9
"""Of a process with its libraries, before it holds any data, pictures included."""
_NO_LIMIT = 2**60
"""Bytes from which a limit of cgroup v1 means none."""


class Room(NamedTuple):
    """Bytes that this process may still take, and what bounds them."""

    bytes: float
    source: str


@dataclass(frozen=True)
class Need:
    """What a rank will hold at once on its device.

    parts: bytes by what they are for. knob: what a user can do to need less, as in "lower rank".
    """

    parts: Mapping[str, float]
    knob: str

    @property
    def bytes(self) -> float:
        """All parts together."""
        return sum(self.parts.values())


def reserve(job: Job[Any], need: Need, advice: str = "") -> None:
    """Says what the ranks are about to need and what is there, unless it is refused as in `refuse_beyond`."""
    job.note(f"{job.algorithm}: needs {refuse_beyond(job, need, advice)}")


def refuse_beyond(job: Job[Any], need: Need, advice: str = "") -> str:
    """What a rank needs and what is there, of the rank that has the least room; a collective.

    advice: what else to do where it is too much.

    Raises UserError on every rank, with the sizes, where one of them needs more than there is.
    """
    world = job.world
    on_cpu = world.device.type == "cpu"
    own, space = need.bytes + (PROGRAM_BYTES if on_cpu else 0), room(world.device)
    # The ranks of a host begin together, and share what it has; a rank has taken its program by now.
    there = space.bytes / world.local_size + PROGRAM_BYTES if on_cpu else space.bytes
    asked = world.collect((own, there, space.source, dict(need.parts)))
    wanted, there, source, parts = max(asked, key=lambda of_rank: of_rank[0] / max(of_rank[1], 1.0))
    written = ", ".join(f"{what} {size(part)}" for what, part in parts.items() if part >= wanted / 100)
    about = f"about {size(wanted)} a rank" + (f" ({written})" if written else "")
    shared = f" for each of {world.local_size} ranks" if on_cpu and world.local_size > 1 else ""
    text = f"{about}, {size(there)} of {source} are there{shared}"
    if wanted > there:
        remedy = f"{need.knob}, use more hosts, or choose an instance with more memory{advice}"
        raise UserError(f"{job.algorithm} needs {text}: {remedy}")
    return text


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
    device = torch.device(device)
    if device.type == "cuda":
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
