"""The train half of the contract, in real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.helpers.opt_ml import FORECASTER, OptMl, Process, free_ports, low_rank, waves

HOSTS = ("algo-1", "algo-2")


def two_hosts(folder: Path, hyperparameters: dict[str, str]) -> list[OptMl]:
    return [OptMl(folder / host, hyperparameters, host, HOSTS) for host in HOSTS]


def start_both(hosts: list[OptMl]) -> list[Process]:
    port = str(free_ports())
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "POLYADIC_LOST_AFTER_SECONDS": "10"}
    return [host.start(**place) for host in hosts]


def tensors(host: OptMl) -> dict[str, np.ndarray]:
    return load_file(host.base / "model" / "model.safetensors")


def test_cp_trains_and_prints_its_metrics(tmp_path: Path) -> None:
    settings = {"rank": "2", "method": "als", "stop_tol": "0", "max_iterations": "40"}
    job = OptMl(tmp_path / "ml", settings).array(low_rank(8, 9, 10))
    stale = job.base / "output" / "failure"
    stale.parent.mkdir()
    stale.write_text("an earlier job's")
    run = job.start()
    assert run.wait() == 0, run.output
    assert not stale.exists()
    assert "#quality_metric: host=algo-1, iteration=3, train relative_error <loss>=" in run.output
    assert "#quality_metric: host=algo-1, iteration=3, train seconds_per_sweep <seconds>=" in run.output
    last = run.output.strip().splitlines()[-1]
    assert last.startswith("#quality_metric: host=algo-1, train final_relative_error <loss>=")
    description = json.loads((job.base / "model" / "model.json").read_text())
    assert description["algorithm"] == "cp"
    assert description["metrics"]["train:final_relative_error"] == pytest.approx(float(last.split("=")[-1]), rel=1e-6)


def test_shards_of_a_sparse_tensor_on_two_hosts_are_one_tensor(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    index = np.unique(random.integers(1, (9, 12, 7), (200, 3)), axis=0)
    lines = [f"{i} {j} {k} {value:.6f}\n" for (i, j, k), value in zip(index, random.random(len(index)), strict=True)]
    settings = {"algorithm": "cp", "rank": "2", "dtype": "float64", "max_iterations": "20", "stop_tol": "0"}
    alone = OptMl(tmp_path / "alone", settings).channel("train", {"all.tns": "".join(lines).encode()})
    run, both = alone.start(), two_hosts(tmp_path, settings)
    for part, host in enumerate(both):
        shard = "".join(lines[part * 150 : 150 + part * 1000]).encode()
        host.channel("train", {f"{part}.tns": shard}, S3DistributionType="ShardedByS3Key")
    runs = start_both(both)
    assert [run.wait(), *(one.wait() for one in runs)] == [0, 0, 0], runs[0].output
    for name, value in tensors(alone).items():
        np.testing.assert_allclose(tensors(both[0])[name], value, atol=1e-5)
    report = both[0].base / "output" / "data"
    assert {"report.html", "factor_0.npy", "fit.png"} <= {path.name for path in report.iterdir()}
    assert not (both[1].base / "output" / "data").exists(), "the first host alone writes the report"


def test_two_hosts_decompose_as_one(tmp_path: Path) -> None:
    settings = {"rank": "2", "dtype": "float64", "max_iterations": "30", "stop_tol": "0"}
    alone = OptMl(tmp_path / "alone", settings).array(low_rank(8, 15, 10))
    run = alone.start()
    both = two_hosts(tmp_path, settings)
    for host in both:
        host.array(low_rank(8, 15, 10))
    runs = start_both(both)
    assert [run.wait(), *(one.wait() for one in runs)] == [0, 0, 0], runs[0].output
    for name, value in tensors(alone).items():
        np.testing.assert_allclose(tensors(both[0])[name], value, rtol=1e-5, atol=1e-5)
    assert not (both[1].base / "model").exists()
    assert "#quality_metric" not in runs[1].output


def test_an_empty_shard_joins_the_collectives(tmp_path: Path) -> None:
    both = two_hosts(tmp_path, FORECASTER)
    both[0].series(waves(), S3DistributionType="ShardedByS3Key")
    both[1].series([], S3DistributionType="ShardedByS3Key")
    runs = start_both(both)
    assert [run.wait() for run in runs] == [0, 0], runs[0].output + runs[1].output
    assert "test RMSE <loss>=" in runs[0].output


def test_one_failing_host_fails_every_host(tmp_path: Path) -> None:
    both = two_hosts(tmp_path, FORECASTER)
    both[0].series(waves())
    both[1].series(waves()).channel("train", {"a.json": b'{"start": "2020-01-01 00:00:00", "target": [1, "x"]}\n'})
    runs = start_both(both)
    assert [run.wait() for run in runs] == [3, 1]
    assert both[1].failure().startswith("channel train, a.json, line 1: target holds 'x' at place 2: it must")
    assert both[0].failure().startswith("host algo-2 failed: channel train, a.json, line 1: target holds 'x' at")
    assert "Traceback" not in runs[1].output


def test_a_lost_host_fails_the_others(tmp_path: Path) -> None:
    both = two_hosts(tmp_path, {**FORECASTER, "epochs": "100000"})
    for host in both:
        host.series(waves())
    runs = start_both(both)
    runs[0].wait_for("epoch=0, train loss")
    runs[1].process.kill()
    assert runs[0].wait(100) == 3
    assert "lost" in both[0].failure() or "host algo-2 has not answered" in both[0].failure()


def test_sigterm_saves_the_model_and_exits_0(tmp_path: Path) -> None:
    job = OptMl(tmp_path / "ml", {**FORECASTER, "epochs": "100000"}).series(waves())
    (job.base / "checkpoints").mkdir()
    run = job.start()
    run.wait_for("epoch=1, train loss")
    began = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    assert run.wait(60) == 0, run.output
    assert time.monotonic() - began < 30
    assert (job.base / "model" / "model.safetensors").exists()
    again = job.start()
    again.wait_for("resuming from the checkpoint of epoch")
    again.process.send_signal(signal.SIGTERM)
    assert again.wait(60) == 0


def test_sigterm_of_one_host_stops_both_alike(tmp_path: Path) -> None:
    both = two_hosts(tmp_path, {**FORECASTER, "epochs": "100000"})
    for host in both:
        host.series(waves())
    runs = start_both(both)
    runs[0].wait_for("epoch=0, train loss")
    runs[1].process.send_signal(signal.SIGTERM)
    assert [run.wait(60) for run in runs] == [0, 0], runs[0].output + runs[1].output
    assert (both[0].base / "model" / "model.json").exists()


@pytest.mark.parametrize("algorithm", ["forecaster", "cp"])
def test_a_killed_job_ends_with_the_weights_of_one_never_killed(tmp_path: Path, algorithm: str) -> None:
    def job(name: str) -> OptMl:
        if algorithm == "cp":
            settings = {"rank": "3", "method": "als", "max_iterations": "100", "restarts": "4", "stop_tol": "0"}
            made = OptMl(tmp_path / name, settings).array(np.random.default_rng(0).normal(size=(30, 31, 32)))
        else:
            made = OptMl(tmp_path / name, {**FORECASTER, "epochs": "20"}).series(waves())
        (made.base / "checkpoints").mkdir()
        return made

    whole, killed = job("whole"), job("killed")
    first = killed.start(POLYADIC_CHECKPOINT_SECONDS="0")
    first.until(lambda: len(list((killed.base / "checkpoints").glob("*.safetensors"))) >= 3)
    first.process.kill()
    first.process.wait()
    second, reference = killed.start(), whole.start()
    assert [second.wait(), reference.wait()] == [0, 0], second.output
    assert "resuming from the checkpoint" in second.output
    expected = tensors(whole)
    for name, value in tensors(killed).items():
        np.testing.assert_array_equal(value, expected[name])
    kept = [path.name for path in (killed.base / "checkpoints").iterdir()]
    # The kill may fall between the sixth one's writing and the oldest one's removal; an epoch later saves again, a
    # sweep of cp within the minute does not.
    assert len(kept) == 5 or (algorithm == "cp" and 0 < len(kept) <= 6), kept


def test_a_checkpoint_of_other_hyperparameters_is_refused(tmp_path: Path) -> None:
    job = OptMl(tmp_path / "ml", FORECASTER).series(waves())
    (job.base / "checkpoints").mkdir()
    assert job.start().wait() == 0
    job.configure("hyperparameters", {**FORECASTER, "num_cells": "9"})
    assert job.start().wait() == 1
    assert "is of a job with other hyperparameters" in job.failure()


def test_dry_run_checks_everything_and_writes_nothing(tmp_path: Path) -> None:
    job = OptMl(tmp_path / "ml", {**FORECASTER, "epochs": "100000"}).series(waves())
    run = subprocess.run(
        [sys.executable, "-m", "polyadic", "train", "--dry-run"],
        env={"PATH": "/usr/bin:/bin", **job.environ},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "test RMSE <loss>=" in run.stdout
    assert not (job.base / "model").exists()


def test_no_data_is_said_in_one_sentence(tmp_path: Path) -> None:
    run = OptMl(tmp_path / "ml", {"rank": "2"}).start()
    assert run.wait() == 1
    assert "error: channel train is missing (got none): cp reads a tensor" in run.output
    assert "Traceback" not in run.output
    assert len(run.output.strip().splitlines()) == 1
