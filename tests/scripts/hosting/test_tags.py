"""The marks by which a resource is known to belong to an endpoint."""

from scripts.hosting.tags import OWNER, prefix, tags


def test_the_tag_holds_the_endpoint_s_name() -> None:
    assert tags("ab") == [{"Key": OWNER, "Value": "ab"}] == [{"Key": "polyadic:endpoint", "Value": "ab"}]


def test_a_name_begins_with_the_endpoint_s() -> None:
    assert prefix("ab") == "ab"
    assert len(prefix("e" * 63)) == 24 and prefix("e" * 63) != prefix("e" * 62)
