"""One front door a state, and an end to what an earlier one left."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from local_mode.errors import LocalModeError
from local_mode.front_door import orphans


def test_a_state_is_used_by_one_at_a_time(tmp_path: Path) -> None:
    held = orphans.lock(tmp_path)
    with pytest.raises(LocalModeError, match="is in use by another front door: give --state another folder"):
        orphans.lock(tmp_path)
    held.close()
    orphans.lock(tmp_path).close()


def test_processes_of_the_folder_are_ended_and_others_are_not(tmp_path: Path) -> None:
    scratch = tmp_path / "run"
    (scratch / "job-1").mkdir(parents=True)
    started = [
        subprocess.Popen(["sleep", "600"], env=os.environ | {"SAGEMAKER_BASE_DIR": str(base)})
        for base in (scratch / "job-1", tmp_path / "running" / "job-1")
    ]
    try:
        orphans.end_all(scratch)
        assert started[0].wait(10) == -9 and started[1].poll() is None
        assert not scratch.exists()
    finally:
        for process in started:
            process.kill()
            process.wait()
