"""A channel's files as samples: every format, shared between ranks; and what is refused, with file and row."""

from __future__ import annotations

import contextlib
import gzip
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from safetensors.numpy import save_file

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.formats import Row, csv, images, jsonlines, pack_rows, recordio
from polyadic.jobs import hyperparameters as hyper
from polyadic.jobs.channels import Channel
from polyadic.jobs.job import Job
from polyadic.readers.samples.channel import content_types, read_samples
from polyadic.readers.samples.columns import Samples
from polyadic.training.checkpoint import NoCheckpoints
from tests.formats.test_recordio import field, frame, record, tensor
from tests.helpers.ranks import on_ranks

COUNT, SHAPE = 7, (2, 3)
X = np.arange(COUNT * 6, dtype=np.float32).reshape(COUNT, *SHAPE)
LABEL = np.arange(COUNT) % 2


def read(folder: Path, world: World | None = None, divided: bool = False, **options: Any) -> Samples:
    """The samples of a folder."""
    files = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
    job = Job(
        algorithm="any",
        hyperparameters=hyper.Hyperparameters(),
        world=world or World.alone(),
        channels={"train": Channel("train", folder, files, divided)},
        checkpoints=NoCheckpoints(),
    )
    return read_samples(job, "train", **options)


def write_npz(folder: Path) -> None:
    np.savez(folder / "a.npz", x=X, label=LABEL)


def write_safetensors(folder: Path) -> None:
    save_file({"x": X, "label": LABEL}, folder / "a.safetensors")


def write_npy(folder: Path) -> None:
    np.save(folder / "train.x.npy", X)
    np.save(folder / "train.label.npy", LABEL)


def write_json_lines(folder: Path) -> None:
    rows = [{"x": x.tolist(), "label": int(label)} for x, label in zip(X, LABEL, strict=True)]
    (folder / "a.jsonl").write_bytes(jsonlines.encode(rows[:3]))
    (folder / "b.json").write_bytes(jsonlines.encode(rows[3:]))


def write_parquet(folder: Path) -> None:
    parquet.write_table(pa.table({"x": X.tolist(), "label": LABEL.tolist()}), folder / "a.parquet")


WRITERS = [write_npz, write_safetensors, write_npy, write_json_lines, write_parquet]
each = pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)


@each
def test_every_format_has_the_same_samples(tmp_path: Path, write: Any) -> None:
    write(tmp_path)
    samples = read(tmp_path)
    assert np.array_equal(samples.tensors["x"], X)
    assert list(samples.label) == LABEL.tolist()


def share(world: World, folder: Path) -> tuple[list[float], list[float]]:
    """The first number and the label of each sample of this rank."""
    samples = read(folder, world)
    return samples.tensors["x"][:, 0, 0].tolist(), list(samples.label)


@each
def test_ranks_share_the_samples(tmp_path: Path, write: Any) -> None:
    write(tmp_path)
    shares = on_ranks(2, share, tmp_path)
    assert sorted(first for firsts, _ in shares for first in firsts) == X[:, 0, 0].tolist()
    assert all(firsts for firsts, _ in shares)
    assert all(label == first / 6 % 2 for firsts, labels in shares for first, label in zip(firsts, labels, strict=True))


