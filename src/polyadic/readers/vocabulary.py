"""The channel that holds the terms of documents, one per line."""

from __future__ import annotations

from typing import Any

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.formats import opened, whole_lines
from polyadic.jobs.channels import Channel
from polyadic.jobs.job import Job
from polyadic.readers.pipes import await_pipe
from polyadic.readers.shares import agreed, few

VOCABULARY = "vocabulary"


def read_vocabulary(job: Job[Any], terms: int | None) -> list[str] | None:
    """The terms of channel `vocabulary`, one per line, alike on every rank; None without that channel. A collective.

    Raises UserError for no file, more than one, a text that is not UTF-8, an empty line, and another number of terms.
    """
    if VOCABULARY not in job.channels:
        return None
    source = job.channels[VOCABULARY]
    own = agreed(job.world, lambda: _words(source, job.world))
    vocabulary = next((read for read in job.world.collect(own) if read), None)
    if vocabulary is None:
        raise UserError(f"channel {VOCABULARY} holds no file: give one text, with one term per line")
    name, words = vocabulary
    if terms is not None and len(words) != terms:
        raise UserError(
            f"{name} has {len(words)} terms and the corpus has {terms} (feature_dim): the vocabulary has a line for "
            "each term, in the order of their numbers"
        )
    return words


def _words(channel: Channel, world: World) -> tuple[str, list[str]] | None:
    """The vocabulary's file and its terms; None where this rank has none to read."""
    if len(channel.files) > 1:
        names = few([path.name for path in channel.files])
        raise UserError(
            f"channel {channel.name} holds {len(channel.files)} files ({names}): give one text, with one term per line"
        )
    if not channel.files or (channel.piped and world.local_rank):
        return None
    path = channel.files[0]
    if channel.piped:
        await_pipe(path, channel.name)
    with opened(path) as file:
        lines = b"".join(line for lines in whole_lines(file, path.name) for line in lines).rstrip().split(b"\n")
    return path.name, [_word(line, path.name, number) for number, line in enumerate(lines, 1)]


def _word(line: bytes, name: str, number: int) -> str:
    try:
        word = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name}, line {number}: {error}. A vocabulary is a text in UTF-8, with one term per line"
        ) from None
    if not word:
        raise UserError(f"{name}, line {number} is empty: give one term per line, in the order of their numbers")
    return word
