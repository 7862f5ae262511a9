"""What is answered beside SageMaker: roles as SDK v3 asks for them, what moto lacks, and what is refused by name."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from local_mode.front_door import limits
from local_mode.front_door.shapes import Fault
from tests.local_mode.front_door.conftest import ROLE, Door


@pytest.mark.slow
def test_every_role_exists_and_may_all(door: Door) -> None:
    iam = door.client("iam")
    role = iam.get_role(RoleName="SageMakerRole")["Role"]
    assert role["Arn"] == ROLE
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=ROLE, ActionNames=["s3:PutObject", "sagemaker:CreateTrainingJob"]
    )
    decisions = {each["EvalActionName"]: each["EvalDecision"] for page in pages for each in page["EvaluationResults"]}
    assert decisions == {"s3:PutObject": "allowed", "sagemaker:CreateTrainingJob": "allowed"}


@pytest.mark.slow
def test_a_role_that_was_made_is_as_it_was_made(door: Door) -> None:
    iam, trust = door.client("iam"), {"Version": "2012-10-17", "Statement": []}
    made = iam.create_role(RoleName="made", AssumeRolePolicyDocument=json.dumps(trust), Description="mine")["Role"]
    found = iam.get_role(RoleName="made")["Role"]
    assert found["RoleId"] == made["RoleId"] and found["AssumeRolePolicyDocument"] == trust


@pytest.mark.slow
def test_what_moto_lacks_is_an_error_that_a_client_reads(door: Door) -> None:
    with pytest.raises(ClientError, match="NotImplemented.*simulate_custom_policy"):
        door.client("iam").simulate_custom_policy(PolicyInputList=["{}"], ActionNames=["s3:PutObject"])


@pytest.mark.slow
def test_versioning_is_refused_and_the_objects_stay(door: Door) -> None:
    s3 = door.client("s3")
    with pytest.raises(ClientError, match="NotImplemented.*versions of objects are not kept on this machine"):
        s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Suspended"})
    assert s3.get_object(Bucket="data", Key="train/a.csv")["Body"].read() == b"1,2,3\n"


@pytest.mark.slow
def test_autoscaling_is_refused_by_name(door: Door) -> None:
    with pytest.raises(ClientError, match="autoscaling is not honoured on this machine"):
        door.client("application-autoscaling").register_scalable_target(
            ServiceNamespace="sagemaker",
            ResourceId="endpoint/ab/variant/A",
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            MinCapacity=1,
            MaxCapacity=2,
        )


@pytest.mark.parametrize(("available", "processors", "room"), [(2**30, 8, 2), (2**40, 2, 32), (0, 2, 1), (None, 1, 16)])
def test_room_is_what_memory_and_processors_have(
    monkeypatch: pytest.MonkeyPatch, available: int | None, processors: int, room: int
) -> None:
    monkeypatch.setattr(limits, "available_bytes", lambda: available)
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    limits.check_room(room, "servers")
    with pytest.raises(Fault, match=f"The limit of servers on this machine is {room} more instances.*{room + 1} were"):
        limits.check_room(room + 1, "servers")
