"""Which processes a host starts, and where in the job they find themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from polyadic.training.environment import Environment, read_environment
from polyadic.training.launcher import _command, _variables


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    hosts = ("algo-1", "algo-2")
    given = read_environment({"SAGEMAKER_BASE_DIR": str(tmp_path)})
    return replace(given, hosts=hosts, current_host="algo-2", master_address="algo-1", master_port=7777)


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_single_worker_is_started_without_an_agent(environment: Environment, gpus: int, tmp_path: Path) -> None:
    host = replace(environment, num_gpus=gpus)
    assert _command(host, ["--dry-run"])[2:] == ["-m", "polyadic.training.job", "--dry-run"]
    place = _variables(host, tmp_path)
    assert (place["RANK"], place["WORLD_SIZE"], place["LOCAL_RANK"], place["LOCAL_WORLD_SIZE"]) == ("1", "2", "0", "1")
    assert (place["MASTER_ADDR"], place["MASTER_PORT"]) == ("algo-1", "7777")


def test_several_workers_are_started_by_torch_s_agent(environment: Environment) -> None:
    command = _command(replace(environment, num_gpus=4), [])
    assert command[2:4] == ["-m", "polyadic.training.agent"] and command[-1] == "polyadic.training.job"
    assert command[command.index("--nproc-per-node") + 1] == "4" and command[command.index("--node-rank") + 1] == "1"
