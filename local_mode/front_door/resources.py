"""Names, ARNs, times, lists: what all of SageMaker's resources have in common."""

import base64
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from local_mode.front_door.shapes import Fault, invalid

ACCOUNT, REGION = "123456789012", "us-east-1"
"""moto's account, which STS tells a client as its own."""
Document = dict[str, Any]


def arn(kind: str, name: str) -> str:
    """The ARN of a resource."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name.lower() if kind != 'training-job' else name}"


def now() -> float:
    """The time, in seconds since 1970, in milliseconds as AWS tells it."""
    return round(time.time(), 3)


def not_found(what: str, name: str, kind: str) -> Fault:
    """SageMaker's error for a resource that does not exist; the waiters of boto3 look for this sentence."""
    return invalid(f'Could not find {what} "{arn(kind, name)}".')


def exists(what: str, name: str, kind: str) -> Fault:
    """SageMaker's error for a name that is taken."""
    return invalid(f'Cannot create already existing {what} "{arn(kind, name)}".')


def refuse_not_honoured(request: Mapping[str, Any], honoured: Sequence[str], where: str = "") -> None:
    """Raises Fault for the first member that would be passed over without a word; empty ones ask for nothing."""
    for name, value in request.items():
        if name not in honoured and value not in (None, [], {}, "", False):
            raise invalid(f"{where}{name} is not honoured on this machine: leave it out, or run this on SageMaker")


def bucket_and_key(uri: str, member: str) -> tuple[str, str]:
    """The bucket and the key or prefix of s3://bucket/key."""
    match = re.fullmatch(r"s3://([^/]+)/?(.*)", uri, re.DOTALL)
    if match is None:
        raise invalid(f"{member} is '{uri}': it must be s3://BUCKET/KEY")
    return match[1], match[2]


def place_below(key: str, prefix: str) -> str:
    """The place of an object among those of a prefix.

    It is what follows the prefix; where this ends within a name, the whole name; of the prefix itself its last name.
    """
    if key == prefix:
        return key.rsplit("/", 1)[-1]
    rest = key[len(prefix) :]
    return (
        rest.lstrip("/") if prefix.endswith("/") or rest.startswith("/") or not prefix else key[prefix.rfind("/") + 1 :]
    )


def page(
    documents: Sequence[Document],
    request: Mapping[str, Any],
    name: str,
    sort_keys: Mapping[str, Callable[[Document], Any]],
    default_sort: str,
    default_order: str = "Descending",
) -> tuple[list[Document], str | None]:
    """The documents that a List call asks for, and the token of the next page.

    name: the member that holds a document's name. sort_keys: by the values of SortBy.
    """
    found = [each for each in documents if _matches(each, request, name)]
    key = sort_keys[request.get("SortBy") or default_sort]
    descending = (request.get("SortOrder") or default_order) == "Descending"
    found.sort(key=lambda each: (key(each), each[name]), reverse=descending)
    first, most = _place_of(request.get("NextToken")), int(request.get("MaxResults") or 10)
    last = first + most
    return found[first:last], _token(last) if last < len(found) else None


def _matches(document: Document, request: Mapping[str, Any], name: str) -> bool:
    times = {"CreationTime": document.get("CreationTime"), "LastModifiedTime": document.get("LastModifiedTime")}
    status = next((value for member, value in document.items() if member.endswith("Status")), None)
    return (
        (request.get("NameContains") or "").lower() in document[name].lower()
        and request.get("StatusEquals") in (None, status)
        and all(
            (moment := times[member]) is not None
            and moment >= _seconds(request.get(f"{member}After"), 0.0)
            and moment <= _seconds(request.get(f"{member}Before"), float("inf"))
            for member in times
            if times[member] is not None
        )
    )


def _seconds(value: Any, otherwise: float) -> float:
    return otherwise if value is None else float(value)


def _token(place: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"place": place}).encode()).decode()


def _place_of(token: str | None) -> int:
    try:
        return 0 if token is None else int(json.loads(base64.urlsafe_b64decode(token))["place"])
    except (ValueError, KeyError, TypeError):
        raise invalid(f"NextToken is '{token}': give the one that the page before ended with") from None
