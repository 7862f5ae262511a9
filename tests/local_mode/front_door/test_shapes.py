"""Requests against SageMaker's own description."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from local_mode.front_door.shapes import Fault, answer, check_request, operation, service

MODEL = {"ModelName": "a", "ExecutionRoleArn": "arn:aws:iam::123456789012:role/SageMakerRole"}


def refused(name: str, request: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        check_request(operation(name), request)
    return caught.value


def test_a_request_that_fits_is_taken() -> None:
    check_request(operation("CreateModel"), {**MODEL, "Tags": [{"Key": "a", "Value": ""}], "Unknown": 1})
    check_request(
        operation("ListEndpoints"), {"MaxResults": 100, "CreationTimeAfter": 1.5e9, "StatusEquals": "InService"}
    )


@pytest.mark.parametrize(
    ("name", "request_", "sentence"),
    [
        ("CreateModel", {}, "Value 'null' at 'modelName' failed to satisfy constraint: Member must not be null"),
        (
            "CreateModel",
            {**MODEL, "ModelName": "-a"},
            "1 validation error detected: Value '-a' at 'modelName' failed to satisfy constraint: Member must satisfy "
            "regular expression pattern: ",
        ),
        ("CreateModel", {**MODEL, "ModelName": "a\n"}, "regular expression pattern"),
        ("CreateModel", {**MODEL, "ModelName": "a" * 64}, "Member must have length less than or equal to 63"),
        (
            "CreateModel",
            {**MODEL, "Tags": [{"Key": "a?", "Value": "é 1"}]},
            "1 validation error detected: Value 'a?' at 'tags.1.member.key' failed",
        ),
        ("ListEndpoints", {"MaxResults": 0}, "Member must have value greater than or equal to 1"),
        ("ListEndpoints", {"MaxResults": 101}, "Member must have value less than or equal to 100"),
        ("ListEndpoints", {"SortOrder": "Up"}, "Member must satisfy enum value set: [Ascending, Descending]"),
        (
            "CreateEndpointConfig",
            {"EndpointConfigName": "a", "ProductionVariants": [{"VariantName": "A"}, {"VariantName": "b c"}]},
            "Value 'b c' at 'productionVariants.2.member.variantName' failed to satisfy constraint",
        ),
        (
            "CreateEndpointConfig",
            {"EndpointConfigName": "a", "ProductionVariants": []},
            "length greater than or equal to 1",
        ),
    ],
)
def test_a_broken_constraint_is_said_in_sagemakers_words(name: str, request_: Any, sentence: str) -> None:
    fault = refused(name, request_)
    assert fault.code == "ValidationException" and fault.status == 400
    assert sentence in str(fault)


def test_all_faults_are_told_at_once() -> None:
    assert str(refused("CreateModel", {"ModelName": "-" * 64})).startswith("2 validation errors detected: ")


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ([], "the request is of the type list: it must be a structure"),
        ({**MODEL, "ModelName": 5}, "modelName is of the type int: it must be a string"),
        ({**MODEL, "EnableNetworkIsolation": 1}, "enableNetworkIsolation is of the type int: it must be a boolean"),
        ({**MODEL, "Tags": {}}, "tags is of the type dict: it must be a list"),
    ],
)
def test_another_type_is_no_request(request_: Any, sentence: str) -> None:
    fault = refused("CreateModel", request_)
    assert fault.code == "SerializationException" and sentence in str(fault)


def test_an_operation_that_does_not_exist_is_said() -> None:
    with pytest.raises(Fault, match="SageMaker has no operation Sing") as caught:
        operation("Sing")
    assert caught.value.code == "UnknownOperationException"


def test_an_answer_has_the_members_of_its_shape() -> None:
    document = {"ModelName": "a", "ModelArn": "arn", "CreationTime": 1.5, "Private": 1, "PrimaryContainer": {"X": 1}}
    found = answer(operation("DescribeModel"), {**document, "Containers": None})
    assert found == {"ModelName": "a", "ModelArn": "arn", "CreationTime": 1.5, "PrimaryContainer": {}}
    assert answer(operation("DeleteModel"), document) == {}


def test_every_request_of_the_service_can_be_checked() -> None:
    """No operation has a shape or a pattern that the checks fall over."""
    for name in service().operation_names:
        model = operation(name)
        if model.input_shape is not None:
            with suppress(Fault):
                check_request(model, dict.fromkeys(model.input_shape.members, "x"))
