from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.formats import npy
from polyadic.jobs import memory
from polyadic.jobs.channels import Channel
from polyadic.jobs.hyperparameters import Hyperparameters
from polyadic.jobs.job import Job
from polyadic.jobs.memory import Need
from polyadic.readers.head import TensorHead
from polyadic.readers.tensor import read_tensor
from polyadic.room import Room
from polyadic.training.checkpoint import NoCheckpoints

LARGEST_INDEX = 300_000_000


def job_of(folder: Path, name: str, data: bytes) -> Job[Hyperparameters]:
    path = folder / name
    path.write_bytes(data)
    return Job(
        algorithm="cp",
        hyperparameters=Hyperparameters(),
        world=World.alone(),
        channels={"train": Channel("train", folder, (path,))},
        checkpoints=NoCheckpoints(),
    )


def heads_of(job: Job[Hyperparameters]) -> list[TensorHead]:
    """What the reader says of a tensor before it takes it."""
    heads = []

    def needs(head: TensorHead) -> Need:
        heads.append(head)
        return Need({"tensor": head.bytes}, "lower rank")

    read_tensor(job, dtype=torch.float32, needs=needs)
    return heads


def test_a_dense_tensor_is_known_by_its_shape(tmp_path: Path) -> None:
    (head,) = heads_of(job_of(tmp_path, "a.npy", npy.encode(np.ones((3, 4, 5)))))
    assert (head.shape, head.entries, head.sparse) == ((3, 4, 5), 60, False)
    assert head.bytes == 60 * 4
    assert head.factor_bytes(2) == (3 + 4 + 5) * 2 * 4


def test_a_sparse_tensor_is_known_by_its_records(tmp_path: Path) -> None:
    (head,) = heads_of(job_of(tmp_path, "a.tns", b"1 1 1 1.0\n2 3 1 2.0\n"))
    assert (head.shape, head.entries, head.sparse) == ((2, 3, 1), 2, True)
    assert head.bytes == 2 * (3 * 4 + 4)
    assert head.whole_entries == 6
    assert not head.barely_used


def test_a_mode_of_whose_rows_few_are_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = f"1 1 1 1.0\n2 3 1 2.0\n{LARGEST_INDEX} 1 1 2.0\n"
    (head,) = heads_of(job_of(tmp_path, "a.tns", text.encode()))
    assert (head.barely_used, head.records) == ((0,), 3)
    assert "mode 0 has 300,000,000 rows, of which at most 3 are used" in capsys.readouterr().err


def test_labels_are_numbered_and_so_all_used(tmp_path: Path) -> None:
    (head,) = heads_of(job_of(tmp_path, "a.csv", b"who,what,value\nu900000000,a,1\nu5,b,2\n"))
    assert head.shape == (2, 2) and not head.barely_used


@pytest.mark.parametrize("needs", [None, lambda head: Need({"factors": head.factor_bytes(2)}, "lower rank")])
def test_nothing_is_taken_where_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs: object
) -> None:
    """Neither the entries of a dense file nor rows of a sparse one, with the remedy said."""
    monkeypatch.setattr(memory, "room", lambda device: Room(1e6, "memory"))
    dense = job_of(tmp_path, "a.npy", npy.encode(np.ones((100, 100, 200), np.float32)))
    monkeypatch.setattr("polyadic.readers.dense._fill", lambda *arguments: pytest.fail("the entries are read"))
    if needs is None:
        with pytest.raises(UserError, match=r"cp needs about 458 MB a process .*: leave out rows, use more hosts"):
            read_tensor(dense, dtype=torch.float32)
        return
    sparse = job_of(tmp_path, "a.tns", f"{LARGEST_INDEX} 1 1 2.0\n".encode())
    with pytest.raises(
        UserError, match=r"lower rank, use more hosts.*Mode 0 has 300,000,000 rows, of which at most 1 are used"
    ):
        read_tensor(sparse, dtype=torch.float32, needs=needs)  # type: ignore[arg-type]


def test_what_is_on_its_way_to_a_gpu_must_fit_on_the_host_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = job_of(tmp_path, "a.npy", npy.encode(np.ones((30, 40, 50))))
    on_gpu = replace(given, world=replace(given.world, device=torch.device("meta")))
    monkeypatch.setattr(memory, "room", lambda device: Room(-1e9 if device.type == "cpu" else 1e12, "memory"))
    with pytest.raises(UserError, match="of memory are there: leave out rows"):
        read_tensor(on_gpu, dtype=torch.float32, needs=lambda head: Need({"tensor": head.bytes}, "lower rank"))
