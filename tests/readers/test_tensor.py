"""A channel's files as a tensor: what they are together, what is refused, and that ranks share it and agree."""

from __future__ import annotations

import gzip
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.formats import Coordinates, images, npy, npz, parquet, safetensors
from polyadic.jobs import hyperparameters as hyper
from polyadic.jobs.channels import Channel
from polyadic.jobs.job import Job
from polyadic.options import option
from polyadic.readers import dense as _dense_channel
from polyadic.readers.tensor import TensorRead, dense_suffixes, read_tensor, sparse_suffixes
from polyadic.tensor.dense import Slab, share
from polyadic.tensor.sparse import SparseTensor
from polyadic.training.checkpoint import NoCheckpoints
from tests.helpers.ranks import on_ranks


class Settings(hyper.Hyperparameters):
    """Of an algorithm that can leave entries out."""

    missing: Literal["error", "mask"] = option("what NaN means", "error")


ARRAY = np.random.default_rng(0).normal(size=(3, 8, 4))
PIXELS = np.random.default_rng(1).integers(0, 256, (7, 5, 4, 3), np.uint8)
RECORDS = [(0, 1, 0, 1.5), (4, 0, 2, -2.0), (1, 1, 1, 0.25), (4, 0, 2, 3.0), (2, 0, 0, 4.0), (3, 1, 2, 0.0)]
NAMED = [(f"user {i}", j, "abc"[k], value) for i, j, k, value in RECORDS]
LABELS = (tuple(f"user {n}" for n in range(5)), None, ("a", "b", "c"))
DEVIATING = np.where(np.arange(96).reshape(3, 8, 4) == 43, np.nan, ARRAY)
INFINITE = np.where(np.arange(96).reshape(3, 8, 4) == 43, np.inf, ARRAY)


def tns(records: list[tuple[Any, ...]]) -> bytes:
    return "".join(f"{i + 1} {j + 1} {k + 1} {value}\n" for i, j, k, value in records).encode()


def table(records: list[tuple[Any, ...]]) -> bytes:
    return "".join(f"{i},{j},{k},{value}\n" for i, j, k, value in records).encode()


