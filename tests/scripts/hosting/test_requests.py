"""The requests that make a model and a configuration."""

from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest

from scripts.hosting.fleet import Fleet, Served
from scripts.hosting.requests import configuration_request, metrics_request, model_request
from scripts.hosting.source import Model

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
TAGS = [{"Key": "polyadic:endpoint", "Value": "ab"}]


def test_a_model_of_an_image_and_one_of_a_package() -> None:
    request = model_request("ab", "A", Model("i:1", "s3://b/m.tar.gz"), "ab-1-A", ROLE)
    assert request == {
        "ModelName": "ab-1-A",
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {
            "Image": "i:1",
            "ModelDataUrl": "s3://b/m.tar.gz",
            "Environment": {"MODEL_VARIANT": "A"},
        },
        "Tags": TAGS,
    }
    request = model_request("ab", "A", Model("i:1", "s3://b/m.tar.gz", "arn"), "ab-1-A", ROLE)
    assert request["PrimaryContainer"] == {"ModelPackageName": "arn", "Environment": {"MODEL_VARIANT": "A"}}


def test_a_configuration_with_all_that_it_can_have() -> None:
    a = Served("A", 0.5, "ml.m5.large", 2, "i", "s3://b/a", {"VolumeSizeInGB": 9})
    fleet = Fleet(
        {"A": a}, Served("S", 0.25, "ml.m5.large", 1, "i", "s3://b/s"), {"EnableCapture": True}, {"KmsKeyId": "k"}
    )
    request = configuration_request("ab", "ab-1", fleet, {"A": "ab-1-A", "S": "ab-1-S"})
    assert request == {
        "EndpointConfigName": "ab-1",
        "ProductionVariants": [
            {
                "VariantName": "A",
                "ModelName": "ab-1-A",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 2,
                "InitialVariantWeight": 0.5,
                "VolumeSizeInGB": 9,
            }
        ],
        "ShadowProductionVariants": [
            {
                "VariantName": "S",
                "ModelName": "ab-1-S",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": 0.25,
            }
        ],
        "DataCaptureConfig": {"EnableCapture": True},
        "KmsKeyId": "k",
        "Tags": TAGS,
    }


@pytest.mark.parametrize("scraped", [True, False])
def test_metrics_are_scraped_or_not_where_the_service_model_knows_how(scraped: bool) -> None:
    known = botocore.session.Session().get_service_model("sagemaker")
    sagemaker = SimpleNamespace(meta=SimpleNamespace(service_model=known))
    told = {"EnableDetailedObservability": scraped}
    assert metrics_request(sagemaker, Fleet({}), scraped) == {"MetricsConfig": told}
    kept = {"EnableEnhancedMetrics": True, "EnableDetailedObservability": not scraped}
    request = metrics_request(sagemaker, Fleet({}, more={"MetricsConfig": kept}), scraped)
    assert request == {"MetricsConfig": kept | told}


@pytest.mark.parametrize("members", [{}, {"MetricsConfig": SimpleNamespace(members={"EnableEnhancedMetrics": None})}])
def test_an_older_service_model_is_asked_for_nothing_that_it_does_not_know(members: dict[str, Any]) -> None:
    shape = SimpleNamespace(input_shape=SimpleNamespace(members=members))
    older = SimpleNamespace(service_model=SimpleNamespace(operation_model=lambda name: shape))
    assert metrics_request(SimpleNamespace(meta=older), Fleet({}), True) == {}
