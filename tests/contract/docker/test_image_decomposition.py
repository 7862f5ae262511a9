"""Decompositions in the image on real data: a sparse tensor in shards on two hosts, a dense one served and asked."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from polyadic.decomposition.cp.fit import cp
from polyadic.formats import tns
from polyadic.tensor.sparse import SparseTensor
from tests.contract.docker.test_image_failure import HOSTS, run_two_hosts
from tests.helpers.image_engine import Engine
from tests.helpers.image_jobs import OptMl, lay_out
from tests.helpers.image_sdk import REPOSITORY, free_port

DATA = REPOSITORY.parent / "shared" / "data"
MED4 = {"algorithm": "cp", "method": "als", "rank": "8", "max_iterations": "10", "stop_tol": "0", "dtype": "float64"}


def real(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not in ../shared/data")
    return DATA / name


def shard(job: OptMl, records: bytes) -> None:
    """A host's own part of a channel."""
    (job.channel("train") / f"part-{job.root.name}.tns").write_bytes(records)
    config = {"train": {"TrainingInputMode": "File", "S3DistributionType": "ShardedByS3Key"}}
    (job.root / "input" / "config" / "inputdataconfig.json").write_text(json.dumps(config))


@pytest.mark.timeout(300, func_only=True)
def test_two_hosts_with_a_shard_each_equal_one_process_with_all(engine: Engine, image: str, scratch: Path) -> None:
    import torch

    lines = real("med4.tns").read_bytes().splitlines(keepends=True)
    jobs = {host: lay_out(scratch / host, MED4, host, HOSTS) for host in HOSTS}
    shard(jobs["algo-1"], b"".join(lines[:70_000]))
    shard(jobs["algo-2"], b"".join(lines[70_000:]))
    ends = run_two_hosts(engine, image, jobs)
    assert [code for code, _ in ends.values()] == [0, 0], ends
    found = tns.read_coordinates(DATA / "med4.tns", 0, 1)
    index, values = torch.from_numpy(found.indices), torch.from_numpy(found.values).double()
    whole = cp(SparseTensor(index.int(), values, found.rows), 8, method="als", max_iterations=10, stop_tol=0)
    printed = re.findall(r"iteration=10, train relative_error <loss>=(\S+)", ends["algo-1"][1])
    assert [float(value) for value in printed] == pytest.approx([whole.relative_error], rel=1e-5)
    tensors = jobs["algo-1"].tensors()
    for mode, factor in enumerate(whole.factors):
        assert abs(tensors[f"factor_{mode}"] - factor.numpy()).max() < 1e-4
    assert (jobs["algo-1"].root / "output" / "data" / "report.html").exists()


@pytest.mark.timeout(300, func_only=True)
def test_taxi_trips_are_served_and_asked_for_destinations(image: str, scratch: Path) -> None:
    command = [sys.executable, "-m", "scripts.taxi", str(real("nyc_taxi_tensor.mat")), "--image", image]
    command += ["--output", str(scratch / "taxi"), "--port", str(free_port())]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| (\d+) \|$", done.stdout, re.MULTILINE)
    assert len(rows) == 5 and len({row[0] for row in rows}) == 5
    expected = [float(row[1]) for row in rows]
    assert expected == sorted(expected, reverse=True)
    # The busiest pairs of a busy hour are known to within a third or so.
    assert sum(expected) == pytest.approx(sum(int(row[2]) for row in rows), rel=0.35)
    assert (scratch / "taxi" / "report" / "report.html").exists()
