"""The rehearsal of an A/B test, as its page tells a user to run it, against processes of this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local_mode.front_door import surroundings
from tests.local_mode.front_door.conftest import Door, opened

ROOT = Path(__file__).parents[3]
REQUESTS = 2000


def rehearse(door: Door, folder: Path, *options: str) -> str:
    """What examples/rehearse_ab.py prints against a front door."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    kept |= surroundings.variables(folder / "absent", door.url)
    command = [sys.executable, "examples/rehearse_ab.py", "--folder", str(folder), "--requests", str(REQUESTS)]
    done = subprocess.run([*command, *options], cwd=ROOT, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


def check(said: str, folder: Path, door: Door) -> None:
    """All of the story, and nothing left of the endpoint."""
    assert re.search(r"by pairs B is better, by the split better, promoted and rolled back; \d+ s\n$", said), said[
        -500:
    ]
    assert f"{REQUESTS:,} requests, answered by {{'A': {REQUESTS}}}" in said
    (paired,) = re.findall(r"^B +pairs +([\d,]+) ", said, re.MULTILINE)
    assert 0.9 * REQUESTS < int(paired.replace(",", "")) <= REQUESTS
    assert said.count("PendingManualApproval -> Approved") == 2 and "3 completed, 0 failed" in said
    changes = [json.loads(line) for line in (folder / "weights.jsonl").read_text().splitlines()]
    settled = [change for change in changes if "settled" in change]
    assert [change["action"] for change in settled] == ["deploy", "deploy", "promote", "rollback"]
    assert settled[2]["reason"] == "B is better than A" and settled[3]["after"] == {"A": 0.9, "B": 0.1}
    assert all((folder / name).stat().st_size > 5000 for name in ("pairs.svg", "split.svg"))
    sagemaker = door.client("sagemaker")
    assert sagemaker.list_endpoints()["Endpoints"] == [] and sagemaker.list_models()["Models"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    packages = sagemaker.list_model_packages(ModelPackageGroupName="air")["ModelPackageSummaryList"]
    assert {package["ModelApprovalStatus"] for package in packages} == {"Approved"} and len(packages) == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_from_two_jobs_to_a_teardown(tmp_path: Path) -> None:
    with opened(tmp_path / "state", ROOT / "container") as door:
        check(rehearse(door, tmp_path / "rehearsal"), tmp_path / "rehearsal", door)
