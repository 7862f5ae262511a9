"""A job written for SageMaker's DeepAR, with its hyperparameters, channels, requests and metrics, on our image."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.image_jobs import made
from tests.helpers.image_sdk import Sdk, free_port

# Every hyperparameter of DeepAR's table, as its examples write them: no name of an algorithm among them.
DEEPAR = {
    "time_freq": "H", "context_length": "24", "prediction_length": "6", "epochs": "3", "num_cells": "8",
    "num_layers": "1", "mini_batch_size": "32", "learning_rate": "5e-3", "likelihood": "student-t",
    "dropout_rate": "0.05", "early_stopping_patience": "10", "embedding_dimension": "4", "cardinality": "[2]",
    "num_dynamic_feat": "1", "num_eval_samples": "20", "test_quantiles": "[0.1, 0.5, 0.9]",
    "_tuning_objective_metric": "", "_kvstore": "auto", "_num_gpus": "auto", "_num_kv_servers": "auto",
}  # fmt: skip
CONFIGURATION = {"num_samples": 30, "output_types": ["mean", "quantiles", "samples"], "quantiles": ["0.1", "0.9"]}
# The regular expressions that SageMaker lists for DeepAR.
TRAIN_LOSS = r"#quality_metric: host=\S+, epoch=(\d+),.* train loss <loss>=(\S+)"
FINAL_LOSS = r"#quality_metric: host=\S+, train final_loss <loss>=(\S+)"
TEST_RMSE = r"#quality_metric: host=\S+, test RMSE <loss>=(\S+)"
TEST_LOSS = r"#quality_metric: host=\S+, test mean_wQuantileLoss <loss>=(\S+)"


def series(number: int, length: int = 120, ahead: int = 0) -> dict[str, Any]:
    """An hourly wave, doubled where its feature is 1; a value missing as null, one as a text."""
    hours = np.arange(length + ahead)
    feature = (hours % 5 == 0).astype(float)
    target: list[Any] = (10 * (number + 1) * (2 + np.sin(2 * np.pi * hours / 24)) * (1 + feature))[:length].tolist()
    target[7], target[9] = None, "NaN"
    return {
        "start": f"2024-01-0{number + 1} 00:00:00",
        "target": target,
        "cat": [number % 2],
        "dynamic_feat": [feature.tolist()],
    }


def channels(scratch: Path) -> dict[str, str]:
    """Train in two files, one of them gzipped, beside files that DeepAR skips; test in one."""
    lines = [json.dumps(series(number)) + "\n" for number in range(6)]
    train, test = made(scratch / "train"), made(scratch / "test")
    (train / "part-0.json").write_text("".join(lines[:3]))
    (train / "part-1.json.gz").write_bytes(gzip.compress("".join(lines[3:]).encode()))
    (train / "_SUCCESS").write_text("")
    (test / "all.json").write_text("".join(lines))
    return {"train": str(train), "test": str(test)}


@pytest.mark.timeout(300, func_only=True)
def test_a_deepar_job_runs_unchanged(sdk2: Sdk, image: str, scratch: Path) -> None:
    request = {"instances": [series(2, 60, ahead=6), series(5, 40, ahead=6)], "configuration": CONFIGURATION}
    records, transformed = made(scratch / "records"), scratch / "transformed"
    asked = [series(number, 40 + number, ahead=6) for number in range(3)]
    (records / "series.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asked))
    (answer,) = sdk2.run(
        "sdk2_deploy.py", image=image, hyperparameters=DEEPAR, requests=[request], port=free_port(),
        channels=channels(scratch), output=str(scratch / "output"), records=str(records), transformed=str(transformed),
        env={"DEEPAR_INFERENCE_CONFIG": json.dumps({**CONFIGURATION, "output_types": ["quantiles"]})},
    )  # fmt: skip
    assert len(answer["predictions"]) == 2
    for prediction in answer["predictions"]:
        samples = np.array(prediction["samples"])
        assert samples.shape == (30, 6) and np.isfinite(samples).all()
        assert prediction["mean"] == pytest.approx(samples.mean(0), rel=1e-3)
        low, high = (np.array(prediction["quantiles"][level]) for level in ("0.1", "0.9"))
        assert (low <= high).all() and low == pytest.approx(np.quantile(samples, 0.1, axis=0), rel=1e-3)
    for strategy in ("SingleRecord", "MultiRecord"):
        text = (transformed / strategy / "series.jsonl.out").read_text()
        answers = [json.loads(line) for line in text.splitlines() if line]
        assert len(answers) == 3
        assert all(one.keys() == {"quantiles"} and one["quantiles"].keys() == {"0.1", "0.9"} for one in answers)
    check_metrics_and_report(sdk2.printed, scratch / "output")


@pytest.mark.timeout(300, func_only=True)
def test_two_hosts_train_a_deepar_job_unchanged(sdk2: Sdk, image: str, scratch: Path) -> None:
    sdk2.run(
        "sdk2_fit.py", image=image, hosts=2, hyperparameters=DEEPAR, channels=channels(scratch),
        output=str(scratch / "output"),
    )  # fmt: skip
    check_metrics_and_report(sdk2.printed, scratch / "output")


def check_metrics_and_report(printed: str, output: Path) -> None:
    assert {int(epoch) for epoch, _ in re.findall(TRAIN_LOSS, printed)} == {0, 1, 2}
    for metric in (FINAL_LOSS, TEST_RMSE, TEST_LOSS):
        found = re.findall(metric, printed)
        assert len(found) == 1 and np.isfinite(float(found[0])), metric
    for level in ("0.1", "0.5", "0.9"):
        assert re.search(rf"#test_score \(\S+, wQuantileLoss\[{level}\]\): \S+", printed)
    with tarfile.open(output / "output.tar.gz") as archive:
        names = {Path(name).name for name in archive.getnames()}
    assert {"report.html", "evaluation.json", "forecasts.png", "horizon.png", "calibration.png", "loss.png"} <= names
