"""SageMaker's own SDK, v2: the script that would run on AWS runs here, with the variables that `up` writes."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.image_sdk import HERE, NOWHERE, sdk_python

pytestmark = pytest.mark.slow
SCRIPT = HERE / "scripts" / "front_door_sdk2.py"


def variables(file: Path) -> dict[str, str]:
    """What sourcing a file of exports sets."""
    words = [shlex.split(line) for line in file.read_text().splitlines()]
    return dict(assignment.split("=", 1) for _, assignment in words)


@pytest.mark.timeout(600)
def test_a_script_for_sagemaker_runs_unchanged(open_door: Callable[[], Any], tmp_path: Path) -> None:
    with open_door() as door:
        result = tmp_path / "result.json"
        inherited = {name: os.environ[name] for name in ("PATH", "HOME")}
        # What would leave this machine fails.
        environment = inherited | variables(door.state / "environment") | {
            "HTTPS_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1", "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        }  # fmt: skip
        run = subprocess.run(
            [str(sdk_python(2)), str(SCRIPT), "{}", str(result)],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert run.returncode == 0, (run.stdout + run.stderr)[-6000:]
        found = json.loads(result.read_text())
        assert found["status"] == "Completed" and found["metrics"] == {"error": pytest.approx(1 / 3)}
        assert found["model"].startswith("s3://sagemaker-us-east-1-123456789012/")
        assert found["answers"] == [{"predictions": [{"value": 21.5}]}] * 2
        assert found["asked"] > 20 and found["failed"] == []
        assert "hello from algo-1" in run.stdout
