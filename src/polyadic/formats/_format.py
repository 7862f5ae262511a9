"""What each module of the family declares: a format, its functions, and what else its files can be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polyadic.formats._coordinates import Coordinates
from polyadic.formats._dense import DenseFile
from polyadic.formats._rows import Dealer, Rows


class Form(Enum):
    """How the instances of a request, and the predictions of its answer, are arranged in a format.

    `decode` gives this, and `encode` takes it. Messages list content types in the order of their forms.
    """

    DOCUMENT = auto()
    """A mapping that holds the list of instances under `instances`, and that of predictions under `predictions`."""
    LINES = auto()
    """A list of instances, and one of predictions."""
    TABLE = auto()
    """A list of rows, each a list of cells: one row per instance, and one or more per prediction."""
    ARRAY = auto()
    """A numpy array: one index of its first mode per instance, and one or more per prediction."""
    RECORDS = auto()
    """`Rows` of counts, one per instance; the predictions are a list of mappings from a name to numbers."""


class Examples(NamedTuple):
    """What the contract test of formats tries: values that come back as they were, and bytes that are refused."""

    values: Sequence[Any]
    broken: Sequence[bytes]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A way to write values as bytes: a file format and an HTTP content type alike.

    name: the module's. suffixes, content_types: the usual one first, in small letters. form: None for a format of files
    alone, which no request is written in. decode: the value of some bytes; UserError for bytes of another kind.
    encode: the bytes of a value. examples: for the contract test, made when it asks for them.
    ends_lines: whether each instance is a line of text, which a transform job may put together line by line.

    What files of the format can be besides, each a function or None:
    open_tensor: a dense tensor, whose entries stay in the file until they are read.
    read_coordinates: a sparse tensor; of (path, part, parts, labelled) it reads the `part`-th of `parts` of the
    records, the modes in `labelled` as labels where the file can tell them.
    is_sparse: which of the two a file is, where it can be either.
    heading: the names of the columns of a file's records, that of the values last; None where it has no names.
    read_rows: rows of counts; of (stream, name, dealer) the rows that the dealer gives this part, one batch at a time,
    columns and values as they were written. `unit` is what `Rows.numbers` counts: a record, or a line.
    These raise UserError that names the file, and the line or the record.

    open_arrays: every array of a file by its name, the entries left in the file until they are read.
    read_table: the rows of a file in their order, each with how a message calls it and its cells by the columns' names:
    numbers, texts, lists of them, or None for what is not there.
    read_labelled: as `read_rows`, each batch with the labels of its rows, NaN where one has none.

    pieces: a large body in pieces that are bodies of their own, of whole instances and about so many bytes each.
    names: a pattern of file names, in small letters, that have none of the suffixes.
    begins: whether a file begins with these bytes, up to 4,096 of them, where its name says nothing.
    """

    name: str
    suffixes: tuple[str, ...]
    content_types: tuple[str, ...]
    form: Form | None
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    examples: Callable[[], Examples]
    ends_lines: bool = False
    open_tensor: Callable[[Path], DenseFile] | None = None
    read_coordinates: Callable[[Path, int, int, frozenset[int]], Coordinates] | None = None
    is_sparse: Callable[[Path], bool] | None = None
    heading: Callable[[Path], list[str] | None] | None = None
    read_rows: Callable[[IO[bytes], str, Dealer], Iterator[Rows]] | None = None
    unit: str = "record"
    open_arrays: Callable[[Path], Mapping[str, DenseFile]] | None = None
    read_table: Callable[[Path], Iterator[tuple[str, Mapping[str, Any]]]] | None = None
    read_labelled: Callable[[IO[bytes], str, Dealer], Iterator[tuple[Rows, NDArray[np.float64]]]] | None = None
    pieces: Callable[[IO[bytes], int], Iterator[bytes]] | None = None
    names: re.Pattern[str] | None = None
    begins: Callable[[bytes], bool] | None = None

    def has_file(self, name: str) -> bool:
        """Whether a file of this name, in capitals or not, is of this format."""
        name = name.lower()
        return name.endswith(self.suffixes) or (self.names is not None and self.names.fullmatch(name) is not None)
