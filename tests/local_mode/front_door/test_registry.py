"""Packages of models: versions, approval, and the models that are made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_mode.conftest import make_archive
from tests.local_mode.front_door.conftest import ROLE, Door, asked, make_config, settled

pytestmark = pytest.mark.slow


def package(**members: Any) -> dict[str, Any]:
    container = {"Image": "polyadic", "ModelDataUrl": "s3://data/models/one.tar.gz", "Environment": {"A": "1"}}
    specification = {"Containers": [container], "SupportedContentTypes": ["text/csv"]}
    return {"InferenceSpecification": specification, **members}


def test_a_version_is_registered_approved_and_deployed(door: Door, tmp_path: Path) -> None:
    sagemaker = door.client("sagemaker")
    door.client("s3").upload_file(str(make_archive(tmp_path)), "data", "models/one.tar.gz")
    group = sagemaker.create_model_package_group(
        ModelPackageGroupName="Load", ModelPackageGroupDescription="of a district", Tags=[{"Key": "a", "Value": "b"}]
    )["ModelPackageGroupArn"]
    metrics = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://data/metrics.json"}}}
    first = sagemaker.create_model_package(
        **package(ModelPackageGroupName="Load", ModelMetrics=metrics, CustomerMetadataProperties={"rank": "4"})
    )["ModelPackageArn"]
    second = sagemaker.create_model_package(
        **package(ModelPackageGroupName=group, ModelApprovalStatus="Approved", ClientToken="t" * 36)
    )["ModelPackageArn"]
    again = sagemaker.create_model_package(**package(ModelPackageGroupName="Load", ClientToken="t" * 36))
    assert again["ModelPackageArn"] == second  # A request that is sent twice is one.
    assert first == "arn:aws:sagemaker:us-east-1:123456789012:model-package/load/1" and second.endswith("/load/2")
    described = sagemaker.describe_model_package(ModelPackageName=first)
    assert described["ModelPackageVersion"] == 1 and described["ModelApprovalStatus"] == "PendingManualApproval"
    assert described["ModelMetrics"] == metrics and described["ModelPackageStatus"] == "Completed"
    assert sagemaker.list_tags(ResourceArn=group)["Tags"] == [{"Key": "a", "Value": "b"}]

    by_package = {"ModelPackageName": first, "Environment": {"B": "2"}}
    with pytest.raises(ClientError, match="is PendingManualApproval: it must be Approved"):
        sagemaker.create_model(ModelName="of-package", Containers=[by_package], ExecutionRoleArn=ROLE)
    sagemaker.update_model_package(
        ModelPackageArn=first,
        ModelApprovalStatus="Approved",
        ApprovalDescription="compared",
        CustomerMetadataProperties={"rank": "5", "who": "me"},
    )
    described = sagemaker.describe_model_package(ModelPackageName=first)
    assert described["ApprovalDescription"] == "compared"
    assert described["CustomerMetadataProperties"] == {"rank": "5", "who": "me"}
    sagemaker.create_model(ModelName="of-package", Containers=[by_package], ExecutionRoleArn=ROLE)
    make_config(door, "of-package", A=("of-package", 1.0, 1))
    sagemaker.create_endpoint(EndpointName="of-package", EndpointConfigName="of-package")
    assert settled(door, "of-package")["EndpointStatus"] == "InService"
    assert asked(door, "of-package")[0] == "A"


def test_packages_are_listed_by_group_and_status(door: Door) -> None:
    sagemaker = door.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="listed")
    for status in ("Approved", "Rejected", "Approved"):
        sagemaker.create_model_package(**package(ModelPackageGroupName="listed", ModelApprovalStatus=status))
    bare = sagemaker.create_model_package(ModelPackageName="alone", SourceUri="s3://data/source")["ModelPackageArn"]
    with pytest.raises(ClientError, match="has no InferenceSpecification: nothing says what serves it"):
        sagemaker.create_model(ModelName="bare", Containers=[{"ModelPackageName": bare}], ExecutionRoleArn=ROLE)

    def versions(**asking: Any) -> list[int | None]:
        found = sagemaker.get_paginator("list_model_packages").paginate(PaginationConfig={"PageSize": 1}, **asking)
        return [each.get("ModelPackageVersion") for page in found for each in page["ModelPackageSummaryList"]]

    assert versions(ModelPackageGroupName="listed") == [1, 2, 3]  # The oldest first.
    assert versions(ModelPackageGroupName="listed", ModelApprovalStatus="Approved", SortOrder="Descending") == [3, 1]
    assert versions() == [None]
    groups = sagemaker.list_model_package_groups(NameContains="list")["ModelPackageGroupSummaryList"]
    assert [each["ModelPackageGroupName"] for each in groups] == ["listed"]

    with pytest.raises(ClientError, match="ConflictException.*has 3 model packages: delete them first"):
        sagemaker.delete_model_package_group(ModelPackageGroupName="listed")
    for number in (1, 2, 3):
        arn = f"arn:aws:sagemaker:us-east-1:123456789012:model-package/listed/{number}"
        sagemaker.delete_model_package(ModelPackageName=arn)
        if number == 2:  # Numbers are never given twice.
            version = sagemaker.create_model_package(**package(ModelPackageGroupName="listed"))["ModelPackageArn"]
            assert version.endswith("/4")
    sagemaker.delete_model_package(ModelPackageName=version)
    sagemaker.delete_model_package_group(ModelPackageGroupName="listed")
    with pytest.raises(ClientError, match="ModelPackageGroup .*listed does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName="listed")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "Give ModelPackageGroupName for a version of a group, or ModelPackageName"),
        ({"ModelPackageName": "a", "ModelPackageGroupName": "b"}, "Cannot determine which one to use"),
        ({"ModelPackageGroupName": "zzz"}, "ModelPackageGroup .*zzz does not exist"),
        ({"ModelPackageName": "a", "CertifyForMarketplace": True}, "CertifyForMarketplace is not honoured"),
    ],
)
def test_a_package_that_cannot_be_is_refused(door: Door, members: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        door.client("sagemaker").create_model_package(**package() | members)
