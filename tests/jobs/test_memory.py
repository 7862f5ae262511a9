from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.jobs import memory
from polyadic.jobs.hyperparameters import Hyperparameters
from polyadic.jobs.job import Job
from polyadic.jobs.memory import PROGRAM_BYTES, Need, Room, refuse_beyond, reserve, room, size
from polyadic.training.checkpoint import NoCheckpoints

GIB = 2**30


def machine(root: Path, groups: str = "0::/\n", **files: str) -> Path:
    """A root with /proc of a machine that has 8 GiB, and files of control groups."""
    written = {"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable: {8 * 2**20} kB\n", "proc/self/cgroup": groups, **files}
    for name, text in written.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def job() -> Job[Hyperparameters]:
    return Job(
        algorithm="cp",
        hyperparameters=Hyperparameters(),
        world=World.alone(),
        channels={},
        checkpoints=NoCheckpoints(),
    )


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


def test_what_fits_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "room", lambda device: Room(4e9, "memory"))
    reserve(job(), Need({"tensor": 2e9, "factors": 1e6}, "lower rank"))
    said = capsys.readouterr().err
    assert said == "cp: needs about 2.5 GB a rank (tensor 2.0 GB), 4.5 GB of memory are there\n"


def test_what_does_not_fit_is_refused_with_its_sizes_and_the_knob(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "room", lambda device: Room(4e9, "the container's memory"))
    with pytest.raises(UserError) as refused:
        reserve(job(), Need({"tensor": 2e9, "factors": 30e9}, "lower rank"), ". Number the rows")
    assert str(refused.value) == (
        "cp needs about 32 GB a rank (tensor 2.0 GB, factors 30 GB), 4.5 GB of the container's memory are there: lower "
        "rank, use more hosts, or choose an instance with more memory. Number the rows"
    )


def test_the_ranks_of_a_host_share_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "room", lambda device: Room(4e9, "memory"))
    alone = job()
    shared = replace(alone, world=replace(alone.world, local_size=4))
    need = Need({"tensor": 2e9}, "lower rank")
    refuse_beyond(alone, need)
    with pytest.raises(UserError, match=r"1\.4 GB of memory are there for each of 4 ranks"):
        refuse_beyond(shared, need)


def test_a_device_counts_its_own_memory_and_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "room", lambda device: Room(4e9, "GPU memory"))
    on_gpu = replace(job(), world=replace(World.alone(), device=torch.device("meta"), local_size=4))
    assert refuse_beyond(on_gpu, Need({"tensor": 3e9}, "")).startswith("about 3.0 GB a rank (tensor 3.0 GB), 4.0 GB")


@pytest.mark.parametrize(("count", "text"), [(0, "0.0 MB"), (1.5e6, "1.5 MB"), (3.14e9, "3.1 GB"), (5.76e14, "576 TB")])
def test_sizes_are_for_people(count: float, text: str) -> None:
    assert size(count) == text


def test_the_program_is_no_more_than_a_process_takes() -> None:
    assert 0.2e9 < PROGRAM_BYTES < 0.8e9
