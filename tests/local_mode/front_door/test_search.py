"""Search: filters over members, hyperparameters, tags and metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local_mode.front_door.search import Search
from local_mode.front_door.shapes import Fault
from local_mode.front_door.store import Store

JOBS = {
    f"job-{number}": {
        "TrainingJobName": f"job-{number}",
        "TrainingJobStatus": "Failed" if number == 2 else "Completed",
        "HyperParameters": {"rank": str(number)},
        "FinalMetricDataList": [{"MetricName": "loss", "Value": 1.0 / number}],
        "ModelArtifacts": {"S3ModelArtifacts": f"s3://bucket/{number}/model.tar.gz"},
        "Tags": [{"Key": "team", "Value": "even" if number % 2 == 0 else "odd"}],
        "EnableManagedSpotTraining": number == 1,
        "CreationTime": float(number),
        "LastModifiedTime": float(number),
    }
    for number in range(1, 5)
}


@pytest.fixture
def search(tmp_path: Path) -> Any:
    store = Store(tmp_path)
    for name, document in JOBS.items():
        store.put("training-job", name, document)
    yield Search(store)
    store.close()


def names(search: Search, *filters: dict[str, Any], **members: Any) -> list[str]:
    expression = {"Filters": list(filters), "Operator": members.pop("operator", "And")}
    answer = search.search(
        {"Resource": "TrainingJob", "SearchExpression": expression, "SortOrder": "Ascending"} | members
    )
    return [each["TrainingJob"]["TrainingJobName"] for each in answer["Results"]]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"Name": "TrainingJobStatus", "Value": "Failed"}, [2]),
        ({"Name": "TrainingJobStatus", "Operator": "NotEquals", "Value": "Failed"}, [1, 3, 4]),
        ({"Name": "HyperParameters.rank", "Operator": "GreaterThan", "Value": "2"}, [3, 4]),
        ({"Name": "Metrics.loss", "Operator": "LessThanOrEqualTo", "Value": "0.5"}, [2, 3, 4]),
        ({"Name": "Tags.team", "Value": "odd"}, [1, 3]),
        ({"Name": "ModelArtifacts.S3ModelArtifacts", "Operator": "Contains", "Value": "BUCKET/3"}, [3]),
        ({"Name": "TrainingJobName", "Operator": "In", "Value": "job-1, job-4"}, [1, 4]),
        ({"Name": "HyperParameters.zzz", "Operator": "NotExists"}, [1, 2, 3, 4]),
        ({"Name": "HyperParameters.zzz", "Value": "1"}, []),
        ({"Name": "HyperParameters.rank.deeper", "Value": "1"}, []),
        ({"Name": "EnableManagedSpotTraining", "Value": "true"}, [1]),
        ({"Name": "CreationTime", "Operator": "GreaterThan", "Value": "1970-01-01T00:00:02Z"}, [3, 4]),
    ],
)
def test_a_filter_finds(search: Search, asked: dict[str, Any], found: list[int]) -> None:
    assert names(search, asked) == [f"job-{number}" for number in found]


def test_filters_are_joined_sorted_and_paged(search: Search) -> None:
    odd, failed = {"Name": "Tags.team", "Value": "odd"}, {"Name": "TrainingJobStatus", "Value": "Failed"}
    assert names(search, odd, failed) == []
    assert names(search, odd, failed, operator="Or") == ["job-1", "job-2", "job-3"]
    assert names(search, SortBy="Metrics.loss") == ["job-4", "job-3", "job-2", "job-1"]
    first = search.search({"Resource": "TrainingJob", "MaxResults": 3})
    assert len(first["Results"]) == 3
    rest = search.search({"Resource": "TrainingJob", "MaxResults": 3, "NextToken": first["NextToken"]})
    assert len(rest["Results"]) == 1 and rest["NextToken"] is None


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"Resource": "Pipeline"}, "Resource Pipeline is not honoured on this machine: give one of TrainingJob"),
        (
            {"Resource": "TrainingJob", "SearchExpression": {"NestedFilters": [{}]}},
            "NestedFilters is not honoured on this machine",
        ),
        (
            {"Resource": "TrainingJob", "SearchExpression": {"Filters": [{"Name": "TrainingJobName"}]}},
            "the filter of TrainingJobName lacks its Value",
        ),
        (
            {
                "Resource": "TrainingJob",
                "SearchExpression": {"Filters": [{"Name": "TrainingJobName", "Operator": "LessThan", "Value": "a"}]},
            },
            "compares by LessThan: 'job-1' and 'a' must be numbers or times",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(search: Search, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(Fault, match=message):
        search.search(request_)
