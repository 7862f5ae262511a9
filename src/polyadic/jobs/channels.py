"""A channel: what an algorithm declares of it, and its files on a host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ChannelSpec:
    """A channel that an algorithm reads; `pipes` says whether it can do so in Pipe mode."""

    name: str
    about: str
    content_types: tuple[str, ...]
    required: bool = True
    pipes: bool = False


@dataclass(frozen=True)
class Channel:
    """A channel's files on this host.

    divided: whether each host has files of its own (ShardedByS3Key). piped: whether the single file is a FIFO, which
    one process can read, and only once (Pipe mode).
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    divided: bool = False
    content_type: str | None = None
    piped: bool = False
