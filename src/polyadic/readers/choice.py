"""Which files of a channel hold data, and in which format: by names, content type or first bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from polyadic.errors import UserError
from polyadic.formats import opened
from polyadic.jobs.channels import Channel
from polyadic.jobs.job import Job
from polyadic.readers.shares import few

HEAD_BYTES = 4096
_CONVERSIONS = {
    ".tsv": "write a table with commas, as .csv (pandas: to_csv(file, index=False))",
    ".mtx": "read it with scipy.io.mmread, and save documents with scipy.sparse.save_npz, a tensor with numpy.save",
    ".mat": "read the array with scipy.io.loadmat, and save it with numpy.save",
    ".h5": "read the array with h5py, and save it with numpy.save",
    ".hdf5": "read the array with h5py, and save it with numpy.save",
    ".pt": "load it with torch.load, and save its numbers with numpy.save",
    ".pth": "load it with torch.load, and save its numbers with numpy.save",
    ".pkl": "a pickle may run code and is not read: save arrays with numpy.save, tables with to_parquet or to_csv",
    ".xlsx": "save the sheet as .csv, with commas and points",
    ".zip": "unpack it: its files lie in the channel, one by one",
    ".tar.gz": "unpack it: its files lie in the channel, one by one",
}
"""What to do with files that users have and that are not read."""


class Readable(Protocol):
    """What a choice asks of a format of files."""

    @property
    def name(self) -> str:
        """What a message calls it."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of its files' names."""

    @property
    def content_types(self) -> tuple[str, ...]:
        """Of a channel of its files."""

    @property
    def begins(self) -> Callable[[bytes], bool] | None:
        """Whether its files begin with these bytes."""

    def has_file(self, name: str) -> bool:
        """Whether a file of this name is of this format."""


F = TypeVar("F", bound=Readable)


def choose(job: Job[Any], channel_name: str, formats: Sequence[F], advice: str = "") -> dict[Path, F]:
    """This host's files of a channel that hold data, each with its format. A collective.

    A file's name says which format it has; where it says nothing, the channel's content type does, and without one its
    first bytes. Where the two differ, the name holds, but for a file that begins as the content type says. Notes say
    which content type was not followed, and which files are left alone.
    Raises UserError where no host has a file that can be read; `advice` ends its message.
    """
    channel = job.channels[channel_name]
    stated = stated_format(channel, formats)
    chosen = {path: format_ for path in channel.files if (format_ := format_of(path, stated, formats))}
    if not job.world.any(bool(chosen)):
        raise _unreadable(channel, [suffix for format_ in formats for suffix in format_.suffixes], advice)
    others = [path.name for path, format_ in chosen.items() if stated not in (None, format_)]
    left = [path.name for path in channel.files if path not in chosen]
    for count_and_names in _told(job, others):
        job.note(
            f"warning: channel {channel_name} has the content type {channel.content_type!r}, and {count_and_names} "
            "named as files of another format: they are read as their names say"
        )
    for count_and_names in _told(job, left):
        job.note(f"warning: channel {channel_name}: {count_and_names} not read, being of no known format")
    return chosen


def _unreadable(channel: Channel, suffixes: Sequence[str], advice: str) -> UserError:
    """The error for a channel none of whose files can be read."""
    if not channel.files:
        return UserError(f"channel {channel.name} holds no files: give one or more, such as those in {suffixes[0]}")
    known = [suffix for suffix in suffixes if not suffix.endswith(".gz")]
    packed = ", some of them packed as .gz" if len(known) < len(suffixes) else ""
    names = [path.name for path in channel.files]
    told = [words for ending, words in _CONVERSIONS.items() if any(name.lower().endswith(ending) for name in names)]
    return UserError(
        f"channel {channel.name} holds no file that can be read (found: {few(names)}): {(told or [advice])[0]}"
        f"{'. ' if told or advice else ''}Files are {' '.join(known)}{packed}"
    )


def format_of(path: Path, stated: F | None, formats: Sequence[F]) -> F | None:
    """The format of a file; None where neither its name nor `stated` nor its first bytes tell one."""
    by_name = next((format_ for format_ in formats if format_.has_file(path.name)), None)
    told = {format_ for format_ in (by_name, stated) if format_ is not None}
    if len(told) == 1:
        return told.pop()
    with opened(path) as file:
        head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
    begun = [format_ for format_ in formats if format_.begins is not None and format_.begins(head)]
    if by_name is not None:  # It differs from what is stated, which holds where the file begins as that alone.
        return stated if stated in begun and by_name not in begun else by_name
    return begun[0] if begun else None


def stated_format(channel: Channel, formats: Sequence[F]) -> F | None:
    """The format of a channel's content type, whatever its parameters; None where it is that of no format."""
    bare = (channel.content_type or "").partition(";")[0].strip().lower()
    return next((format_ for format_ in formats if bare in format_.content_types), None)


def _told(job: Job[Any], names: list[str]) -> list[str]:
    """How many files of all hosts have such names, and some of these, as a part of a sentence; empty without any."""
    parts = job.world.collect(names if job.world.local_rank == 0 else [])
    every = sorted({name for part in parts for name in part})
    if not every:
        return []
    return [f"{len(every)} file{'s' if len(every) > 1 else ''} ({few(every)}) {'are' if len(every) > 1 else 'is'}"]
