"""A channel's files -> the documents that they hold, each rank its share."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.formats import UNSTATED, Dealer, Format, Rows
from polyadic.jobs.channels import Channel
from polyadic.jobs.job import Job
from polyadic.readers import corpus_files
from polyadic.readers.choice import choose
from polyadic.readers.pipes import await_pipe
from polyadic.readers.shares import Holding, agreed
from polyadic.topics.corpus import LARGEST_COUNT, Corpus

ADVICE = "Documents are counts of words, not texts: docs/topics.md says how to count the words of texts"
MOST_NONZEROS_IN_MEMORY = 2**27
"""Of a rank, at 12 bytes each. Where there are more, all lie on the disk and are mapped."""


@dataclass(frozen=True)
class CorpusRead:
    """This rank's documents, which may be none, and what to say of those of all ranks."""

    corpus: Corpus
    warnings: list[str]


class Width(NamedTuple):
    """How many terms there are, and what says so."""

    terms: int
    source: str


def read_corpus(job: Job[Any], channel: str, terms: int | None, *, may_be_empty: bool = False) -> CorpusRead:
    """This rank's share of a channel's documents: a collective, with one verdict on every rank.

    The ranks that see the same files deal the documents out in turn. Without `terms` (feature_dim) they are as many as
    the rows state, or else as the largest key needs. Of a channel in Pipe mode, one rank a host reads, and only once.

    Raises UserError, with the file and the record or line, for no documents unless there may be none, what the formats
    refuse, keys that are no terms, rows of another length, and counts that are negative, not finite or too large.
    """
    source = job.channels[channel]
    stated = agreed(job.world, lambda: corpus_files.stated(source))
    chosen: dict[Path, Format | None] = {}
    if not source.piped:
        chosen |= choose(job, channel, corpus_files.formats(), ADVICE)
    elif job.world.local_rank == 0:
        chosen = dict.fromkeys(source.files, stated)
    holding = _holding(source, list(chosen), job.world)
    gathered = _Gathered(None if terms is None else Width(terms, "feature_dim"))
    agreed(job.world, lambda: _gather(gathered, holding, chosen, source))
    corpus = gathered.join(_width(gathered, job.world).terms)
    return CorpusRead(corpus, _warnings(channel, gathered.tally, job.world, may_be_empty))


def corpus_of(rows: Rows, name: str, unit: str, width: Width | None) -> Corpus:
    """The corpus of rows of counts, checked; without a width, of as many terms as the largest key needs.

    Raises UserError that names the row: `name`, `unit` and its number.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        counts = rows.values.astype(np.float32)
    _refuse_faults(rows, counts, name, unit, width)
    terms = int(rows.columns.max(initial=-1)) + 1 if width is None else width.terms
    offsets, words, numbers = map(torch.from_numpy, (rows.offsets, rows.columns, counts))
    if _in_order(rows) and counts.all():
        return Corpus(offsets, words, numbers, terms)
    documents = torch.repeat_interleave(torch.arange(len(rows)), offsets.diff())
    return Corpus.of_places(documents, words, numbers, len(rows), terms)


def _in_order(rows: Rows) -> bool:
    """Whether each row's columns rise."""
    rises = np.diff(rows.columns) > 0
    inner = rows.offsets[1:-1]
    rises[inner[(inner > 0) & (inner < len(rows.columns))] - 1] = True
    return bool(rises.all())


def _refuse_faults(rows: Rows, counts: NDArray[np.float32], name: str, unit: str, width: Width | None) -> None:
    """UserError for the first row that is no document."""
    wrong = [_width_fault(rows, width)] if width else []
    beyond = rows.columns >= width.terms if width else np.zeros(len(rows.columns), bool)
    faulty = np.flatnonzero((rows.columns < 0) | beyond | ~(counts <= LARGEST_COUNT) | (counts < 0))
    if len(faulty):
        entry = int(faulty[0])
        row = _row_of_entry(rows, entry)
        wrong.append((row, _entry_fault(int(rows.columns[entry]), float(rows.values[entry]), width)))
    row, why = min((fault for fault in wrong if fault), default=(0, ""))
    if why:
        raise UserError(f"{name}, {unit} {rows.numbers[row]}: {why}")


def _row_of_entry(rows: Rows, entry: int) -> int:
    return int(np.searchsorted(rows.offsets, entry, "right")) - 1


def _width_fault(rows: Rows, width: Width) -> tuple[int, str] | None:
    faulty = np.flatnonzero((rows.widths != UNSTATED) & (rows.widths != width.terms))
    if not len(faulty):
        return None
    row = int(faulty[0])
    stated = rows.widths[row]
    return row, f"it has {stated} terms where {width.source} has {width.terms}: every document has one count per term"


def _entry_fault(column: int, value: float, width: Width | None) -> str:
    if column < 0:
        return f"the key {column} is no term: terms count from 0"
    if width is not None and column >= width.terms:
        return (
            f"the key {column} is beyond the {width.terms} terms of {width.source}: terms count from 0 to "
            f"{width.terms - 1}"
        )
    how = "is negative" if value < 0 else "is too large" if np.isfinite(value) else "is not finite"
    return f"the count of term {column}, {value:g}, {how}: give how often the term occurs, 0 to {LARGEST_COUNT:,}"


@dataclass
class _Tally:
    """What is said of the documents."""

    documents: int = 0
    empty: int = 0
    counts: int = 0
    fractional: int = 0


