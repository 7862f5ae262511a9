"""Tuning jobs over boto3, and the ranges they choose from."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from local_mode.front_door.jobs.ranges import ranges_of
from local_mode.front_door.jobs.tuning_search import TuningSearch
from local_mode.front_door.shapes import Fault
from tests.local_mode.front_door.conftest import Door, job

X = {"Name": "x", "MinValue": "-10", "MaxValue": "10", "ScalingType": "Linear"}


def request(name: str, limits: dict[str, Any], **config: Any) -> dict[str, Any]:
    definition = {
        member: value for member, value in job("any").items() if member not in ("TrainingJobName", "HyperParameters")
    }
    definition["AlgorithmSpecification"] |= {"MetricDefinitions": [{"Name": "bowl", "Regex": r"bowl=(\S+)"}]}
    static = {"behaviour": "bowl", **config.pop("static", {})}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "bowl"},
            "ResourceLimits": {"MaxParallelTrainingJobs": 2, **limits},
            "ParameterRanges": {"ContinuousParameterRanges": [X]},
            "RandomSeed": 1,
            **config,
        },
        "TrainingJobDefinition": {**definition, "StaticHyperParameters": static},
    }


def tuned(
    door: Door, *arguments: Any, seconds: float = 90, **config: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The description of a tuning job that has ended, and its training jobs in their order."""
    sagemaker, asking = door.client("sagemaker"), request(*arguments, **config)
    sagemaker.create_hyper_parameter_tuning_job(**asking)
    name = asking["HyperParameterTuningJobName"]
    deadline = time.monotonic() + seconds
    while True:
        described = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if described["HyperParameterTuningJobStatus"] not in ("InProgress", "Stopping"):
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=name, SortBy="Name", SortOrder="Ascending"
    )
    return described, [each for page in pages for each in page["TrainingJobSummaries"]]


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_search_ends_with_the_best_job(door: Door) -> None:
    described, jobs = tuned(door, "bayes", {"MaxNumberOfTrainingJobs": 12})
    assert described["HyperParameterTuningJobStatus"] == "Completed", described
    assert described["TrainingJobStatusCounters"]["Completed"] == len(jobs) == 12
    assert described["ObjectiveStatusCounters"] == {"Succeeded": 12, "Pending": 0, "Failed": 0}
    values = [each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for each in jobs]
    best = described["BestTrainingJob"]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == min(values)
    drawn = [float(each["TunedHyperParameters"]["x"]) for each in jobs]
    assert len(set(drawn)) == 12 and all(-10 <= x <= 10 for x in drawn)
    training = door.client("sagemaker").describe_training_job(TrainingJobName=best["TrainingJobName"])
    assert training["TuningJobArn"] == described["HyperParameterTuningJobArn"]
    assert training["HyperParameters"]["_tuning_objective_metric"] == "bowl"
    assert training["HyperParameters"]["x"] == best["TunedHyperParameters"]["x"]
    assert training["TrainingJobName"].startswith("bayes-0")
    listed = door.client("sagemaker").list_hyper_parameter_tuning_jobs(NameContains="bay")
    assert listed["HyperParameterTuningJobSummaries"][0]["Strategy"] == "Bayesian"


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_grid_is_tried_whole(door: Door) -> None:
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "3"]}, {"Name": "n", "Values": ["0", "5"]}]}
    described, jobs = tuned(
        door, "grid", {}, Strategy="Grid", ParameterRanges=ranges,
        HyperParameterTuningJobObjective={"Type": "Maximize", "MetricName": "bowl"},
    )  # fmt: skip
    tried = {(each["TunedHyperParameters"]["x"], each["TunedHyperParameters"]["n"]) for each in jobs}
    assert tried == {("1", "0"), ("1", "5"), ("3", "0"), ("3", "5")} and len(jobs) == 4
    assert described["BestTrainingJob"]["TunedHyperParameters"] == {"x": "1", "n": "5"}
    assert described["HyperParameterTuningJobStatus"] == "Completed", described


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_what_falls_behind_is_given_up_and_a_target_ends_it(door: Door) -> None:
    described, jobs = tuned(
        door, "early", {"MaxNumberOfTrainingJobs": 8, "MaxParallelTrainingJobs": 1}, Strategy="Random",
        TrainingJobEarlyStoppingType="Auto", static={"steps": "20", "pause": "0.05"},
    )  # fmt: skip
    assert described["TrainingJobStatusCounters"]["Stopped"] > 0 and len(jobs) == 8
    described, jobs = tuned(
        door, "target", {"MaxNumberOfTrainingJobs": 50}, Strategy="Random",
        TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 60.0},
    )  # fmt: skip
    assert described["HyperParameterTuningJobStatus"] == "Completed" and len(jobs) < 50
    assert described["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] <= 60


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_it_fails_where_no_job_tells_its_metric_and_is_stopped_by_its_user(door: Door) -> None:
    described, _ = tuned(door, "silent", {"MaxNumberOfTrainingJobs": 2}, static={"behaviour": "train"})
    assert described["HyperParameterTuningJobStatus"] == "Failed"
    assert "none of the training jobs has told its objective metric" in described["FailureReason"]
    assert "BestTrainingJob" not in described
    sagemaker = door.client("sagemaker")
    sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="silent")
    with pytest.raises(ClientError, match="can't find a tuning job with the name silent"):
        sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="silent")
    sagemaker.create_hyper_parameter_tuning_job(
        **request("halted", {"MaxNumberOfTrainingJobs": 9}, static={"behaviour": "wait"})
    )
    time.sleep(1.5)
    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="halted")
    deadline = time.monotonic() + 30
    while True:
        described = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="halted")
        if described["HyperParameterTuningJobStatus"] == "Stopped":
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert described["TrainingJobStatusCounters"]["InProgress"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ParameterRanges": {}}, "ParameterRanges must have one range or more"),
        ({"ParameterRanges": {"ContinuousParameterRanges": [X, X]}}, "each of another name; got x, x"),
        ({"ParameterRanges": {"ContinuousParameterRanges": [X | {"MinValue": "a"}]}}, "its ends must be numbers"),
        ({"ParameterRanges": {"AutoParameters": [{"Name": "x", "ValueHint": "1"}]}}, "AutoParameters is not honoured"),
        ({"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "zzz"}}, "has no zzz, it has bowl"),
        (
            {
                "Strategy": "Grid",
                "ResourceLimits": {"MaxParallelTrainingJobs": 1},
                "ParameterRanges": {
                    "CategoricalParameterRanges": [
                        {"Name": f"x{number}", "Values": [str(value) for value in range(20)]} for number in range(8)
                    ]
                },
            },
            "the grid has 25600000000 points: at most 10000 are tried",
        ),
        ({"Strategy": "Grid"}, "Strategy Grid takes categorical ranges alone, and x is none"),
        ({"ResourceLimits": {"MaxParallelTrainingJobs": 1}}, "MaxNumberOfTrainingJobs is missing"),
    ],
)
def test_what_cannot_be_had_is_refused(door: Door, changes: dict[str, Any], message: str) -> None:
    sagemaker = door.client("sagemaker")
    with pytest.raises(ClientError, match=message):
        sagemaker.create_hyper_parameter_tuning_job(**request("refused", {"MaxNumberOfTrainingJobs": 2}, **changes))
    with pytest.raises(ClientError, match="ResourceNotFound"):
        sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="refused")


