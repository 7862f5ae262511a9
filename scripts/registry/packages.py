"""Packages of SageMaker's model registry: how a user names one, and where it is found."""

import re
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts.aws import CommandError, Invalid, pages, resource_name

APPROVED, REJECTED, PENDING = "Approved", "Rejected", "PendingManualApproval"
ARN_PATTERN = r"arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]+:\d{12}:model-package/[a-zA-Z0-9\-]+(/\d{1,9})?"


@dataclass(frozen=True)
class Reference:
    """A package by its ARN, by group and version, or the latest of a group (no version)."""

    arn: str | None = None
    group: str = ""
    version: int | None = None


def reference(text: str) -> Reference:
    """Read a package's ARN, GROUP/VERSION or GROUP."""
    if re.fullmatch(ARN_PATTERN, text):
        return Reference(arn=text)
    group, slash, version = text.partition("/")
    if text.startswith("arn:") or (slash and not re.fullmatch(r"[1-9]\d{0,8}", version)):
        raise Invalid(f"got {text!r}; allowed is a package's ARN, GROUP/VERSION such as demand/3, or GROUP")
    return Reference(group=resource_name(group), version=int(version) if slash else None)


def find(sagemaker: Any, wanted: Reference, status: str | None = None) -> dict[str, Any]:
    """DescribeModelPackage's answer for a reference; of a group without a version the latest, of a status if given."""
    arn = wanted.arn or _arn_of(sagemaker, wanted, status)
    description = _answer_or_none(sagemaker.describe_model_package, ModelPackageName=arn)
    if description is None:
        raise CommandError(f"there is no model package {arn} in this region; make one with scripts.register")
    return description


def versions(sagemaker: Any, group: str, status: str | None = None) -> list[dict[str, Any]]:
    """The summaries of a group's packages, the latest first; none where there is no such group."""
    asked = {"ModelPackageGroupName": group} | ({"ModelApprovalStatus": status} if status else {})
    try:
        listed = list(pages(sagemaker.list_model_packages, "ModelPackageSummaryList", **asked))
    except ClientError as error:
        if not is_missing(error):
            raise
        return []
    return sorted(listed, key=lambda summary: -int(summary["ModelPackageVersion"]))


def name_of(description: dict[str, Any]) -> str:
    """GROUP/VERSION, as commands take it, or the ARN of a package that is in no group."""
    group = description.get("ModelPackageGroupName")
    return f"{group}/{description['ModelPackageVersion']}" if group else str(description["ModelPackageArn"])


def _arn_of(sagemaker: Any, wanted: Reference, status: str | None) -> str:
    listed = versions(sagemaker, wanted.group, None if wanted.version else status)
    for summary in listed:
        if wanted.version in (None, summary["ModelPackageVersion"]):
            return str(summary["ModelPackageArn"])
    if wanted.version is not None and listed:
        known = ", ".join(str(summary["ModelPackageVersion"]) for summary in reversed(listed))
        raise CommandError(f"group {wanted.group!r} has no version {wanted.version}; it has {known}")
    if status == APPROVED and versions(sagemaker, wanted.group):
        remedy = f"approve the latest with `python -m scripts.approve {wanted.group}`"
        raise CommandError(f"group {wanted.group!r} has no approved version; {remedy}")
    raise CommandError(f"there is no package in a group {wanted.group!r}; make one with scripts.register")


def is_missing(error: ClientError) -> bool:
    """Whether SageMaker says, in one of its ways, that there is no such group, package or job."""
    details = error.response["Error"]
    words = details.get("Message", "").lower()
    gone = "does not exist" in words or "could not find" in words or "not found" in words
    return details["Code"] in {"ValidationException", "ValidationError"} and gone


def _answer_or_none(call: Any, **parameters: Any) -> dict[str, Any] | None:
    try:
        answer: dict[str, Any] = call(**parameters)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return answer
