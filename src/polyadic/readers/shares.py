"""Which ranks share which files of a channel, and one verdict of all of them on what they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.formats import Format
from polyadic.jobs.channels import Channel

T = TypeVar("T")


@dataclass(frozen=True)
class Holding:
    """The files that this host holds, in the order of their names, and this rank's part in reading them.

    formats: of each file, None where that is found when it is read.

    Where the channel is divided, the ranks of a host share its files. Where it is replicated, all `holders` share the
    files: the ranks whose host has any. Of a pipe one rank of a host reads all that comes of it, or its host's part.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    formats: tuple[Format | None, ...]
    divided: bool
    holders: tuple[int, ...]
    part: int
    parts: int

    @staticmethod
    def of(channel: Channel, files: Mapping[Path, Format | None], world: World) -> Holding:
        """The holding of some files of a channel, each with its format; a collective."""
        named = sorted((path.relative_to(channel.folder).as_posix(), path) for path in files)
        holders = tuple(rank for rank, count in enumerate(world.collect(len(files))) if count)
        part, parts = (0, 1) if channel.piped else (world.local_rank, world.local_size)
        if not channel.divided:
            part, parts = holders.index(world.rank) if files else 0, len(holders)
        return Holding(
            paths=tuple(path for _, path in named),
            names=tuple(name for name, _ in named),
            formats=tuple(files[path] for _, path in named),
            divided=channel.divided,
            holders=holders,
            part=part,
            parts=parts,
        )

    def refuse_differing_hosts(self, world: World) -> None:
        """UserError where the hosts of a channel that is not divided hold files of different names; a collective."""
        names_of_hosts = [names for names in world.collect(self.names) if names]
        first = names_of_hosts[0] if names_of_hosts else ()
        other = next((names for names in names_of_hosts if names != first), None)
        if not self.divided and other is not None:
            raise UserError(
                f"the hosts hold different files ({', '.join(first[:3])} and {', '.join(other[:3])}): give each host "
                "the same, or divide the channel between them (ShardedByS3Key)"
            )


def refuse_order(order: int, min_order: int) -> None:
    """UserError for a tensor of too few modes."""
    if order < min_order:
        modes = "1 mode" if order == 1 else f"{order} modes"
        raise UserError(f"the tensor has {modes}: it must have {min_order} or more")


def few(names: list[str]) -> str:
    """Names for a message: the first three, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def agreed(world: World, attempt: Callable[[], T]) -> T:
    """What an attempt returns. Where any rank raises a UserError, all ranks raise that of the first such rank."""
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
    first = next((text for text in world.collect(fault) if text is not None), None)
    if first is not None:
        raise UserError(first)
