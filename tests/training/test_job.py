"""The end of a worker's life."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from polyadic.errors import UserError
from polyadic.training import messages

WORKER = """
import atexit
from polyadic.errors import UserError
from polyadic.training import job

def train(*arguments, **named):
    print("trained")
    if {fails}:
        raise UserError("rank is 0")

job.train = train
atexit.register(print, "taken down")
job.main()
"""


@pytest.mark.parametrize(("fails", "code"), [(False, 0), (True, UserError.exit_code)])
def test_a_worker_ends_before_its_interpreter_is_taken_down(tmp_path: Path, fails: bool, code: int) -> None:
    """Taken down beside gloo's threads, the interpreter aborts now and then."""
    ended = subprocess.run(
        [sys.executable, "-c", WORKER.format(fails=fails)],
        env={**os.environ, messages.FOLDER_VARIABLE: str(tmp_path), "SAGEMAKER_BASE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (code, "trained\n"), ended.stderr
    failure = messages.first_failure(tmp_path)
    assert (str(failure) if failure else None) == ("rank is 0" if fails else None)
