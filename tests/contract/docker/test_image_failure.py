"""Two hosts end alike: both sound, both succeed; one at fault, both fail and the one at fault says why."""

from pathlib import Path

import pytest

from tests.helpers.image_engine import Engine
from tests.helpers.image_jobs import (
    CP,
    FORECASTER,
    Hyperparameters,
    OptMl,
    lay_out,
    low_rank_tensor,
    write_series,
    write_tensor,
)

HOSTS = ["algo-1", "algo-2"]


def run_two_hosts(engine: Engine, image: str, jobs: dict[str, OptMl]) -> dict[str, tuple[int, str]]:
    """Run one container a host on a network of their own; returns each host's exit code and log."""
    with engine.network() as network:
        started = {
            host: engine.start(image, "train", options=["--network", network, "--network-alias", host, *job.mount])
            for host, job in jobs.items()
        }
        return {host: (container.wait(timeout=120), container.logs()) for host, container in started.items()}


def two_hosts(root: Path, hyperparameters: Hyperparameters) -> dict[str, OptMl]:
    return {host: lay_out(root / host, hyperparameters, host, HOSTS) for host in HOSTS}


def assert_both_failed(ends: dict[str, tuple[int, str]]) -> None:
    for host, (code, log) in ends.items():
        assert code != 0, f"{host} exited 0:\n{log}"
        assert "Traceback" not in log, f"{host}:\n{log}"


@pytest.mark.timeout(200, func_only=True)
def test_two_sound_hosts_both_succeed_and_print_no_traceback(engine: Engine, image: str, scratch: Path) -> None:
    jobs = two_hosts(scratch, CP)
    for job in jobs.values():
        write_tensor(job.channel("train"), low_rank_tensor())
    for host, (code, log) in run_two_hosts(engine, image, jobs).items():
        assert code == 0, f"{host} exited {code}:\n{log}"
        assert "Traceback" not in log, f"{host}:\n{log}"
        assert jobs[host].failure() is None
    assert jobs["algo-1"].tensors()


@pytest.mark.timeout(200, func_only=True)
@pytest.mark.parametrize("culprit", HOSTS)
def test_a_broken_tensor_on_one_host_fails_both(engine: Engine, image: str, scratch: Path, culprit: str) -> None:
    jobs = two_hosts(scratch, CP)
    for job in jobs.values():
        write_tensor(job.channel("train"), low_rank_tensor())
    broken = jobs[culprit].channel("train") / "tensor.npy"
    broken.write_bytes(broken.read_bytes()[:200])

    ends = run_two_hosts(engine, image, jobs)
    assert_both_failed(ends)
    failure = jobs[culprit].failure()
    assert failure is not None and "tensor.npy" in failure and len(failure) <= 1024
    assert not list(jobs["algo-1"].model.iterdir())


@pytest.mark.timeout(200, func_only=True)
def test_a_broken_series_on_one_host_fails_both(engine: Engine, image: str, scratch: Path) -> None:
    jobs = two_hosts(scratch, FORECASTER)
    for job in jobs.values():
        write_series(job.channel("train"))
    (jobs["algo-2"].channel("train") / "series.json").write_text('{"start": "2024-01-01 00:00:00", "target": [1, 2\n')

    assert_both_failed(run_two_hosts(engine, image, jobs))
    failure = jobs["algo-2"].failure()
    assert failure is not None and "series.json" in failure
