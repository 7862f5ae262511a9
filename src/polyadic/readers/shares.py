"""Which ranks share which files of a channel, and one verdict of all of them on what they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.jobs.job import Channel

T = TypeVar("T")


@dataclass(frozen=True)
class Holding:
    """The files that this host holds, in the order of their names, and this rank's part in reading them.

    Where the channel is divided, the ranks of a host share what it holds; where it is replicated, all ranks do whose
    host has it, which are `holders`.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    divided: bool
    holders: tuple[int, ...]
    part: int
    parts: int

    @staticmethod
    def of(channel: Channel, files: list[Path], world: World) -> Holding:
        """The holding of some files of a channel; a collective."""
        named = sorted((path.relative_to(channel.folder).as_posix(), path) for path in files)
        holders = tuple(rank for rank, count in enumerate(world.collect(len(files))) if count)
        part, parts = world.local_rank, world.local_size
        if not channel.divided:
            part, parts = holders.index(world.rank) if files else 0, len(holders)
        return Holding(
            tuple(path for _, path in named), tuple(name for name, _ in named), channel.divided, holders, part, parts
        )


def agreed(world: World, attempt: Callable[[], T]) -> T:
    """What an attempt gives; where it is a UserError on any rank, the first of these on all of them."""
    value: T | None = None
    fault = None
    try:
        value = attempt()
    except UserError as error:
        fault = str(error)
    refuse(world, fault)
    return value  # type: ignore[return-value]  # No fault, so there is a value.


def refuse(world: World, fault: str | None) -> None:
    """UserError on every rank where any has a fault to tell."""
    first = next((one for one in world.collect(fault) if one is not None), None)
    if first is not None:
        raise UserError(first)
