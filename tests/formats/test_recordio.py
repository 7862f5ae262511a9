"""SageMaker's records, against an encoder that shares nothing with ours: every form, and what is refused."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.formats import UNSTATED, Dealer, Row, pack_rows, recordio
from tests.helpers.format_checks import check_damaged, check_round_trip
from tests.helpers.row_values import dense, part_of, rows

FLOAT32, FLOAT64, INT32, BYTES = 2, 3, 7, 9
CODES = {FLOAT32: "f", FLOAT64: "d"}
SINGLE = {FLOAT32: 5, FLOAT64: 1, INT32: 0}


def varint(number: int) -> bytes:
    low, rest = number % 128, number // 128
    return bytes([low + 128]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes) -> bytes:
    return varint(number * 8 + 2) + varint(len(content)) + content


def number_of(kind: int, value: float) -> bytes:
    return varint(int(value) % 2**64) if kind == INT32 else struct.pack("<" + CODES[kind], value)


def tensor(values: Any, keys: Any = None, shape: Any = None, kind: int = FLOAT32, packed: bool = True) -> bytes:
    """A Value that holds a tensor."""
    parts = [(1, SINGLE[kind], [number_of(kind, one) for one in values])]
    parts += [(2, 0, [varint(one) for one in keys or []]), (3, 0, [varint(one) for one in shape or []])]
    if packed:
        inner = b"".join(field(place, b"".join(some)) for place, _, some in parts if some)
    else:
        inner = b"".join(varint(place * 8 + how) + one for place, how, some in parts for one in some)
    return field(kind, inner)


def record(value: bytes, name: str = "values") -> bytes:
    return field(1, field(1, name.encode()) + field(2, value))


def frame(payload: bytes, flag: int = 0) -> bytes:
    head = struct.pack("<II", 0xCED7230A, flag << 29 | len(payload))
    return head + payload + b"\0" * (-len(payload) % 4)


def dense_row(*values: float, **how: Any) -> bytes:
    return frame(record(tensor(values, **how)))


counts = st.lists(st.integers(0, 2**24 - 1), max_size=8)
keys = st.integers(0, 200) | st.integers(0, 2**63 - 1)


@st.composite
def records(draw: st.DrawFn) -> tuple[bytes, Row]:
    """A record, and the row that it is."""
    values, kind, packed = draw(counts), draw(st.sampled_from([FLOAT32, FLOAT64, INT32])), draw(st.booleans())
    if draw(st.booleans()) and values:
        shape = [len(values)] if draw(st.booleans()) else None
        return frame(record(tensor(values, None, shape, kind, packed))), Row(0, None, values)
    columns = draw(st.lists(keys, min_size=len(values), max_size=len(values)))
    width = draw(st.integers(UNSTATED, 2**40))
    shape = None if width == UNSTATED else [width]
    return frame(record(tensor(values, columns, shape, kind, packed))), Row(0, columns, values, width)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(records(), max_size=6), st.integers(1, 3))
def test_every_form_is_read(some: list[tuple[bytes, Row]], parts: int) -> None:
    data = b"".join(one for one, _ in some)
    wanted = [row._replace(number=number) for number, (_, row) in enumerate(some, 1)]
    for part in range(parts):
        found, mine = part_of(recordio.FORMAT, data, part, parts), pack_rows(wanted[part::parts])
        for name, column in vars(mine).items():
            assert np.array_equal(getattr(found, name), column), name


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(records(), max_size=6))
def test_batches_make_no_difference(some: list[tuple[bytes, Row]]) -> None:
    data = b"".join(one for one, _ in some)
    whole = part_of(recordio.FORMAT, data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polyadic.formats._whole_lines.BATCH_BYTES", 16)
        again = part_of(recordio.FORMAT, data)
    assert all(np.array_equal(getattr(again, name), column) for name, column in vars(whole).items())


def test_other_fields_and_features_are_passed_over() -> None:
    label = field(2, field(1, b"values") + field(2, tensor([7.0])))
    beside = record(tensor([8.0]), "other") + label + field(3, b"a uid") + field(4, b"{}")
    strange = varint(99 * 8 + 1) + bytes(8) + varint(98 * 8 + 5) + bytes(4) + varint(97 * 8) + b"\xff\x01"
    found = recordio.decode(frame(beside + strange + record(tensor([0, 3], [4, 1]))))
    assert dense(found, 5) == [[0, 3, 0, 0, 0]]


def test_negative_integers_are_seen_as_such() -> None:
    assert recordio.decode(dense_row(-1, 2, kind=INT32)).values.tolist() == [-1, 2]


def test_an_empty_record_is_an_empty_row() -> None:
    found = recordio.decode(frame(record(tensor([], [], [9]))) + frame(record(tensor([]))))
    assert found.offsets.tolist() == [0, 0, 0] and found.widths.tolist() == [9, UNSTATED]


def test_a_matrix_of_one_row_is_as_wide_as_it_has_columns() -> None:
    assert recordio.decode(frame(record(tensor([1], [3], [1, 12])))).widths.tolist() == [12]


def test_a_record_in_parts_is_put_together() -> None:
    """As MXNet writes those that hold the magic number: it is left out where they are cut."""
    magic = struct.unpack("<f", recordio.MAGIC)[0]
    whole = record(tensor([1.0, magic, 2.0]))
    before, middle, after = whole[: whole.index(recordio.MAGIC)], b"", whole[whole.index(recordio.MAGIC) + 4 :]
    two = frame(before, 1) + frame(after, 3)
    assert recordio.decode(two).values.tolist() == recordio.decode(frame(whole)).values.tolist() == [1.0, magic, 2.0]
    payloads = list(recordio.payloads(io.BytesIO(frame(b"ab", 1) + frame(middle, 2) + frame(b"c", 3)), "x"))
    assert payloads == [b"ab" + recordio.MAGIC + recordio.MAGIC + b"c"]


def test_padding_may_be_missing_at_the_end() -> None:
    assert list(recordio.payloads(io.BytesIO(frame(b"abcde")[:-3]), "x")) == [b"abcde"]


def test_rows_are_written_as_sagemaker_writes_them() -> None:
    written = pack_rows([Row(1, [1, 300], [2.0, 0.5], 1000), Row(2, [0], [1e300]), Row(3, [], [])])
    by_hand = [
        record(tensor([2.0, 0.5], [1, 300], [1000])),
        record(tensor([1e300], [0], kind=FLOAT64)),
        record(tensor([])),
    ]
    assert recordio.encode(written) == b"".join(map(frame, by_hand))


def test_answers_are_labels() -> None:
    mixtures = [np.array([0.1, 0.9]), [1.0, 0.0]]
    by_hand = [field(2, field(1, b"topic_mixture") + field(2, tensor(one))) for one in mixtures]
    assert recordio.encode([{"topic_mixture": one} for one in mixtures]) == b"".join(map(frame, by_hand))


def test_labels_that_are_texts_are_bytes_and_matrices_have_a_shape() -> None:
    score, text = field(1, b"score") + field(2, tensor([0.5])), field(9, field(1, "naïve".encode()))
    shares = field(1, b"components") + field(2, tensor([1.0, 2.0, 3.0, 4.0], shape=[2, 2]))
    by_hand = [field(2, score), field(2, field(1, b"predicted_label") + field(2, text)), field(2, shares)]
    answer = {"score": 0.5, "predicted_label": "naïve", "components": [[1, 2], [3, 4]]}
    assert recordio.encode([answer]) == frame(b"".join(by_hand))


GOOD = dense_row(1.0, 2.0)
REFUSED = {
    "another magic": (GOOD + b"\x0b" + GOOD[1:], r"record 2: it begins with 0b 23 d7 ce and not with RecordIO's 0a 23"),
    "text": (b"1,2,3\n", "record 1: it begins with 31 2c 32 2c"),
    "a frame cut in its head": (GOOD + GOOD[:6], "record 2: the data ends early, with 6 bytes of its frame's 8"),
    "a head cut in its magic": (GOOD + GOOD[:3], "record 2: the data ends early"),
    "a record cut short": (GOOD + GOOD[:-9], "record 2: the data ends early, with 15 bytes of 24"),
    "a last part that is missing": (GOOD + frame(b"a", 1), "record 2: the data ends early, with its last part is mis"),
    "a first part after a first": (frame(b"a", 1) + frame(b"a", 1), "record 1: a part of a record stands where none"),
    "a last part alone": (frame(b"a", 3), "record 1: a part of a record stands where none is due"),
    "an unknown flag": (frame(b"a", 5), "record 1: a part of a record stands where none is due"),
    "no features": (GOOD + frame(b""), r"record 2 is not an aialgs\.data\.Record \(it has no features\)"),
    "another feature": (frame(record(tensor([1]), "x")), r"\(it has no feature 'values', only 'x'\)"),
    "bytes": (frame(record(field(BYTES, field(1, b"abc")))), "its values are no tensor of numbers"),
    "a field that runs past": (frame(b"\x0a\x09abc"), "a field runs past its end"),
    "a tag alone": (frame(b"\x0a"), "a field runs past its end"),
    "a group": (frame(b"\x0b\x0c"), "a field of wire type 3"),
    "a number without end": (frame(b"\xff" * 20), "a number of more than 10 bytes"),
    "half a value": (frame(record(field(FLOAT32, field(1, b"abc")))), "its values end within a number"),
    "half an integer": (frame(record(field(INT32, field(1, b"\xff")))), "its values end within a number"),
    "half a key": (frame(record(field(FLOAT32, field(2, b"\xff")))), "its keys or its shape end within a number"),
    "values of another kind": (
        frame(record(field(FLOAT32, b"\x09" + bytes(8)))),
        "field 1 of its values has the wire type 1",
    ),
    "fewer keys": (GOOD + dense_row(1, 2, 3, keys=[1, 2]), "record 2: 3 values and 2 keys: give as many of each"),
    "keys alone": (dense_row(keys=[1, 2]), "record 1: 0 values and 2 keys"),
    "another shape": (GOOD + dense_row(1, 2, 3, shape=[4]), "record 2: 3 values and a shape of 4"),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_what_is_refused_is_located(what: str) -> None:
    data, message = REFUSED[what]
    with pytest.raises(UserError, match=f"^the file, .*{message}"):
        part_of(recordio.FORMAT, data)


NIPS = Path(__file__).parents[3] / "shared" / "data" / "nips-train_1.pbr"


@pytest.mark.skipif(not NIPS.exists(), reason="nips-train_1.pbr is not in ../shared/data")
def test_amazons_own_file_is_read() -> None:
    found = recordio.decode(NIPS.read_bytes())
    assert len(found) == 350 and set(found.widths.tolist()) == {12_419} and found.columns.max() == 12_417
    assert found.values.sum() == 451_275
    assert recordio.encode(found) == NIPS.read_bytes()


@pytest.mark.slow
@settings(deadline=None)
@given(value=rows(stated="each"), data=st.data())
def test_any_corpus_comes_back(value: Any, data: st.DataObject) -> None:
    check_round_trip(recordio.FORMAT, value)
    check_damaged(recordio.FORMAT, value, data)


def test_records_with_labels_come_with_them() -> None:
    plain = record(tensor([1.0, 2.0]))
    labelled = record(tensor([3.0, 4.0])) + field(2, field(1, b"values") + field(2, tensor([7.0])))
    other = record(tensor([5.0, 6.0])) + field(2, field(1, b"weight") + field(2, tensor([9.0])))
    body = b"".join(frame(payload) for payload in (plain, labelled, other))
    batches = list(recordio.read_labelled(io.BytesIO(body), "a.pbr", Dealer()))
    labels = np.concatenate([labels for _, labels in batches])
    assert np.array_equal(labels, [np.nan, 7.0, np.nan], equal_nan=True)
    assert [list(values) for rows, _ in batches for _, values, _ in rows.each()] == [[1, 2], [3, 4], [5, 6]]
    second = list(recordio.read_labelled(io.BytesIO(body), "a.pbr", Dealer(1, 3)))
    assert [labels.tolist() for _, labels in second] == [[7.0]]
    with pytest.raises(UserError, match=r"a\.pbr, record 1"):
        list(recordio.read_labelled(io.BytesIO(b"x"), "a.pbr", Dealer()))
