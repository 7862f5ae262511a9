"""The front door as a process: what it prints and writes, who may come in, and that its page names its operations."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_mode.front_door.server import FrontDoor, FrontDoorSettings
from local_mode.processes import ProcessBackend

RUNTIME = ("InvokeEndpoint", "InvokeEndpointAsync", "InvokeEndpointWithResponseStream")
PAGE = Path(__file__).parents[3] / "docs" / "local-sagemaker.md"


def test_the_page_names_every_operation(tmp_path: Path) -> None:
    door = FrontDoor(FrontDoorSettings(0, tmp_path / "state", ProcessBackend))
    try:
        table = PAGE.read_text().partition("<!-- table: operations -->")[2].partition("<!-- end -->")[0]
        first = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
        named = {name for cell in first for name in re.findall(r"`(\w+)`", cell)}
        assert named == {*door.operations, *RUNTIME}
    finally:
        door.close()


@pytest.mark.slow
def test_it_is_up_soon_and_says_what_a_client_needs(open_door: Callable[[], Any]) -> None:
    with open_door() as door:
        assert door.client("sts").get_caller_identity()["Account"] == "123456789012"
        lines = (door.state / "environment").read_text().splitlines()
        assert f"export AWS_ENDPOINT_URL={door.url}" in lines
        settings = dict(line.removeprefix("export ").split("=", 1) for line in lines)["SAGEMAKER_USER_CONFIG_OVERRIDE"]
        assert "DefaultS3Bucket: sagemaker-us-east-1-123456789012" in Path(settings).read_text()
        second = [sys.executable, "-m", "local_mode", "up", "--port", "0", "--state", str(door.state)]
        run = subprocess.run(second, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 2
        assert run.stderr == f"error: {door.state} is in use by another front door: give --state another folder\n"


@pytest.mark.slow
def test_a_port_that_is_taken_is_said(open_door: Callable[[], Any], tmp_path: Path) -> None:
    with open_door() as door:
        port = door.url.rpartition(":")[2]
        command = [sys.executable, "-m", "local_mode", "up", "--port", port, "--state", str(tmp_path / "other")]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 2 and "Traceback" not in run.stderr
        assert f"error: cannot listen on port {port}: " in run.stderr and "choose another --port" in run.stderr
