from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.jobs import memory
from polyadic.jobs.hyperparameters import Hyperparameters
from polyadic.jobs.job import Job
from polyadic.jobs.memory import PROGRAM_BYTES, Need, refuse_beyond, reserve
from polyadic.room import Room
from polyadic.training.checkpoint import NoCheckpoints


def job() -> Job[Hyperparameters]:
    return Job(
        algorithm="cp",
        hyperparameters=Hyperparameters(),
        world=World.alone(),
        channels={},
        checkpoints=NoCheckpoints(),
    )


def test_what_fits_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "room", lambda device: Room(4e9, "memory"))
    reserve(job(), Need({"tensor": 2e9, "factors": 1e6}, "lower rank"))
    said = capsys.readouterr().err
    assert said == "cp: needs about 2.5 GB a process (tensor 2.0 GB), 4.5 GB of memory are there\n"


def test_what_does_not_fit_is_refused_with_its_sizes_and_the_knob(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "room", lambda device: Room(4e9, "the container's memory"))
    with pytest.raises(UserError) as refused:
        reserve(job(), Need({"tensor": 2e9, "factors": 30e9}, "lower rank"), ". Number the rows")
    assert str(refused.value) == (
        "cp needs about 32 GB a process (tensor 2.0 GB, factors 30 GB), 4.5 GB of the container's memory are there: "
        "lower rank, use more hosts, or choose an instance with more memory. Number the rows"
    )


def test_the_ranks_of_a_host_share_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "room", lambda device: Room(4e9, "memory"))
    alone = job()
    shared = replace(alone, world=replace(alone.world, local_size=4))
    need = Need({"tensor": 2e9}, "lower rank")
    refuse_beyond(alone, need)
    with pytest.raises(UserError, match=r"1\.4 GB of memory are there for each of 4 processes"):
        refuse_beyond(shared, need)


def test_a_device_counts_its_own_memory_and_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "room", lambda device: Room(4e9, "GPU memory"))
    on_gpu = replace(job(), world=replace(World.alone(), device=torch.device("meta"), local_size=4))
    assert refuse_beyond(on_gpu, Need({"tensor": 3e9}, "")).startswith("about 3.0 GB a process (tensor 3.0 GB), 4.0 GB")


def test_the_program_is_no_more_than_a_process_takes() -> None:
    assert 0.2e9 < PROGRAM_BYTES < 0.8e9
