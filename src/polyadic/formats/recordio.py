"""application/x-recordio-protobuf: SageMaker's records, each an aialgs.data.Record in a frame of RecordIO.

Rows of counts are the feature `values`: all values of a row (dense), or keys and values (sparse). Answers are labels.
A frame is a magic number, a length with 3 bits that say whether it is a part of a record, and the payload, padded to
4 bytes. https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-training.html
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten
from polyadic.formats import _whole_lines
from polyadic.formats._format import Examples, Form, Format
from polyadic.formats._protobuf import (
    BYTES,
    EIGHT,
    FOUR,
    VARINT,
    Broken,
    cut_short,
    field,
    fields,
    varint,
    varints,
    written,
)
from polyadic.formats._rows import LARGEST_COLUMN, UNSTATED, Dealer, Row, Rows, join_rows, offsets_of, pack_rows
from polyadic.room import refuse_large

T = TypeVar("T")
_PLAIN = (".pbr", ".recordio", ".rec", ".pr")
MAGIC = struct.pack("<I", 0xCED7230A)

_HEAD = struct.Struct("<4sI")
_LENGTH_BITS = 29
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)

_FEATURES, _LABEL = 1 << 3 | BYTES, 2 << 3 | BYTES
_KEY, _VALUE = 1 << 3 | BYTES, 2 << 3 | BYTES
_FLOAT32, _FLOAT64, _INT32 = 2 << 3 | BYTES, 3 << 3 | BYTES, 7 << 3 | BYTES
_BYTES, _TEXT = 9 << 3 | BYTES, 1 << 3 | BYTES
_WIRE_TYPES = {_FLOAT32: FOUR, _FLOAT64: EIGHT, _INT32: VARINT}
_NUMBERS: dict[int, np.dtype[Any]] = {_FLOAT32: np.dtype("<f4"), _FLOAT64: np.dtype("<f8")}


class _Tensor(NamedTuple):
    """A row's tensor, its numbers as they stand in the bytes."""

    number: int
    kind: int
    values: bytes
    keys: bytes
    shape: bytes


def decode(data: bytes) -> Rows:
    """The rows of a body; UserError with the record's number for broken ones."""
    return join_rows(read_rows(io.BytesIO(data), "the body", Dealer()))


def encode(value: Rows | Sequence[Mapping[str, Any]]) -> bytes:
    """One record per row; or one per prediction, whose parts are its labels: numbers in float32, a text as bytes."""
    if isinstance(value, Rows):
        return b"".join(_framed(_entry(_FEATURES, "values", _row(*row))) for row in value.each())
    return b"".join(
        _framed(b"".join(_entry(_LABEL, name, _part(part)) for name, part in answer.items())) for answer in value
    )


def read_labelled(file: IO[bytes], name: str, dealer: Dealer) -> Iterator[tuple[Rows, NDArray[np.float64]]]:
    """The same of records with labels, each batch with them: the first number of the label `values`, or NaN."""
    yield from _read(file, name, dealer, lambda batch: _labelled(batch, name))


def read_rows(file: IO[bytes], name: str, dealer: Dealer) -> Iterator[Rows]:
    """A part of the rows of a stream, one batch at a time; UserError with the file and the record's number."""
    yield from _read(file, name, dealer, lambda batch: _decoded(batch, name))


def _read(
    file: IO[bytes], name: str, dealer: Dealer, decoded: Callable[[list[tuple[int, bytes]]], Iterable[T]]
) -> Iterator[T]:
    """What is decoded of this part's records, one batch after another."""
    batch: list[tuple[int, bytes]] = []
    size = 0
    for number, payload in enumerate(payloads(file, name), 1):
        if dealer.mine(1).start == 0:
            batch.append((number, payload))
            size += len(payload)
        if size >= _whole_lines.BATCH_BYTES:
            yield from decoded(batch)
            batch, size = [], 0
    yield from decoded(batch)


def pieces(body: IO[bytes], most_bytes: int) -> Iterator[bytes]:
    """A large body in bodies of whole records."""
    piece = bytearray()
    for payload in payloads(body, "the body"):
        piece += _framed(payload)
        if len(piece) >= most_bytes:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def payloads(file: IO[bytes], name: str) -> Iterator[bytes]:
    """What the frames of a stream hold; a record in several parts is put together."""
    number, parts = 1, list[bytes]()
    while head := file.read(_HEAD.size):
        try:
            flag, data = _frame(file, head)
            if flag > _LAST or (flag in (_WHOLE, _FIRST)) == bool(parts):
                raise Broken("a part of a record stands where none is due: the file is damaged, write it anew")
        except Broken as error:
            raise UserError(f"{name}, record {number}: {error}") from None
        parts.append(data)
        refuse_large(sum(map(len, parts)), f"{name}, record {number},")
        if flag in (_WHOLE, _LAST):
            # Records are cut where the magic number stands in them, and it is left out.
            yield MAGIC.join(parts)
            number, parts = number + 1, []
    if parts:
        raise UserError(f"{name}, record {number}: {_early('its last part is missing')}")


