"""No file takes more memory than it has bytes for, whatever sizes it claims."""

from __future__ import annotations

import subprocess
import sys

import pytest

from polyadic.formats import FORMATS
from tests.helpers.opt_ml import ROOT


@pytest.mark.slow
def test_no_format_takes_memory_for_what_a_file_merely_claims() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.helpers.claims"],
        cwd=ROOT, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-4000:]
    assert "FAULT" not in run.stdout, run.stdout[-4000:]
    tried = dict(line.split(": ") for line in run.stdout.splitlines())
    assert tried.keys() == FORMATS.keys() and all(int(text.split()[0]) > 100 for text in tried.values()), tried