def test_a_table_names_pictures_and_texts(tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    for number in range(2):
        (tmp_path / "shown" / f"{number}.png").write_bytes(images.encode(np.full((4, 5, 3), number, np.uint8)))
    rows = [["file", "question", "label"], ["shown/1.png", "red?", "yes"], ["shown/0.png", "blue?", "no"]]
    (tmp_path / "rows.csv").write_bytes(csv.encode([*rows, ["shown/1.png", "a circle?", "no"]]))
    samples = read(tmp_path)
    assert samples.pictures["picture"].index.tolist() == [0, 1, 0]
    assert samples.pictures["picture"].pixels[:, 0, 0, 0].tolist() == [1, 0]
    assert samples.texts["question"] == ["red?", "blue?", "a circle?"]
    assert samples.label == ["yes", "no", "no"]
    (tmp_path / "shown" / "0.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(UserError, match=r"rows\.csv, line 3: shown/0\.png"):
        read(tmp_path)
    (tmp_path / "shown" / "0.png").unlink()
    with pytest.raises(UserError, match=r"rows\.csv, line 3: there is no picture shown/0\.png"):
        read(tmp_path)


def labelled(values: list[float], label: float | None, **how: Any) -> bytes:
    """A record of RecordIO."""
    own = b"" if label is None else field(2, field(1, b"values") + field(2, tensor([label])))
    return frame(record(tensor(values, **how)) + own)


def test_records_have_labels_and_are_folded(tmp_path: Path) -> None:
    body = labelled([1, 2, 3, 4], 1) + labelled([9], 0, keys=[2], shape=[4])
    (tmp_path / "a.pbr").write_bytes(body)
    samples = read(tmp_path, feature_shape=(2, 2))
    assert samples.tensors["features"].tolist() == [[[1, 2], [3, 4]], [[0, 0], [9, 0]]]
    assert list(samples.label) == [1, 0]
    with pytest.raises(UserError, match=r"feature_shape is \[3, 2\], 6 numbers, and features has 4"):
        read(tmp_path, feature_shape=(3, 2))
    for second, said in (
        (labelled([1, 2], 1), "record 2: it has 2 numbers where others have 4"),
        (labelled([1, 2, 3, 4], None), "record 2: it has no label"),
        (labelled([9], 0, keys=[4], shape=[4]), "record 2: the key 4 is beyond its shape"),
        (labelled([1, 2, 3, float("nan")], 1), "record 2: a number is not finite"),
    ):
        (tmp_path / "a.pbr").write_bytes(labelled([1, 2, 3, 4], 1) + second)
        with pytest.raises(UserError, match=said):
            read(tmp_path)


def test_records_without_labels_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.pbr").write_bytes(recordio.encode(pack_rows([Row(1, None, [1.0, 2.0])])))
    with pytest.raises(UserError, match=r"a\.pbr, record 1: it has no label"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": X}, "has no array label"),
        ({"label": LABEL}, "nothing but label"),
        ({"x": X[:3], "label": LABEL}, "x has 3 samples, and label 7"),
        ({"x": X, "label": np.ones((COUNT, 2))}, "one number for each sample"),
        ({"x": np.where(X == 20, np.nan, X), "label": LABEL}, r"x, sample 3: a number is not finite"),
        ({"x": X, "label": np.where(LABEL > 0, np.nan, 0.0)}, "label, sample 1"),
        ({"x": X[:0], "label": LABEL[:0]}, "holds no samples"),
    ],
    ids=str,
)
def test_arrays_that_are_no_samples_are_told(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=said):
        read(tmp_path)


def test_files_that_differ_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=X, label=LABEL)
    np.savez(tmp_path / "b.npz", x=X.reshape(COUNT, 6), label=LABEL)
    with pytest.raises(UserError, match="x is a tensor of 6 in some samples, and a tensor of 2 x 3 in others"):
        read(tmp_path)
    np.savez(tmp_path / "b.npz", y=X, label=LABEL)
    with pytest.raises(UserError, match="x is missing in some samples"):
        read(tmp_path)
    (tmp_path / "b.npz").unlink()
    (tmp_path / "b.jsonl").write_bytes(jsonlines.encode([{"x": X[0].tolist(), "label": "red"}]))
    with pytest.raises(UserError, match="labels are numbers in some files"):
        read(tmp_path)


def test_tables_whose_columns_are_in_another_order_are_put_in_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b,label\n1,2,0\n")
    (tmp_path / "b.csv").write_bytes(b"b,a,label\n4,3,1\n")
    assert read(tmp_path).tensors["features"].tolist() == [[1, 2], [3, 4]]


