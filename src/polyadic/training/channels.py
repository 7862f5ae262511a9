"""A channel's folder -> the files in it."""

from __future__ import annotations

from pathlib import Path

from polyadic.errors import UserError, unknown
from polyadic.jobs.channels import Channel, ChannelSpec
from polyadic.training.environment import Environment

_OTHERS_OWN = ("code", "sm_drivers")
"""Channels in which the SDK sends what is no data."""
_BEGIN_NO_DATA = ("_SUCCESS", "_committed_", "_started_", "_metadata", "_common_metadata")
_END_NO_DATA = (".crc", ".manifest")


def open_channels(environment: Environment, specs: tuple[ChannelSpec, ...], algorithm: str) -> dict[str, Channel]:
    """The channels that an algorithm reads.

    Raises UserError for one that it does not read, that is required and absent, or that it cannot read from a pipe.
    """
    known = {spec.name: spec for spec in specs}
    for spec in specs:
        if spec.required and spec.name not in environment.channels:
            got = ", ".join(sorted(environment.channels)) or "none"
            raise UserError(f"channel {spec.name} is missing (got {got}): {algorithm} reads {spec.about}")
    for name in environment.channels:
        if name not in known and name not in _OTHERS_OWN:
            raise UserError(f"{algorithm}: {unknown('channel', name, list(known))}")
    return {name: _open(environment, known[name], algorithm) for name in environment.channels if name in known}


def _open(environment: Environment, spec: ChannelSpec, algorithm: str) -> Channel:
    name, config = spec.name, environment.channels[spec.name]
    divided = config.distribution == "ShardedByS3Key" and len(environment.hosts) > 1
    if config.mode == "Pipe":
        return _pipe(environment, spec, algorithm, divided)
    folder = environment.folder(name)
    files = tuple(sorted(path for path in folder.rglob("*") if path.is_file() and not _hidden(path, folder)))
    return Channel(name, folder, files, divided, config.content_type)


def _pipe(environment: Environment, spec: ChannelSpec, algorithm: str, divided: bool) -> Channel:
    """The FIFO of a channel's first epoch; there is one an epoch, and none need be read."""
    name, config = spec.name, environment.channels[spec.name]
    if not spec.pipes:
        raise UserError(
            f"channel {name} is in Pipe mode, which {algorithm} cannot read: "
            "set its input mode to File, or to FastFile to stream from S3 without a copy"
        )
    fifo = environment.folder(f"{name}_0")
    return Channel(name, fifo.parent, (fifo,), divided, config.content_type, piped=True)


def _hidden(path: Path, folder: Path) -> bool:
    """Whether a file is hidden, or one of those that Spark, Hadoop and SageMaker lay beside data."""
    parts = path.relative_to(folder).parts
    return (
        any(part.startswith(".") for part in parts)
        or parts[-1].startswith(_BEGIN_NO_DATA)
        or parts[-1].endswith(_END_NO_DATA)
    )
