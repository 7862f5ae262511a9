"""By what a resource is known to belong to an endpoint: the beginning of its name, and a tag."""

from scripts.aws import shorten

OWNER = "polyadic:endpoint"


def prefix(endpoint: str) -> str:
    """What the names of an endpoint's configurations and models begin with, before the stamp."""
    return shorten(endpoint, 24)


def tags(endpoint: str) -> list[dict[str, str]]:
    """The tags of what a deployment makes for an endpoint."""
    return [{"Key": OWNER, "Value": endpoint}]
