"""What a job needs of memory beside what is there: said before it is taken, and refused where it cannot be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from polyadic.errors import UserError
from polyadic.jobs.job import Job
from polyadic.room import room, size

PROGRAM_BYTES = 0.45e9
"""Of a process with its libraries, before it holds any data, pictures included."""


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


def refuse_beyond(job: Job[Any], need: Need, advice: str = "", device: torch.device | None = None) -> str:
    """What a rank needs and what is there, of the rank that has the least room; a collective.

    advice: what else to do where it is too much. device: on which it is needed, that of the rank where none is given.

    Raises UserError on every rank, with the sizes, where one of them needs more than there is.
    """
    world = job.world
    device = world.device if device is None else device
    on_cpu = device.type == "cpu"
    own, space = need.bytes + (PROGRAM_BYTES if on_cpu else 0), room(device)
    # The ranks of a host begin together, and share what it has; a rank has taken its program by now.
    there = space.bytes / world.local_size + PROGRAM_BYTES if on_cpu else space.bytes
    asked = world.collect((own, there, space.source, dict(need.parts)))
    wanted, there, source, parts = max(asked, key=lambda of_rank: of_rank[0] / max(of_rank[1], 1.0))
    written = ", ".join(f"{what} {size(part)}" for what, part in parts.items() if part >= wanted / 100)
    about = f"about {size(wanted)} a process" + (f" ({written})" if written else "")
    shared = f" for each of {world.local_size} processes" if on_cpu and world.local_size > 1 else ""
    text = f"{about}, {size(there)} of {source} are there{shared}"
    if wanted > there:
        remedy = f"{need.knob}, use more hosts, or choose an instance with more memory{advice}"
        raise UserError(f"{job.algorithm} needs {text}: {remedy}")
    return text
