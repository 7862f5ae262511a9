"""Whose an endpoint is: its tag says so, and where there is none its configuration's name."""

from collections.abc import Callable

import pytest
from botocore.stub import Stubber

from scripts.hosting.belongings import is_own_endpoint

Stub = Callable[[str], Stubber]
ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/ab"


@pytest.mark.parametrize(
    ("tags", "configuration", "own"),
    [
        ({"polyadic:endpoint": "ab"}, "anything", True),
        ({"polyadic:endpoint": "other"}, "ab-260101000000-abcd", False),
        ({"team": "a"}, "ab-260101000000-abcd", True),
        ({}, "ab-config", False),
    ],
)
def test_whose_an_endpoint_is(stub: Stub, tags: dict[str, str], configuration: str, own: bool) -> None:
    sagemaker = stub("sagemaker")
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    sagemaker.add_response("list_tags", {"Tags": listed}, {"ResourceArn": ARN})
    description = {"EndpointArn": ARN, "EndpointConfigName": configuration}
    assert is_own_endpoint(sagemaker.client, description, "ab") is own