def _frame(file: IO[bytes], head: bytes) -> tuple[int, bytes]:
    """Which part of a record a frame is, and its payload."""
    if not head.startswith(MAGIC[: len(head)]):
        raise Broken(
            f"it begins with {head[:4].hex(' ')} and not with RecordIO's {MAGIC.hex(' ')}: give records such as "
            "sagemaker.amazon.common writes, or the content type that the data is of"
        )
    if len(head) < _HEAD.size:
        raise Broken(_early(f"{len(head)} bytes of its frame's {_HEAD.size}"))
    _, word = _HEAD.unpack(head)
    length = word & ((1 << _LENGTH_BITS) - 1)
    data = file.read(length + -length % 4)
    if len(data) < length:
        raise Broken(_early(f"{len(data)} bytes of {length}"))
    return word >> _LENGTH_BITS, data[:length]


def _early(what: str) -> str:
    return f"the data ends early, with {what}: copy it whole"


def _decoded(batch: list[tuple[int, bytes]], name: str) -> Iterator[Rows]:
    """The rows of a batch of payloads; neighbours with one kind of numbers are decoded together."""
    tensors = []
    for number, payload in batch:
        try:
            tensors.append(_parsed(number, payload))
        except (Broken, IndexError) as error:
            why = error if isinstance(error, Broken) else "a field runs past its end"
            raise UserError(
                f"{name}, record {number} is not an aialgs.data.Record ({why}): write it with sagemaker.amazon.common"
            ) from None
    for _, group in groupby(tensors, attrgetter("kind")):
        yield _rows_of(list(group), name)


def _labelled(batch: list[tuple[int, bytes]], name: str) -> Iterator[tuple[Rows, NDArray[np.float64]]]:
    """The rows of a batch with their labels."""
    labels = {number: _label(payload) for number, payload in batch}
    for rows in _decoded(batch, name):
        yield rows, np.array([labels[number] for number in rows.numbers.tolist()], np.float64)


def _label(payload: bytes) -> float:
    """The first number of the label `values`; NaN for a record without one. The record is checked elsewhere."""
    try:
        labels = [_mapped(payload, *place) for tag, *place in fields(payload, 0, len(payload)) if tag == _LABEL]
        place = next(place for key, place in reversed(labels) if key == b"values")
        kind, start, stop = [entry for entry in fields(payload, *place) if entry[0] in _WIRE_TYPES][-1]
        numbers, _ = _values([_tensor_of(0, payload, kind, start, stop)])
        return float(numbers[0])
    except (Broken, IndexError, StopIteration):
        return math.nan


def _parsed(number: int, payload: bytes) -> _Tensor:
    features = [_mapped(payload, *place) for tag, *place in fields(payload, 0, len(payload)) if tag == _FEATURES]
    place = next((place for key, place in reversed(features) if key == b"values"), None)
    if place is None:
        names = ", ".join(shorten(key.decode("utf-8", "replace")) for key, _ in features)
        raise Broken(f"it has no feature 'values', only {names}" if names else "it has no features")
    kinds = [(tag, start, stop) for tag, start, stop in fields(payload, *place) if tag in _WIRE_TYPES]
    if not kinds:
        raise Broken("its values are no tensor of numbers")
    kind, start, stop = kinds[-1]
    return _tensor_of(number, payload, kind, start, stop)


def _tensor_of(number: int, payload: bytes, kind: int, start: int, stop: int) -> _Tensor:
    """A tensor's numbers, packed or one by one."""
    parts: tuple[list[bytes], ...] = ([], [], [])
    single = (_WIRE_TYPES[kind], VARINT, VARINT)
    for tag, begin, end in fields(payload, start, stop):
        number_of_part, wire_type = (tag >> 3) - 1, tag & 7
        if 0 <= number_of_part < len(parts):
            if wire_type not in (BYTES, single[number_of_part]):
                raise Broken(f"field {number_of_part + 1} of its values has the wire type {wire_type}")
            parts[number_of_part].append(payload[begin:end])
    values, keys, shape = (b"".join(part) for part in parts)
    if len(values) % _NUMBERS[kind].itemsize if kind in _NUMBERS else cut_short(values):
        raise Broken("its values end within a number")
    if cut_short(keys) or cut_short(shape):
        raise Broken("its keys or its shape end within a number")
    return _Tensor(number, kind, values, keys, shape)


def _mapped(data: bytes, begin: int, end: int) -> tuple[bytes, tuple[int, int]]:
    """An entry of a map: its key, and where its value stands."""
    key, value = b"", (begin, begin)
    for tag, start, stop in fields(data, begin, end):
        if tag == _KEY:
            key = data[start:stop]
        elif tag == _VALUE:
            value = (start, stop)
    return key, value


