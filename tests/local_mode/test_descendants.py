"""Processes known by the folder that they inherited, from the moment of their start."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from local_mode import descendants


def test_a_process_is_known_as_soon_as_it_is_started(tmp_path: Path) -> None:
    environment = os.environ | {"SAGEMAKER_BASE_DIR": str(tmp_path)}
    for _ in range(200):  # On a busy machine about every second one shows no environment yet.
        process = subprocess.Popen(["sleep", "600"], env=environment)
        try:
            assert descendants.living(lambda base: base == bytes(tmp_path)) == [process.pid]
        finally:
            process.kill()
            process.wait()


def test_what_has_ended_or_has_no_environment_is_passed_over(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"], env={"SAGEMAKER_BASE_DIR": str(tmp_path)})
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # It stays in /proc, as a zombie.
    bare = subprocess.Popen(["/bin/sleep", "600"], env={})
    try:
        assert descendants.living(lambda base: base == bytes(tmp_path)) == []
    finally:
        bare.kill()
        bare.wait()
        ended.wait()
