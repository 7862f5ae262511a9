"""What an endpoint serves, read of its description, its configuration and its models, some of which may be gone."""

from typing import Any

import boto3

from scripts.hosting.fleet import Served, read_fleet
from tests.scripts.hosting.test_source import ROLE, packaged

NOW = {"VariantName": "A", "CurrentWeight": 0.5, "CurrentInstanceCount": 2}
VARIANT = {"VariantName": "A", "ModelName": "m", "InstanceType": "ml.c5.xlarge", "InitialInstanceCount": 1}
CAPTURE = {
    "InitialSamplingPercentage": 10,
    "DestinationS3Uri": "s3://bucket/c",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}


def description(**more: Any) -> dict[str, Any]:
    """An answer of DescribeEndpoint."""
    return {"EndpointConfigName": "c", "ProductionVariants": [NOW], **more}


def made(container: dict[str, Any], **more: Any) -> Any:
    """A client, and the model and the configuration that it knows."""
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    sagemaker.create_endpoint_config(
        EndpointConfigName="c", ProductionVariants=[VARIANT | {"VolumeSizeInGB": 9}], **more
    )
    return sagemaker


def test_a_variant_is_what_the_endpoint_the_configuration_and_the_model_say() -> None:
    sagemaker = made({"Image": "i:1", "ModelDataUrl": "s3://b/m.tar.gz"}, DataCaptureConfig=CAPTURE)
    fleet = read_fleet(sagemaker, description())
    assert fleet.variants == {"A": Served("A", 0.5, "ml.c5.xlarge", 2, "i:1", "s3://b/m.tar.gz", {"VolumeSizeInGB": 9})}
    assert fleet.capture == CAPTURE
    assert fleet.shadow is None and fleet.alarms == ()


def test_a_package_says_its_image_and_artifact() -> None:
    fleet = read_fleet(made({"ModelPackageName": packaged()}), description())
    served = fleet.variants["A"]
    assert (served.image, served.artifact) == ("repo/polyadic:1", "s3://bucket/p/model.tar.gz")


def test_a_configuration_that_is_gone_leaves_what_the_endpoint_tells() -> None:
    told = {"CurrentSamplingPercentage": 7, "DestinationS3Uri": "s3://bucket/c", "EnableCapture": True}
    variants = [NOW | {"DeployedImages": [{"SpecifiedImage": "i:1"}]}, {"VariantName": "B"}]
    now = description(DataCaptureConfig=told, ProductionVariants=variants)
    fleet = read_fleet(boto3.client("sagemaker"), now)
    assert fleet.variants == {"A": Served("A", 0.5, "", 2, "i:1", ""), "B": Served("B", 0.0, "", 1, "", "")}
    assert fleet.capture == {"InitialSamplingPercentage": 7, "DestinationS3Uri": "s3://bucket/c"}


def test_capture_that_is_off_is_none() -> None:
    sagemaker = made({"Image": "i:1"}, DataCaptureConfig=CAPTURE | {"EnableCapture": False})
    assert read_fleet(sagemaker, description()).capture is None


def test_shadow_alarms_and_what_is_kept() -> None:
    output = {"OutputConfig": {"S3OutputPath": "s3://bucket/later"}}
    sagemaker = made({"Image": "i:1"}, AsyncInferenceConfig=output)
    alarms = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "slow"}]}}
    shadow = {"VariantName": "S", "CurrentWeight": 0.25}
    fleet = read_fleet(sagemaker, description(LastDeploymentConfig=alarms, ShadowProductionVariants=[shadow]))
    assert fleet.shadow and fleet.shadow.name == "S" and fleet.shadow_share() == 0.5
    assert fleet.alarms == ("slow",)
    assert fleet.more == {"AsyncInferenceConfig": output}
