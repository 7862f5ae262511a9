"""Checkpoints in /opt/ml/checkpoints: written whole or not at all, the newest few kept."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from polyadic.errors import UserError
from polyadic.jobs.checkpoints import Snapshot

SNAPSHOTS_KEPT = 5
SECONDS_BETWEEN = float(os.environ.get("POLYADIC_CHECKPOINT_SECONDS", "60"))
_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")
# The agent that copies the folder to S3 leaves out files with the first suffix, and marks with the second
# those that it is copying.
_NOT_YET, _UNDER_WAY = ".sagemaker-ignore", ".sagemaker-uploading"


class CheckpointFolder:
    """Snapshots of one job. `job` says which: a snapshot of another is refused."""

    def __init__(self, folder: Path, job: str) -> None:
        self.folder, self.job = folder, job
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether a minute (POLYADIC_CHECKPOINT_SECONDS) has passed since the last snapshot."""
        return time.monotonic() - self._last >= SECONDS_BETWEEN

    def save(self, snapshot: Snapshot) -> None:
        """Writes under a name that is not uploaded, flushes to disk, renames."""
        path = self.folder / f"checkpoint-{snapshot.step:012d}.safetensors"
        partial = path.with_name(path.name + _NOT_YET)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in snapshot.tensors.items()}
        metadata = {"step": str(snapshot.step), "numbers": json.dumps(dict(snapshot.numbers)), "job": self.job}
        with partial.open("wb") as file:
            file.write(save(tensors, metadata=metadata))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        self._last = time.monotonic()
        for old in self._steps()[:-SNAPSHOTS_KEPT]:
            if not old.with_name(old.name + _UNDER_WAY).exists():
                old.unlink(missing_ok=True)

    def latest(self) -> Snapshot | None:
        """The newest whole snapshot; files that a killed job left unfinished are removed.

        Raises UserError for a snapshot of a job with other hyperparameters.
        """
        for partial in self.folder.glob(f"checkpoint-*{_NOT_YET}"):
            partial.unlink()
        for path in reversed(self._steps()):
            try:
                with safe_open(path, "pt") as file:
                    metadata = file.metadata()
                    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            except (SafetensorError, OSError):
                continue
            if metadata["job"] != self.job:
                raise UserError(
                    f"{path.name} in {self.folder} is of a job with other hyperparameters ({metadata['job']}; "
                    f"this one is {self.job}): give the same, or a checkpoint folder of its own"
                )
            return Snapshot(int(metadata["step"]), tensors, json.loads(metadata["numbers"]))
        return None

    def _steps(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("checkpoint-*") if _NAME.fullmatch(path.name))


class NoCheckpoints:
    """The checkpoints of a job without a folder for them."""

    def due(self) -> bool:
        """Never."""
        return False

    def save(self, snapshot: Snapshot) -> None:
        """Keeps nothing."""

    def latest(self) -> Snapshot | None:
        """Nothing."""
        return None
