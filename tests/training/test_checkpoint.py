"""Checkpoints are whole or absent, few, and of one job."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from polyadic.errors import UserError
from polyadic.jobs.checkpoints import Snapshot
from polyadic.training import checkpoint
from polyadic.training.checkpoint import SNAPSHOTS_KEPT, CheckpointFolder


def snapshot(step: int) -> Snapshot:
    return Snapshot(
        step, {"x": torch.tensor([step / 3], dtype=torch.float64), "n": torch.tensor(step)}, {"best": 1 / 3}
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_comes_back_to_the_bit(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, "job")
    assert folder.latest() is None
    for step in (2, 10, 9):
        folder.save(snapshot(step))
    latest = CheckpointFolder(tmp_path, "job").latest()
    assert latest is not None
    assert (latest.step, latest.numbers) == (10, {"best": 1 / 3})
    assert torch.equal(latest.tensors["x"], torch.tensor([10 / 3], dtype=torch.float64))
    assert latest.tensors["n"].shape == ()


def test_the_newest_few_are_kept_but_for_one_that_is_being_uploaded(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, "job")
    folder.save(snapshot(0))
    (tmp_path / "checkpoint-000000000000.safetensors.sagemaker-uploading").touch()
    for step in range(1, 9):
        folder.save(snapshot(step))
    kept = [name for name in names(tmp_path) if name.endswith(".safetensors")]
    assert kept == [f"checkpoint-{step:012d}.safetensors" for step in (0, *range(9 - SNAPSHOTS_KEPT, 9))]


def test_nothing_half_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = CheckpointFolder(tmp_path, "job")
    folder.save(snapshot(1))
    monkeypatch.setattr(
        "polyadic.training.checkpoint.os.replace", lambda *_: (_ for _ in ()).throw(OSError("killed here"))
    )
    with pytest.raises(OSError, match="killed here"):
        folder.save(snapshot(2))
    assert "checkpoint-000000000002.safetensors.sagemaker-ignore" in names(tmp_path)
    (tmp_path / "checkpoint-000000000003.safetensors").write_bytes(b"cut short")
    latest = folder.latest()
    assert latest is not None
    assert latest.step == 1


def test_another_job_s_checkpoint_is_refused(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path, "rank 5").save(snapshot(1))
    with pytest.raises(UserError, match=r"other hyperparameters \(rank 5; this one is rank 6\): give the same, or a"):
        CheckpointFolder(tmp_path, "rank 6").latest()


def test_due_after_the_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("polyadic.training.checkpoint.time.monotonic", lambda: now)
    folder = CheckpointFolder(tmp_path, "job")
    assert not folder.due()
    now += checkpoint.SECONDS_BETWEEN
    assert folder.due()
    folder.save(snapshot(1))
    assert not folder.due()
