"""`python -m scripts.approve PACKAGE`: approve a version of the model registry, or reject it."""

import argparse
from typing import Any

from scripts.aws import Answers, Invalid, client, examples, main, shared_arguments
from scripts.hosting.source import REHEARSED_ARN
from scripts.registry.packages import APPROVED, PENDING, REJECTED, find, name_of, reference

REASON_CHARACTERS = 1024


def reason(text: str) -> str:
    """Check that `text` can stand in the registry as the reason of a decision."""
    if len(text) > REASON_CHARACTERS or "\n" in text:
        raise Invalid(f"got {len(text)} characters; allowed is one line of {REASON_CHARACTERS} at most")
    return text


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.approve",
        description="Approve a model package, so that scripts.deploy takes it, or reject it.",
        parents=[shared_arguments()],
        **examples(
            "approve demand",
            'approve demand/3 --reject --reason "worse than version 2 on the holidays"',
        ),
    )
    parser.add_argument(
        "package", type=reference, metavar="PACKAGE", help="its ARN, GROUP/VERSION, or GROUP for the latest version"
    )
    parser.add_argument("--reject", action="store_true", help="reject it")
    parser.add_argument("--reason", type=reason, metavar="TEXT", help="kept with the decision")
    return parser


def approve(arguments: argparse.Namespace) -> int:
    """Set the package's status, and print what it was and what it is."""
    sagemaker = client("sagemaker", arguments, _rehearsed(arguments))
    package = find(sagemaker, arguments.package)
    before, after = package.get("ModelApprovalStatus", "without a status"), REJECTED if arguments.reject else APPROVED
    if before == after and arguments.reason is None:
        print(f"{name_of(package)}: {after} already")
        return 0
    request: dict[str, Any] = {"ModelPackageArn": package["ModelPackageArn"], "ModelApprovalStatus": after}
    if arguments.reason is not None:
        request["ApprovalDescription"] = arguments.reason
    sagemaker.update_model_package(**request)
    if not arguments.dry_run:
        print(f"{name_of(package)}: {before} -> {after}")
    return 0


def _rehearsed(arguments: argparse.Namespace) -> Answers:
    summary = {"ModelPackageArn": REHEARSED_ARN, "ModelPackageVersion": arguments.package.version or 1}
    return {
        "list_model_packages": {"ModelPackageSummaryList": [summary]},
        "describe_model_package": {"ModelPackageArn": REHEARSED_ARN, "ModelApprovalStatus": PENDING},
    }


if __name__ == "__main__":
    main(approve, parser())
