"""The memory that is there: of machines, control groups of both versions; what is read beyond it is refused."""

from __future__ import annotations

import gzip
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from polyadic import room as room_module
from polyadic.errors import UserError
from polyadic.forecasting.calendar import Frequency
from polyadic.formats import FORMATS, Dealer, opened
from polyadic.readers.series.formats import SERIES_FORMATS
from polyadic.room import Room, Watch, refuse_large, room, size

GIB = 2**30


def machine(root: Path, groups: str = "0::/\n", **files: str) -> Path:
    """A root with /proc of a machine that has 8 GiB, and files of control groups."""
    written = {"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable: {8 * 2**20} kB\n", "proc/self/cgroup": groups, **files}
    for name, text in written.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_without_a_limit_it_is_what_the_machine_has(tmp_path: Path) -> None:
    assert room(root=machine(tmp_path)) == Room(8 * GIB, "memory")


def test_version_2_leaves_the_least_of_the_groups_and_counts_pages_of_files_as_free(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/a/memory.max": f"{4 * GIB}\n",
        "sys/fs/cgroup/a/memory.current": f"{3 * GIB}\n",
        "sys/fs/cgroup/a/memory.stat": f"anon 5\ninactive_file {GIB}\n",
        "sys/fs/cgroup/a/b/memory.max": "max\n",
        "sys/fs/cgroup/a/b/memory.current": f"{GIB}\n",
    }
    assert room(root=machine(tmp_path, "0::/a/b\n", **files)) == Room(2 * GIB, "the container's memory")


def test_version_1_is_read_where_a_container_has_its_own_group_as_the_root(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB}\n",
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 0\n",
    }
    groups = "4:memory,hugetlb:/docker/0123\n1:cpu:/\n0::/\n"
    assert room(root=machine(tmp_path, groups, **files)) == Room(GIB, "the container's memory")


def test_version_1_without_a_limit_leaves_what_the_machine_has(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "1\n",
    }
    assert room(root=machine(tmp_path, "4:memory:/\n", **files)).bytes == 8 * GIB


def test_a_machine_without_proc_has_what_it_was_built_with(tmp_path: Path) -> None:
    assert room(root=tmp_path).bytes > GIB


@pytest.mark.parametrize(("count", "text"), [(0, "0.0 MB"), (1.5e6, "1.5 MB"), (3.14e9, "3.1 GB"), (5.76e14, "576 TB")])
def test_sizes_are_for_people(count: float, text: str) -> None:
    assert size(count) == text


def leave(monkeypatch: pytest.MonkeyPatch, count: float) -> None:
    """Lets so many bytes be left, wherever they are asked for."""
    for name in ("polyadic.room.room", "polyadic.formats._whole_lines.room"):  # Each name that it was given.
        monkeypatch.setattr(name, lambda: Room(count, "memory"))


def test_what_is_read_is_refused_once_no_more_than_it_takes_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    leave(monkeypatch, 1000)
    monkeypatch.setattr(Watch, "STRIDE_BYTES", 100)
    watch = Watch("records")
    for _ in range(10):
        watch.add(100)
    with pytest.raises(UserError, match="the records that were read so far take .* of memory are left: divide"):
        watch.add(100)


def test_the_room_is_not_asked_for_at_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[int]()

    def count() -> Room:
        asked.append(1)
        return Room(1e12, "memory")

    monkeypatch.setattr(room_module, "room", count)
    watch = Watch("records")
    for _ in range(1000):
        watch.add(2**20)
    assert 10 < len(asked) < 20


@pytest.mark.parametrize("name", ["tns", "parquet"])
def test_records_beyond_memory_are_refused_while_they_are_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse = [value for value in FORMATS[name].examples().values if hasattr(value, "indices")]
    (tmp_path / "file").write_bytes(FORMATS[name].encode(sparse[0]))
    monkeypatch.setattr(Watch, "STRIDE_BYTES", 1)
    leave(monkeypatch, 10)
    read = FORMATS[name].read_coordinates
    assert read is not None
    labelled = frozenset(mode for mode, words in enumerate(sparse[0].labels) if words is not None)
    with pytest.raises(UserError, match="records that were read so far"):
        read(tmp_path / "file", 0, 1, labelled)


def test_a_table_of_series_beyond_memory_is_refused_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("item_id,timestamp,target\na,2020-01-01,1\n")
    monkeypatch.setattr(Watch, "STRIDE_BYTES", 1)
    leave(monkeypatch, 10)
    with pytest.raises(UserError, match="the rows that were read so far"):
        list(SERIES_FORMATS["csv"].read(tmp_path / "a.csv", Frequency.parse("D")))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ["jsonlines", "ldac", "docword"])
def test_a_line_without_an_end_is_refused_before_memory_is_full(
    name: str, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a few kilobytes of gzip that unpack to gigabytes."""
    head = b"1\n1\n1\n" if name == "docword" else b"\n\n\n"
    text = head + b"1" * 5_000_000
    (tmp_path / "a").write_bytes(gzip.compress(text) if packed else text)
    leave(monkeypatch, 2e7)
    read = FORMATS[name].read_rows
    assert read is not None
    with opened(tmp_path / "a") as file, pytest.raises(UserError, match=re.escape("a, line 4 has more than 1.0 MB")):
        list(read(file, "a", Dealer()))


def test_a_series_longer_than_memory_is_refused_by_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = b'{"start": "2020-01-01 00:00:00", "target": [1, 2]}\n'
    (tmp_path / "a.json").write_bytes(line + b'{"target": [' + b"1," * 3_000_000 + b"1]}\n")
    leave(monkeypatch, 2e7)
    with pytest.raises(UserError, match=r"^a\.json, line 2 has more than 1\.0 MB: its values would take 20 MB or more"):
        list(SERIES_FORMATS["jsonlines"].read(tmp_path / "a.json", Frequency.parse("D")))


def archived(array: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.savez(out, array)
    return out.getvalue()


WHOLE = {
    "npy": lambda: FORMATS["npy"].encode(np.asfortranarray(np.ones((9, 9)))),
    "npz": lambda: archived(np.asfortranarray(np.ones((9, 9)))),
    "recordio": lambda: FORMATS["recordio"].encode(FORMATS["recordio"].examples().values[-1]),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_read_whole_must_fit_into_half_of_what_is_left(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = FORMATS[name].read_rows
    assert read is not None
    monkeypatch.setattr(Watch, "STRIDE_BYTES", 1)
    leave(monkeypatch, 1e6)
    assert list(read(io.BytesIO(WHOLE[name]()), "a", Dealer()))
    leave(monkeypatch, 2)
    with pytest.raises(UserError, match=r"^(a|the bytes of a).*of memory are left: divide"):
        list(read(io.BytesIO(WHOLE[name]()), "a", Dealer()))


def test_what_is_small_is_taken_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    leave(monkeypatch, 0)
    refuse_large(Watch.STRIDE_BYTES - 1, "a")
    with pytest.raises(
        UserError, match="^a takes 67 MB at once, and 0.0 MB of memory are left: divide it into several"
    ):
        refuse_large(Watch.STRIDE_BYTES, "a")
