"""The SageMaker Python SDK v2 in local mode, on the real image."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.helpers.image_jobs import (
    CP,
    FORECASTER,
    cp_requests,
    daily_series,
    low_rank_tensor,
    made,
    write_series,
    write_tensor,
)
from tests.helpers.image_sdk import Sdk, free_port


@pytest.mark.timeout(240, func_only=True)
def test_fit_on_two_hosts_deploy_predict(sdk2: Sdk, image: str, scratch: Path) -> None:
    tensor = low_rank_tensor()
    requests, expected = cp_requests(tensor)
    answers = sdk2.run(
        "sdk2_deploy.py", image=image, hosts=2, hyperparameters=CP, requests=requests, port=free_port(),
        channels={"train": str(write_tensor(scratch / "tensor", tensor))}, output=str(scratch / "output"),
    )  # fmt: skip
    predicted = [answer["predictions"][0]["value"] for answer in answers]
    assert predicted == pytest.approx(expected, abs=1e-4)
    with tarfile.open(scratch / "output" / "model.tar.gz") as archive:
        assert {"model.json", "model.safetensors"} <= {Path(name).name for name in archive.getnames()}


@pytest.mark.timeout(240, func_only=True)
def test_fit_on_one_host_and_a_batch_transform_that_keeps_the_order_of_lines(
    sdk2: Sdk, image: str, scratch: Path
) -> None:
    levels = [500.0, 5.0, 50.0, 5000.0]
    records, transformed = made(scratch / "records"), scratch / "transformed"
    lines = [json.dumps(daily_series(level)) + "\n" for level in levels]
    (records / "series.jsonl").write_text("".join(lines))
    sdk2.run(
        "sdk2_transform.py", image=image, hyperparameters=FORECASTER, port=free_port(),
        channels={"train": str(write_series(scratch / "series"))}, output=str(scratch / "output"),
        records=str(records), transformed=str(transformed),
    )  # fmt: skip
    for strategy in ("SingleRecord", "MultiRecord"):
        forecasts = forecasts_in(transformed / strategy / "series.jsonl.out")
        assert [len(mean) for mean in forecasts] == [7] * len(levels), strategy
        # Each series is scaled by its own level, so a forecast's size tells which series it answers.
        sizes = [sum(mean) / 7 / level for mean, level in zip(forecasts, levels, strict=True)]
        assert sizes == pytest.approx([1.0] * len(levels), abs=0.7), strategy


def forecasts_in(file: Path) -> list[list[float]]:
    return [json.loads(line)["mean"] for line in file.read_text().splitlines() if line]


@pytest.mark.timeout(180, func_only=True)
def test_fit_raises_when_a_job_of_two_hosts_fails(sdk2: Sdk, image: str, scratch: Path) -> None:
    channel = write_tensor(scratch / "tensor", low_rank_tensor())
    (channel / "tensor.npy").write_bytes((channel / "tensor.npy").read_bytes()[:200])
    printed = sdk2.run_failing(
        "sdk2_fit.py", image=image, hosts=2, hyperparameters=CP,
        channels={"train": str(channel)}, output=str(scratch / "output"),
    )  # fmt: skip
    assert "Failed to run" in printed
    assert "tensor.npy" in printed