def _values(tensors: list[_Tensor]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The values of tensors of one kind, and how many each has."""
    if (dtype := _NUMBERS.get(tensors[0].kind)) is None:
        numbers, counts = varints(tensor.values for tensor in tensors)
        return numbers.view(np.int64).astype(np.float64), counts
    data = b"".join(tensor.values for tensor in tensors)
    counts = np.array([len(tensor.values) // dtype.itemsize for tensor in tensors], np.int64)
    with np.errstate(invalid="ignore"):  # A signalling NaN: whoever checks the values will say so.
        return np.frombuffer(data, dtype).astype(np.float64), counts


def _rows_of(tensors: list[_Tensor], name: str) -> Rows:
    values, counts = _values(tensors)
    keys, keyed = varints(tensor.keys for tensor in tensors)
    widths = np.array([_width(tensor.shape) for tensor in tensors], np.int64)
    numbers = np.array([tensor.number for tensor in tensors], np.int64)
    dense = (keyed == 0) & (counts > 0)
    _refuse_misfits(counts, keyed, widths, dense, numbers, name)
    offsets = offsets_of(counts)
    every = np.repeat(dense, counts)
    columns = np.arange(len(values)) - np.repeat(offsets[:-1], counts)
    columns[~every] = np.minimum(keys, np.uint64(LARGEST_COLUMN)).astype(np.int64)
    rows = Rows(offsets, columns, values, np.where(dense, counts, widths), numbers)
    return rows.kept(~every | (values != 0)) if dense.any() else rows


def _refuse_misfits(
    counts: NDArray[np.int64],
    keyed: NDArray[np.int64],
    widths: NDArray[np.int64],
    dense: NDArray[np.bool_],
    numbers: NDArray[np.int64],
    name: str,
) -> None:
    """UserError for keys, or a shape, that the values of a record do not fit."""
    wrong = np.flatnonzero(np.where(dense, (widths != UNSTATED) & (widths != counts), keyed != counts))
    if len(wrong):
        row = wrong[0]
        other = f"a shape of {widths[row]}" if dense[row] else f"{keyed[row]} keys"
        raise UserError(f"{name}, record {numbers[row]}: {counts[row]} values and {other}: give as many of each")


def _width(shape: bytes) -> int:
    """How many columns a row has by its shape: the product of its sides."""
    width, place = 1 if shape else UNSTATED, 0
    while place < len(shape):
        side, place = varint(shape, place)
        width = min(width * side, LARGEST_COLUMN)
    return width


def _framed(payload: bytes) -> bytes:
    if len(payload) >> _LENGTH_BITS:
        raise UserError(f"a record of {len(payload)} bytes is more than RecordIO's {2**_LENGTH_BITS - 1}: divide it")
    return _HEAD.pack(MAGIC, len(payload)) + payload + bytes(-len(payload) % 4)


def _entry(tag: int, name: str, value: bytes) -> bytes:
    """An entry of a record's map."""
    return field(tag, field(_KEY, name.encode()) + field(_VALUE, value))


def _part(value: Any) -> bytes:
    """The value of a label: bytes, or a tensor, which has its shape where it is more than a vector."""
    if isinstance(value, str):
        return field(_BYTES, field(_TEXT, value.encode()))
    numbers = np.asarray(value, np.float32)
    return _tensor(numbers, shape=written(list(numbers.shape)) if numbers.ndim > 1 else b"")


def _row(columns: NDArray[np.int64], values: NDArray[np.float64], width: int) -> bytes:
    shape = b"" if width == UNSTATED else written([width])
    return _tensor(values, written(columns.tolist()), shape)


def _tensor(numbers: Any, keys: bytes = b"", shape: bytes = b"") -> bytes:
    """A tensor in float32, or in float64 where float32 would not hold the numbers."""
    wide = np.asarray(numbers, np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    exact = np.asarray(numbers).dtype == np.float32 or np.array_equal(narrow, wide, equal_nan=True)
    data = (narrow.astype("<f4") if exact else wide.astype("<f8")).tobytes()
    parts = (data, keys, shape)
    inner = b"".join(field(place << 3 | BYTES, part) for place, part in enumerate(parts, 1) if part)
    return field(_FLOAT32 if exact else _FLOAT64, inner)


def _examples() -> Examples:
    values = (
        pack_rows([]),
        pack_rows([Row(1, [0, 7, 3], [1, 2.5, 1e300], 8), Row(2, [], []), Row(3, [5, 5], [0, 1], 0)]),
    )
    broken = (b"x", b"1,2\n", MAGIC, MAGIC + bytes(4), MAGIC + b"\1\0\0\0\xff\0\0\0")
    return Examples(values, broken)


FORMAT = Format(
    name="recordio",
    suffixes=(*_PLAIN, *(f"{suffix}.gz" for suffix in _PLAIN)),
    content_types=("application/x-recordio-protobuf", "application/x-recordio"),
    form=Form.RECORDS,
    decode=decode,
    encode=encode,
    pieces=pieces,
    examples=_examples,
    read_rows=read_rows,
    read_labelled=read_labelled,
    begins=lambda head: head.startswith(MAGIC),
)