@settings(deadline=None)  # optuna is imported by the first.
@given(
    st.floats(1e-6, 1e3),
    st.floats(1.0, 1e6),
    st.sampled_from(["Auto", "Linear", "Logarithmic"]),
    st.booleans(),
    st.integers(0, 99),
)
def test_choices_lie_within_their_range(low: float, factor: float, scaling: str, whole: bool, seed: int) -> None:
    ends = (round(low) + 1, round(low) + 1 + round(factor)) if whole else (low, low * factor)
    parameter = {"Name": "x", "MinValue": str(ends[0]), "MaxValue": str(ends[1]), "ScalingType": scaling}
    ranges = {f"{'Integer' if whole else 'Continuous'}ParameterRanges": [parameter]}
    search = TuningSearch(
        request("any", {"MaxNumberOfTrainingJobs": 1}, Strategy="Random", RandomSeed=seed, ParameterRanges=ranges)
    )
    _, chosen = search.ask()
    assert ends[0] * (1 - 1e-9) <= float(chosen["x"]) <= ends[1] * (1 + 1e-9)
    assert not whole or chosen["x"].isdecimal()


def test_a_reverse_logarithmic_scale_looks_near_one() -> None:
    parameter = {"Name": "x", "MinValue": "0.9", "MaxValue": "0.9999", "ScalingType": "ReverseLogarithmic"}
    (found,) = ranges_of({"ContinuousParameterRanges": [parameter]})
    assert found.text(0.1) == "0.9" and found.text(0.0001) == "0.9999"
    for ends in (("0.9", "1"), ("2", "1"), ("nan", "1")):
        wrong = parameter | {"MinValue": ends[0], "MaxValue": ends[1]}
        with pytest.raises(Fault, match=r"the range of x is .*, ReverseLogarithmic: "):
            ranges_of({"ContinuousParameterRanges": [wrong]})