def archive(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def coordinates(records: list[tuple[Any, ...]], shape: tuple[int, ...] | None = None) -> Coordinates:
    *columns, values = zip(*records, strict=True)
    return Coordinates(np.array(columns, np.int32), np.array(values), shape, (None,) * len(columns))


def pictures(names: str) -> dict[str, bytes]:
    return {f"{name}.png": images.encode(PIXELS["abcdefg".index(name)]) for name in names}


@dataclass(frozen=True)
class Case:
    """The files of each host (one for all where the channel is replicated), and how they are read."""

    hosts: tuple[Mapping[str, bytes], ...]
    divided: bool = False
    gaps: bool = False
    dtype: torch.dtype = torch.float64
    min_order: int = 2
    divided_mode: int | None = None


def lay_out(folder: Path, case: Case) -> None:
    for number, files in enumerate(case.hosts):
        (folder / str(number)).mkdir(parents=True)
        for name, data in files.items():
            path = folder / str(number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def job_of(channels: Mapping[str, Channel], world: World) -> Job[Settings]:
    return Job(algorithm="cp", hyperparameters=Settings(), world=world, channels=channels, checkpoints=NoCheckpoints())


def read(folder: Path, case: Case, world: World) -> TensorRead:
    host = world.rank // world.local_size if len(case.hosts) > 1 else 0
    files = tuple(sorted(path for path in (folder / str(host)).rglob("*") if path.is_file()))
    channel = Channel("train", folder / str(host), files, case.divided)
    job = job_of({"train": channel}, world)
    return read_tensor(job, dtype=case.dtype, gaps=case.gaps, min_order=case.min_order, divided_mode=case.divided_mode)


def alone(folder: Path, *files: Mapping[str, bytes], **options: Any) -> TensorRead:
    case = Case(files, **options)
    lay_out(folder, case)
    return read(folder, case, World.alone())


def refusal(folder: Path, files: Mapping[str, bytes], **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        alone(folder, files, **options)
    return str(caught.value)


def records(found: TensorRead) -> Counter[tuple[Any, ...]]:
    """The records, rows by their labels where they have any."""
    assert isinstance(found.data, SparseTensor) and found.data.indices.dtype == torch.int32
    columns = [
        index.tolist() if words is None else [words[n] for n in index.tolist()]
        for index, words in zip(found.data.indices, found.labels, strict=True)
    ]
    return Counter(zip(*columns, found.data.values.tolist(), strict=True))


DENSE: dict[str, tuple[Mapping[str, bytes], Any]] = {
    ".npy": ({"t.npy": npy.encode(ARRAY)}, ARRAY),
    ".npy in Fortran's order": ({"t.npy": npy.encode(np.asfortranarray(ARRAY))}, ARRAY),
    ".NPY": ({"T.NPY": npy.encode(ARRAY)}, ARRAY),
    ".npz": ({"t.npz": archive(tensor=ARRAY, other=ARRAY[0])}, ARRAY),
    ".safetensors": ({"t.safetensors": safetensors.encode(ARRAY)}, ARRAY),
    "an integer": ({"t.npy": npy.encode(PIXELS)}, PIXELS),
    "beside a text": ({"README.txt": b"hello", "t.npy": npy.encode(ARRAY)}, ARRAY),
    "three files": (
        {
            "b/1.npz": archive(a=ARRAY[1:2]),
            "a.npy": npy.encode(ARRAY[:1]),
            "c.safetensors": safetensors.encode(ARRAY[2:]),
        },
        ARRAY,
    ),
    "an empty file among others": ({"a.npy": npy.encode(ARRAY[:0]), "b.npy": npy.encode(ARRAY)}, ARRAY),
    "pictures": (pictures("cabdefg"), PIXELS),
    "one picture": (pictures("a"), PIXELS[:1]),
    "grey pictures": ({f"{n}.png": images.encode(PIXELS[n, :, :, 0]) for n in range(7)}, PIXELS[:, :, :, :1]),
}


@pytest.mark.parametrize("what", sorted(DENSE))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dense_files_are_one_tensor(what: str, dtype: torch.dtype, tmp_path: Path) -> None:
    files, expected = DENSE[what]
    found = alone(tmp_path, files, dtype=dtype)
    assert isinstance(found.data, Slab) and found.data.shape == expected.shape and found.data.start == 0
    assert torch.equal(found.data.local, torch.from_numpy(np.asarray(expected)).to(dtype))
    assert found.data.local.is_contiguous() and found.labels == (None,) * expected.ndim
    assert found.data.mode == (int(np.argmax(expected.shape)) if len(files) == 1 else 0) or "README.txt" in files


SPARSE: dict[str, Mapping[str, bytes]] = {
    ".tns": {"t.tns": tns(RECORDS)},
    ".tns.gz": {"t.tns.gz": gzip.compress(tns(RECORDS))},
    ".csv": {"t.csv": table(RECORDS)},
    ".npz": {"t.npz": npz.encode(coordinates(RECORDS))},
    ".parquet": {"t.parquet": parquet.encode(coordinates(RECORDS))},
    "several": {"a.tns": tns(RECORDS[:2]), "b.csv": table(RECORDS[2:3]), "c.npz": npz.encode(coordinates(RECORDS[3:]))},
}


@pytest.mark.parametrize("what", sorted(SPARSE))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sparse_files_are_one_tensor_and_nothing_is_summed(what: str, dtype: torch.dtype, tmp_path: Path) -> None:
    found = alone(tmp_path, SPARSE[what], dtype=dtype)
    assert records(found) == Counter(RECORDS)
    assert found.data.shape == (5, 2, 3) and found.labels == (None, None, None)
    assert isinstance(found.data, SparseTensor) and found.data.values.dtype == dtype


def test_which_columns_are_modes_and_values_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rating's time stamp in the last column is taken for its value: a user who reads this sees it."""
    alone(tmp_path, {"a.csv": b"user,item,rating,timestamp\na,b,3,9\nb,b,4,8\n"})
    assert "the modes are user, item, rating; the values are those of timestamp" in capsys.readouterr().err


def test_a_column_that_becomes_labels_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read = alone(tmp_path, {"a.csv": b"user,item,rating\n1,2,3\nx17,3,4\n2,5,4\n"})
    assert read.names == ("user", "item") and read.labels == (("1", "2", "x17"), None)
    said = "channel train: mode 0 (user) has 3 labels, since 'x17' is no number: ask for its rows by them"
    assert said in capsys.readouterr().err


def test_a_stated_shape_is_kept(tmp_path: Path) -> None:
    files = {"a.npz": npz.encode(coordinates(RECORDS, (9, 2, 3))), "b.tns": tns([(0, 5, 0, 1.0)])}
    assert alone(tmp_path, files).data.shape == (9, 6, 3)


@pytest.mark.parametrize("split", [0, 3])
def test_labels_are_mapped_in_sorted_order(split: int, tmp_path: Path) -> None:
    files = {"a.csv": table(NAMED[split:])} | ({"b.csv.gz": gzip.compress(table(NAMED[:split]))} if split else {})
    found = alone(tmp_path, files)
    assert records(found) == Counter(NAMED)
    assert found.labels == LABELS
    assert found.data.shape == (5, 2, 3)


def test_a_mode_has_labels_in_every_file_where_it_has_in_one(tmp_path: Path) -> None:
    files = {"a.csv": b"07,0,1\n7,1,2\n", "b.csv": b"x,0,3\n", "c.parquet": parquet.encode(coordinates([(7, 2, 4.0)]))}
    found = alone(tmp_path, files)
    assert found.labels == (("07", "7", "x"), None)
    assert records(found) == Counter([("07", 0, 1), ("7", 1, 2), ("x", 0, 3), ("7", 2, 4)])


REFUSED: dict[str, tuple[Mapping[str, bytes], str]] = {
    "nothing": ({}, "channel train holds no files: give one or more, such as those in .npy"),
    "text": ({"a.txt": b"one two"}, "(found: a.txt): "),
    "both kinds": (
        {"a.npy": npy.encode(ARRAY), "b.tns": tns(RECORDS), "c.npz": npz.encode(coordinates(RECORDS))},
        "channel train holds dense files (a.npy) and sparse ones (b.tns, c.npz): give one kind. Dense are ",
    ),
    "a vector": ({"a.npy": npy.encode(np.ones(3))}, "the tensor has 1 mode: it must have 2 or more"),
    "a number": ({"a.npy": npy.encode(np.float64(3))}, "the tensor has 0 modes: it must have 2 or more"),
    "vectors": ({"a.npy": npy.encode(np.ones(3)), "b.npy": npy.encode(np.ones(3))}, "the tensor has 1 mode: it"),
    "records of one index": ({"a.tns": b"1 5\n3 4\n"}, "the tensor has 1 mode: it must have 2 or more"),
    "other modes": (
        {"a.npy": npy.encode(ARRAY), "b.npz": archive(a=ARRAY[:, :5])},
        "a.npy is 3 x 8 x 4 and b.npz is 3 x 5 x 4: files are stacked along mode 0, so their other modes must agree",
    ),
    "sizes of pictures": (
        {**pictures("abc"), "d.png": images.encode(PIXELS[0, :4])},
        "a.png is 1 x 5 x 4 x 3 and d.png is 1 x 4 x 4 x 3: files are stacked along mode 0",
    ),
    "a broken picture": ({**pictures("abc"), "d.png": pictures("d")["d.png"][:-60]}, "d.png is not a readable picture"),
    "NaN": (
        {"a.npy": npy.encode(DEVIATING)},
        "the tensor holds 1 entries that are NaN or infinite, the first at index [1, 2, 3]: cp needs "
        "every entry. Fill them in, or leave out the rows that hold them, or set missing=mask",
    ),
    "a broken line": ({"a.tns": tns(RECORDS) + b"1 2 3\n"}, "a.tns, line 7: 3 fields where"),
    "orders": ({"a.tns": tns(RECORDS), "b.csv": b"0,1,5\n"}, "a.tns has 3 indices per record and b.csv has 2"),
    "labels and numbers": (
        {"a.tns": tns(RECORDS), "b.csv": table(NAMED)},
        "mode 0 has labels in b.csv and numbers in a.tns: write both the same way",
    ),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_bad_channels_are_refused(what: str, tmp_path: Path) -> None:
    files, why = REFUSED[what]
    assert why in refusal(tmp_path, files)


def test_nan_stays_where_gaps_are_allowed_but_infinite_does_not(tmp_path: Path) -> None:
    found = alone(tmp_path / "nan", {"a.npy": npy.encode(DEVIATING)}, gaps=True)
    assert isinstance(found.data, Slab) and found.data.local.isnan().nonzero().tolist() == [[1, 2, 3]]
    said = refusal(tmp_path / "inf", {"a.npy": npy.encode(INFINITE)}, gaps=True)
    assert said == (
        "the tensor holds 1 entries that are infinite, the first at index [1, 2, 3]: "
        "an entry is finite, or NaN where it is missing"
    )


def test_numbers_beyond_the_precision_are_refused(tmp_path: Path) -> None:
    dense, sparse = {"a.npy": npy.encode(1e300 * ARRAY)}, {"a.tns": b"1 1 1e300\n"}
    said = refusal(tmp_path / "dense", dense, dtype=torch.float32)
    assert "the tensor holds 96 entries that are NaN or infinite" in said and "need dtype=float64" in said
    said = refusal(tmp_path / "sparse", sparse, dtype=torch.float32)
    assert said == "a value is too large for torch.float32: set dtype=float64"
    for name, files in (("dense 64", dense), ("sparse 64", sparse)):
        assert alone(tmp_path / name, files).data


def test_a_tensor_of_one_mode_is_read_where_it_may_have_one(tmp_path: Path) -> None:
    vector = alone(tmp_path / "dense", {"a.npy": npy.encode(ARRAY[0, 0])}, min_order=1).data
    assert isinstance(vector, Slab) and torch.equal(vector.local, torch.from_numpy(ARRAY[0, 0]))
    stack = alone(tmp_path / "stack", {f"{n}.npy": npy.encode(ARRAY[n, 0]) for n in range(3)}, min_order=1).data
    assert isinstance(stack, Slab) and torch.equal(stack.local, torch.from_numpy(ARRAY[:, 0].reshape(-1)))
    found = alone(tmp_path / "sparse", {"a.csv": b"ann,1.5\nbob,2\n"}, min_order=1)
    assert records(found) == Counter([("ann", 1.5), ("bob", 2.0)]) and found.data.shape == (2,)


@pytest.mark.parametrize("name", ["a.npy", "a.tns"])
def test_a_tensor_has_the_mode_that_it_is_divided_by(name: str, tmp_path: Path) -> None:
    files = {"a.npy": npy.encode(ARRAY), "a.tns": tns(RECORDS)}
    said = refusal(tmp_path, {name: files[name]}, divided_mode=3)
    assert said == "the tensor has 3 modes: it must have 4 or more"
    said = refusal(tmp_path / "number", {"a.npy": npy.encode(np.float64(3))}, min_order=0, divided_mode=0)
    assert said == "the tensor has 0 modes: it must have 1 or more"


def test_suffixes_are_those_of_the_formats() -> None:
    assert {".npy", ".npz", ".safetensors", ".png", ".jpg", ".jpeg"} == set(dense_suffixes())
    assert {".npz", ".tns", ".tns.gz", ".csv", ".csv.gz", ".parquet"} == set(sparse_suffixes())


WIDE = npy.encode(np.concatenate([ARRAY, ARRAY]))
SHARED: dict[str, tuple[Case, Any]] = {
    **{f"dense {what}": (Case((files,)), expected) for what, (files, expected) in DENSE.items()},
    **{f"sparse {what}": (Case((files,)), (RECORDS, (None, None, None))) for what, files in SPARSE.items()},
    "gaps": (Case(({"a.npy": npy.encode(DEVIATING)},), gaps=True), DEVIATING),
    "labels": (
        Case(({"a.csv": table(NAMED)},)),
        (NAMED, LABELS),
    ),
    # The last rank alone sees that mode 0 has labels.
    "late labels": (
        Case(({"a.csv": b"0,1,2\n" * 50 + b"x,1,3\n"},)),
        ([("0", 1, 2.0)] * 50 + [("x", 1, 3.0)], (("0", "x"), None)),
    ),
    "fewer rows than ranks": (Case(({"a.npy": npy.encode(np.ones((1, 1)))},)), np.ones((1, 1))),
    "fewer records than ranks": (Case(({"a.tns": b"1 2 3\n"},)), ([(0, 1, 3.0)], (None, None))),
}
THREE_FILES = {f"{n}.npy": npy.encode(ARRAY[n : n + 1]) for n in range(3)}
BY_MODE: dict[str, tuple[Case, Any]] = {
    f"{what} by mode {mode}": (Case((files,), min_order=1, divided_mode=mode), expected)
    for what, files, expected, modes in (
        ("a file", {"a.npy": npy.encode(ARRAY)}, ARRAY, (0, 1, 2)),
        ("three files", THREE_FILES, ARRAY, (0, 1, 2)),
        ("pictures", pictures("abcdefg"), PIXELS, (0, 3)),
        ("a vector", {"a.npy": npy.encode(ARRAY[0, :, 0])}, ARRAY[0, :, 0], (0,)),
        ("records", {"a.tns": tns(RECORDS)}, (RECORDS, (None, None, None)), (0, 1, 2)),
        ("labels", {"a.csv": table(NAMED)}, (NAMED, LABELS), (0, 2)),
        ("a column", {"a.tns": b"5 1\n1 2\n3 3\n"}, ([(4, 1.0), (0, 2.0), (2, 3.0)], (None,)), (0,)),
    )
    for mode in modes
}
BY_MODE_ON_HOSTS: dict[str, tuple[Case, Any]] = {
    f"{what} by mode {mode}": (Case(hosts, divided, divided_mode=mode), expected)
    for what, hosts, divided, expected, modes in (
        ("on one host", ({}, {"a.npy": npy.encode(ARRAY)}), True, ARRAY, (0, 1, 2)),
        ("replicated but for one host", ({"a.npy": npy.encode(ARRAY)}, {}), False, ARRAY, (0, 1)),
        ("uneven", ({"a.npy": npy.encode(ARRAY[:1])}, {"b.npy": npy.encode(ARRAY[1:])}), True, ARRAY, (0, 1)),
        ("out of order", ({"b.npy": npy.encode(ARRAY[2:])}, {"a.npy": npy.encode(ARRAY[:2])}), True, ARRAY, (0, 2)),
        ("pictures to and fro", (pictures("aceg"), pictures("bdf")), True, PIXELS, (0, 1)),
        ("records", ({"a.tns": tns(RECORDS[:1])}, {"b.tns": tns(RECORDS[1:])}), True, (RECORDS, (None,) * 3), (0, 2)),
    )
    for mode in modes
}
DIVIDED: dict[str, tuple[Case, Any]] = {
    "in order": (Case(({"a.npy": npy.encode(ARRAY[:2])}, {"b.npy": npy.encode(ARRAY[2:])}), divided=True), ARRAY),
    "out of order": (Case(({"b.npy": npy.encode(ARRAY[2:])}, {"a.npy": npy.encode(ARRAY[:2])}), divided=True), ARRAY),
    "on one host": (Case(({}, {"a.npy": npy.encode(ARRAY)}), divided=True), ARRAY),
    "replicated but for one host": (Case(({"a.npy": npy.encode(ARRAY)}, {})), ARRAY),
    "pictures to and fro": (Case((pictures("aceg"), pictures("bdf")), divided=True), PIXELS),
    "pictures in order": (Case((pictures("abcdef"), pictures("g")), divided=True), PIXELS),
    "records": (Case(({"a.tns": tns(RECORDS[:1])}, {"b.tns": tns(RECORDS[1:])}), divided=True), (RECORDS, (None,) * 3)),
    "records on one host": (Case(({}, {"b.tns": tns(RECORDS)}), divided=True), (RECORDS, (None,) * 3)),
    "records replicated": (Case(({"b.tns": tns(RECORDS)}, {"b.tns": tns(RECORDS)})), (RECORDS, (None,) * 3)),
    "labels": (
        Case(({"a.csv": table(NAMED[:2])}, {"b.csv": table(NAMED[2:])}), divided=True),
        (NAMED, LABELS),
    ),
}
REFUSED_BY_ALL: dict[str, tuple[Case, str]] = {
    **{what: (Case((files,)), why) for what, (files, why) in REFUSED.items()},
    "a line of the last rank": (Case(({"a.tns": 50 * b"1 1 1\n" + b"1 0 1\n"},)), "a.tns, line 51: the index 0 is"),
    "a large value": (Case(({"a.tns": 50 * b"1 1 1\n" + b"1 1 1e99\n"},), dtype=torch.float32), "a value is too large"),
}
REFUSED_ON_HOSTS: dict[str, tuple[Case, str]] = {
    "different shapes": (
        Case(({"a.npy": npy.encode(ARRAY)}, {"a.npy": WIDE})),
        "the hosts hold different tensors, of shapes [(3, 8, 4)] and [(6, 8, 4)]",
    ),
    "different names": (Case(({"a.npy": npy.encode(ARRAY)}, {"b.npy": npy.encode(ARRAY)})), "the hosts hold different"),
    "different records": (
        Case(({"a.tns": tns(RECORDS)}, {"b.tns": tns(RECORDS)})),
        "the hosts hold different files (a.tns and b.tns): give each host the same, or divide the channel",
    ),
    "both kinds": (Case(({"a.npy": WIDE}, {"b.tns": tns(RECORDS)}), divided=True), "dense files (a.npy) and sparse"),
    "nothing": (Case(({}, {}), divided=True), "channel train holds no files"),
    "orders": (Case(({"a.tns": tns(RECORDS)}, {"b.tns": b"1 2 3\n"}), divided=True), "b.tns has 2"),
    "a broken picture to and fro": (
        Case((pictures("ac"), {"b.png": pictures("b")["b.png"][:-60], "d.png": pictures("d")["d.png"]}), divided=True),
        "b.png is not a readable picture",
    ),
    "other modes": (Case(({"a.npy": WIDE}, {"b.npy": npy.encode(ARRAY[:, 1:])}), divided=True), "b.npy is 3 x 7 x 4"),
}


def every_case(world: World, folder: Path, cases: dict[str, Case]) -> dict[str, Any]:
    """What each case gives this rank, or the refusal."""
    _dense_channel.CHUNK_ENTRIES = 50  # What is exchanged together, so that there are several rounds of it.
    answers = dict[str, Any]()
    for what, case in cases.items():
        try:
            found = read(folder / what, case, world)
        except UserError as error:
            answers[what] = str(error)
            continue
        data = found.data
        if isinstance(data, Slab):
            answers[what] = (data.local.numpy(), data.start, data.mode, data.shape)
        else:
            answers[what] = (records(found), found.labels, data.shape, data.indices.numpy())
    return answers


def answers_of(folder: Path, ranks: int, hosts: int, cases: dict[str, Case]) -> list[dict[str, Any]]:
    for what, case in cases.items():
        lay_out(folder / what, case)
    return on_ranks(ranks, every_case, folder, cases, hosts=hosts, fresh=True)


@pytest.fixture(scope="module")
def one_host(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Two ranks of one host."""
    cases = {f"read {what}": case for what, (case, _) in SHARED.items()}
    cases |= {f"divided {what}": case for what, (case, _) in BY_MODE.items()}
    cases |= {f"refused {what}": case for what, (case, _) in REFUSED_BY_ALL.items()}
    return answers_of(tmp_path_factory.mktemp("one"), 2, 1, cases)


@pytest.fixture(scope="module")
def two_hosts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Four ranks of two hosts."""
    cases = {f"read {what}": case for what, (case, _) in DIVIDED.items()}
    cases |= {f"divided {what}": case for what, (case, _) in BY_MODE_ON_HOSTS.items()}
    cases |= {f"refused {what}": case for what, (case, _) in REFUSED_ON_HOSTS.items()}
    return answers_of(tmp_path_factory.mktemp("two"), 4, 2, cases)


def check(answers: list[Any], expected: Any) -> None:
    """That the shares of all ranks are the tensor: rows in the order of the ranks, or the records in any."""
    assert not any(isinstance(answer, str) for answer in answers), answers
    if isinstance(expected, np.ndarray):
        mode, place = answers[0][2], 0
        for local, start, its_mode, shape in answers:
            assert (its_mode, shape) == (mode, expected.shape)
            assert start == place or not local.size
            place += local.shape[mode]
        assert np.array_equal(np.concatenate([local for local, *_ in answers], mode), expected, equal_nan=True)
        return
    wanted, labels = expected
    assert sum((found for found, *_ in answers), Counter()) == Counter(wanted)
    assert all(its_labels == labels and shape == answers[0][2] for _, its_labels, shape, _ in answers)


def check_division(answers: list[Any], expected: Any, mode: int) -> None:
    """That each rank has its share of the rows of a mode, and nothing else."""
    check(answers, expected)
    for rank, answer in enumerate(answers):
        start, stop = share(answers[0][3 if isinstance(expected, np.ndarray) else 2][mode], rank, len(answers))
        if isinstance(expected, np.ndarray):
            local, its_start, its_mode, _ = answer
            assert (its_mode, its_start, local.shape[mode]) == (mode, start, stop - start)
            assert local.flags.c_contiguous
        else:
            rows = answer[3][mode]
            assert ((rows >= start) & (rows < stop)).all()


@pytest.mark.slow
@pytest.mark.parametrize("what", sorted(BY_MODE))
def test_the_ranks_of_a_host_have_their_rows_of_a_given_mode(what: str, one_host: list[dict[str, Any]]) -> None:
    case, expected = BY_MODE[what]
    assert case.divided_mode is not None
    check_division([answers[f"divided {what}"] for answers in one_host], expected, case.divided_mode)


@pytest.mark.slow
@pytest.mark.parametrize("what", sorted(BY_MODE_ON_HOSTS))
def test_the_ranks_of_all_hosts_have_their_rows_of_a_given_mode(what: str, two_hosts: list[dict[str, Any]]) -> None:
    case, expected = BY_MODE_ON_HOSTS[what]
    assert case.divided_mode is not None
    check_division([answers[f"divided {what}"] for answers in two_hosts], expected, case.divided_mode)


@pytest.mark.slow
@pytest.mark.parametrize("what", sorted(SHARED))
def test_the_ranks_of_a_host_share_a_tensor(what: str, one_host: list[dict[str, Any]]) -> None:
    check([answers[f"read {what}"] for answers in one_host], SHARED[what][1])


@pytest.mark.slow
@pytest.mark.parametrize("what", sorted(DIVIDED))
def test_the_ranks_of_all_hosts_share_a_tensor(what: str, two_hosts: list[dict[str, Any]]) -> None:
    check([answers[f"read {what}"] for answers in two_hosts], DIVIDED[what][1])


@pytest.mark.slow
@pytest.mark.parametrize("what", sorted(REFUSED_BY_ALL))
def test_every_rank_refuses_alike(what: str, one_host: list[dict[str, Any]]) -> None:
    said = [answers[f"refused {what}"] for answers in one_host]
    assert REFUSED_BY_ALL[what][1] in said[0] and said[0] == said[1]


@pytest.mark.slow
@pytest.mark.parametrize("what", sorted(REFUSED_ON_HOSTS))
def test_every_host_refuses_alike(what: str, two_hosts: list[dict[str, Any]]) -> None:
    said = [answers[f"refused {what}"] for answers in two_hosts]
    assert all(REFUSED_ON_HOSTS[what][1] in one for one in said)


@pytest.mark.slow
def test_rows_are_shared_evenly(one_host: list[dict[str, Any]], two_hosts: list[dict[str, Any]]) -> None:
    rows = [len(answers["read dense pictures"][0]) for answers in one_host]
    assert rows == [3, 4]
    rows = [len(answers["read pictures to and fro"][0]) for answers in two_hosts]
    assert rows == [1, 2, 2, 2]


DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not (DATA / "med4.tns").exists(), reason="med4.tns is not in ../shared/data")
def test_a_real_tensor_is_read() -> None:
    job = job_of({"train": Channel("train", DATA, (DATA / "med4.tns",))}, World.alone())
    found = read_tensor(job, dtype=torch.float32).data
    assert isinstance(found, SparseTensor)
    assert found.shape == (60_114, 83_826, 23_034, 1_132) and len(found.values) == 100_000