class _Spilled:
    """Documents in two files of a temporary folder, which is removed when they are mapped."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="polyadic-corpus-")
        self._words, self._counts = (Path(self._folder.name) / name for name in ("words", "counts"))
        self._lengths = [torch.zeros(1, dtype=torch.int64)]

    def append(self, piece: Corpus) -> None:
        """Writes documents behind those that are there."""
        self._lengths.append(piece.offsets.diff())
        for path, part in ((self._words, piece.words), (self._counts, piece.counts)):
            with path.open("ab") as file:
                part.numpy().tofile(file)

    def mapped(self, terms: int) -> Corpus:
        """The corpus, its pages read from the disk when they are wanted."""
        offsets = torch.cat(self._lengths).cumsum(0)
        size = int(offsets[-1])
        words = torch.from_file(str(self._words), size=size, dtype=torch.int64)
        counts = torch.from_file(str(self._counts), size=size, dtype=torch.float32)
        self._folder.cleanup()
        return Corpus(offsets, words, counts, terms)


@dataclass
class _Gathered:
    """The documents so far, in pieces; a width that was given or stated; the largest key, and where it stands."""

    width: Width | None
    largest: tuple[int, str] = (-1, "")
    pieces: list[Corpus] = field(default_factory=list)
    held: int = 0
    spilled: _Spilled | None = None
    tally: _Tally = field(default_factory=_Tally)

    def add(self, rows: Rows, name: str, unit: str) -> None:
        """Takes the rows of a batch; UserError for those that are no documents."""
        stated = np.flatnonzero(rows.widths != UNSTATED)
        if self.width is None and len(stated):
            first = stated[0]
            self.width = Width(int(rows.widths[first]), f"{name}, {unit} {rows.numbers[first]},")
        piece = corpus_of(rows, name, unit, self.width)
        if rows.columns.max(initial=-1) > self.largest[0]:
            entry = int(rows.columns.argmax())
            place = f"{name}, {unit} {rows.numbers[_row_of_entry(rows, entry)]}"
            self.largest = (int(rows.columns[entry]), place)
        self._count(piece)
        self.pieces.append(piece)
        self.held += len(piece.words)
        if self.held > MOST_NONZEROS_IN_MEMORY:
            self._spill()

    def _count(self, piece: Corpus) -> None:
        self.tally.documents += len(piece)
        self.tally.empty += int((piece.offsets.diff() == 0).sum())
        self.tally.counts += len(piece.counts)
        self.tally.fractional += int((piece.counts != piece.counts.floor()).sum())

    def _spill(self) -> None:
        """Moves what is held to the disk."""
        self.spilled = self.spilled or _Spilled()
        for piece in self.pieces:
            self.spilled.append(piece)
        self.pieces.clear()
        self.held = 0

    def join(self, terms: int) -> Corpus:
        """The documents as one corpus; empties the pieces."""
        if self.spilled:
            self._spill()
            return self.spilled.mapped(terms)
        lengths = [torch.zeros(1, dtype=torch.int64), *(piece.offsets.diff() for piece in self.pieces)]
        words = [torch.zeros(0, dtype=torch.int64), *(piece.words for piece in self.pieces)]
        counts = [torch.zeros(0), *(piece.counts for piece in self.pieces)]
        self.pieces.clear()
        return Corpus(torch.cat(lengths).cumsum(0), torch.cat(words), torch.cat(counts), terms)


def _holding(channel: Channel, paths: list[Path], world: World) -> Holding:
    """This rank's part in reading the files; the one rank of a host that reads a pipe reads all that comes of it."""
    holding = Holding.of(channel, dict.fromkeys(paths), world)
    holding.refuse_differing_hosts(world)
    return holding


def _gather(gathered: _Gathered, holding: Holding, chosen: Mapping[Path, Format | None], channel: Channel) -> None:
    dealer = Dealer(holding.part, holding.parts)
    for path in holding.paths:
        if channel.piped:
            await_pipe(path, channel.name)
        for rows, unit in corpus_files.batches(path, chosen.get(path), dealer):
            gathered.add(rows, path.name, unit)


def _width(gathered: _Gathered, world: World) -> Width:
    """How many terms all ranks' documents have; UserError where they do not agree."""
    of_ranks = world.collect((gathered.width, gathered.largest))
    largest, where = max(largest for _, largest in of_ranks)
    widths = [width for width, _ in of_ranks if width is not None]
    width = widths[0] if widths else Width(largest + 1, where)
    other = next((width_ for width_ in widths if width_.terms != width.terms), None)
    if other is not None:
        raise UserError(
            f"{width.source} has {width.terms} terms and {other.source} has {other.terms}: every document has one "
            "count per term"
        )
    if largest >= width.terms:
        raise UserError(f"{where}: {_entry_fault(largest, 0.0, width)}")
    return width


def _warnings(channel: str, tally: _Tally, world: World, may_be_empty: bool) -> list[str]:
    """What all ranks say together; UserError where they have no document."""
    tallies = world.collect((tally.documents, tally.empty, tally.counts, tally.fractional))
    documents, empty, counts, fractional = map(sum, zip(*tallies, strict=True))
    if not documents and not may_be_empty:
        raise UserError(f"channel {channel} holds no documents: its files are empty")
    warnings = []
    if fractional:
        warnings.append(f"{fractional} of {counts} counts are not whole: they are taken as they are")
    if empty:
        warnings.append(f"{empty} of {documents} documents are empty: they are kept, and say nothing of the topics")
    return [f"channel {channel}: {warning}" for warning in warnings]
