"""Where in S3 an endpoint's captured requests, their actuals and its replays lie."""

from typing import Any

from scripts.aws import CommandError


def capture_uri(description: dict[str, Any]) -> str:
    """The address under which an endpoint's capture lies; a CommandError where it captures nothing."""
    told = description.get("DataCaptureConfig") or {}
    if not told.get("DestinationS3Uri"):
        name = description["EndpointName"]
        raise CommandError(
            f"endpoint {name} captures nothing; deploy it with `--capture s3://bucket/prefix`, or give --capture"
        )
    return str(told["DestinationS3Uri"]).rstrip("/")


def actuals_uri(capture: str, endpoint: str) -> str:
    """Where `scripts.feedback` puts the actuals of an endpoint, beside its capture."""
    return f"{capture}-actuals/{endpoint}"


def replay_uri(capture: str) -> str:
    """Where `scripts.replay` puts the answers of other models, in capture's layout."""
    return f"{capture}-replay"


def bucket_and_prefix(uri: str) -> tuple[str, str]:
    """An S3 address as its bucket and the beginning of its keys, which ends with a slash unless it is empty."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    return bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""