def test_a_sparse_record_without_a_shape_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.pbr").write_bytes(labelled([9], 0, keys=[2]))
    with pytest.raises(UserError, match=r"a\.pbr, record 1: no shape says how many numbers"):
        read(tmp_path)
    (tmp_path / "a.pbr").write_bytes(labelled([9, 1], float("inf")))
    with pytest.raises(UserError, match=r"a\.pbr, record 1: its label is not finite"):
        read(tmp_path)


def differing(world: World, folder: Path) -> str:
    """What a rank says whose host has files of its own."""
    try:
        read(folder / str(world.rank), world, divided=True)
    except UserError as error:
        return str(error)
    return ""


def test_hosts_whose_shards_differ_reach_one_verdict(tmp_path: Path) -> None:
    for rank, shape in enumerate(((COUNT, 6), (COUNT, 3, 2))):
        (tmp_path / str(rank)).mkdir()
        np.savez(tmp_path / str(rank) / "a.npz", x=X.reshape(shape), label=LABEL)
    told = on_ranks(2, differing, tmp_path, hosts=2)
    assert told[0] == told[1]
    assert "channel train: x is a tensor of 3 x 2 in some samples, and a tensor of 6 in others" in told[0]


def test_an_empty_channel_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no files"):
        read(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(b"")
    with pytest.raises(UserError, match="holds no samples"):
        read(tmp_path)


def test_the_content_types_are_those_of_tables_arrays_and_records() -> None:
    assert {"text/csv", "application/jsonlines", "application/x-npz", "application/x-recordio-protobuf"} <= set(
        content_types()
    )


class Fed:
    """A pipe that is fed from the moment that it is made, a little at a time."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path, self._data = path, data
        threading.Thread(target=self._feed, daemon=True).start()

    def _feed(self) -> None:
        os.mkfifo(self._path)
        with contextlib.suppress(BrokenPipeError), self._path.open("wb", buffering=0) as file:
            for begin in range(0, len(self._data), 11):
                file.write(self._data[begin : begin + 11])


RECORDS = b"".join(labelled([n, n + 1, n + 2, n + 3], n % 2) for n in range(5))


def read_pipe(world: World, folder: Path, divided: bool, content_type: str | None = None) -> list[list[float]]:
    """The first number and the label of each sample of this rank."""
    source = Channel("train", folder, (folder / "train_0",), divided, content_type, piped=True)
    job = Job(
        algorithm="any",
        hyperparameters=hyper.Hyperparameters(),
        world=world,
        channels={"train": source},
        checkpoints=NoCheckpoints(),
    )
    samples = read_samples(job, "train", feature_shape=(2, 2))
    if not len(samples):
        return []
    return [[float(x[0, 0]), float(label)] for x, label in zip(samples.tensors["features"], samples.label, strict=True)]


WHOLE = [[float(n), float(n % 2)] for n in range(5)]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("content_type", [None, "application/x-recordio-protobuf;label_size=1"])
def test_a_pipe_of_records_is_read_as_it_comes(packed: bool, content_type: str | None, tmp_path: Path) -> None:
    Fed(tmp_path / "train_0", gzip.compress(RECORDS) if packed else RECORDS)
    assert read_pipe(World.alone(), tmp_path, False, content_type) == WHOLE


@pytest.mark.parametrize("divided", [False, True])
def test_one_rank_of_a_host_reads_the_pipe(divided: bool, tmp_path: Path) -> None:
    Fed(tmp_path / "train_0", RECORDS)
    assert on_ranks(2, read_pipe, tmp_path, divided) == [WHOLE, []]


def test_a_pipe_of_anything_else_is_refused(tmp_path: Path) -> None:
    Fed(tmp_path / "train_0", b"1,2,3\n")
    with pytest.raises(UserError, match="train_0, record 1: it begins with 31 2c 32 2c and not with RecordIO's"):
        read_pipe(World.alone(), tmp_path, False)
    with pytest.raises(UserError, match="in Pipe mode records are read: give application/x-recordio-protobuf, or set"):
        read_pipe(World.alone(), tmp_path, False, "text/csv")
