"""Approval on moto's registry: what it was and what it is, and each way to name a package."""

from collections.abc import Callable

import boto3
import pytest

from tests.scripts.hosting.test_source import packaged

Command = Callable[..., tuple[int, str, str]]


def status(arn: str) -> str:
    """The status of a package."""
    return str(boto3.client("sagemaker").describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"])


def test_the_latest_of_a_group_is_approved(command: Command) -> None:
    first, second = packaged("PendingManualApproval"), packaged("PendingManualApproval")
    assert command("approve", "demand") == (0, "demand/2: PendingManualApproval -> Approved\n", "")
    assert (status(first), status(second)) == ("PendingManualApproval", "Approved")
    assert command("approve", "demand/1")[1] == "demand/1: PendingManualApproval -> Approved\n"
    assert command("approve", second, "--reject")[1] == "demand/2: Approved -> Rejected\n"


def test_a_reason_is_kept(command: Command) -> None:
    arn = packaged("PendingManualApproval")
    assert command("approve", "demand", "--reject", "--reason", "worse on the holidays")[0] == 0
    package = boto3.client("sagemaker").describe_model_package(ModelPackageName=arn)
    assert package["ApprovalDescription"] == "worse on the holidays"


def test_what_is_so_already_is_said(command: Command) -> None:
    packaged("Approved")
    assert command("approve", "demand/1") == (0, "demand/1: Approved already\n", "")


def test_a_package_that_is_not_there_is_said(command: Command) -> None:
    code, out, err = command("approve", "demand")
    assert (code, out) == (1, "")
    assert err == "error: there is no package in a group 'demand'; make one with scripts.register\n"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (
            ["demand/latest"],
            "got 'demand/latest'; allowed is a package's ARN, GROUP/VERSION such as demand/3, or GROUP",
        ),
        (["demand", "--reason", "x" * 1025], "got 1025 characters; allowed is one line of 1024 at most"),
        (["demand", "--reason", "a\nb"], "got 3 characters; allowed is one line"),
    ],
)
def test_a_wrong_argument_is_named(command: Command, argv: list[str], sentence: str) -> None:
    code, out, err = command("approve", *argv)
    assert (code, out) == (2, "")
    assert sentence in err
