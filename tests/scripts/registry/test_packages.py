"""How a package is named, and what is said where it is not there."""

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from scripts.aws import CommandError, Invalid
from scripts.registry.packages import Reference, find, name_of, reference, versions
from tests.scripts.hosting.test_source import packaged

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/demand/3"


def test_three_ways_to_name_a_package() -> None:
    assert reference(ARN) == Reference(arn=ARN)
    assert reference("demand/3") == Reference(group="demand", version=3)
    assert reference("demand") == Reference(group="demand")


@pytest.mark.parametrize("text", ["arn:aws:s3:::bucket", "demand/", "demand/0", "demand/latest", "demand/1/2"])
def test_what_names_no_package(text: str) -> None:
    with pytest.raises(Invalid, match="allowed is a package's ARN, GROUP/VERSION such as demand/3, or GROUP"):
        reference(text)


def test_a_group_s_name_is_checked() -> None:
    with pytest.raises(Invalid, match="got 'a_b'; allowed are 63 letters"):
        reference("a_b")


def test_the_latest_version_comes_first() -> None:
    arns = [packaged() for _ in range(11)]  # more than a page, and 10 sorts before 9 as text
    sagemaker = boto3.client("sagemaker")
    assert [each["ModelPackageArn"] for each in versions(sagemaker, "demand")] == arns[::-1]
    assert name_of(find(sagemaker, Reference(group="demand"))) == "demand/11"


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (Reference(group="demand", version=9), "group 'demand' has no version 9; it has 1, 2"),
        (Reference(group="other"), "there is no package in a group 'other'; make one with scripts.register"),
        (Reference(arn=ARN), f"there is no model package {ARN} in this region; make one with scripts.register"),
    ],
)
def test_what_is_not_there_is_said(wanted: Reference, sentence: str) -> None:
    for _ in range(2):
        packaged()
    with pytest.raises(CommandError) as refusal:
        find(boto3.client("sagemaker"), wanted)
    assert str(refusal.value) == sentence


def test_a_group_that_aws_does_not_know_has_no_versions() -> None:
    stubber = Stubber(boto3.client("sagemaker"))
    message = "ModelPackageGroup arn:aws:sagemaker:us-east-1:123456789012:model-package-group/demand does not exist."
    stubber.add_client_error("list_model_packages", "ValidationException", message)
    stubber.add_client_error("list_model_packages", "AccessDeniedException", "You may not")
    with stubber:
        assert versions(stubber.client, "demand") == []
        with pytest.raises(ClientError, match="You may not"):
            versions(stubber.client, "demand")


def test_a_package_in_no_group_is_called_by_its_arn() -> None:
    assert name_of({"ModelPackageArn": ARN}) == ARN
