"""A job of pictures and questions in the image, on two hosts with a shard each; its endpoint asked by boto3."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.image_engine import Engine
from tests.helpers.samples import COLOURS, pictures_and_questions
from tests.local_mode.front_door.conftest import ROLE, Door, ended, job, opened, settled

HYPERPARAMETERS = {
    "predictor_type": "binary_classifier", "epochs": "40", "mini_batch_size": "32", "learning_rate": "0.01",
}  # fmt: skip


@pytest.mark.timeout(400, func_only=True)
def test_pictures_and_questions_in_two_shards(engine: Engine, image: str, scratch: Path) -> None:
    with opened(scratch / "state", scratch, "--image", image) as door:
        door.client("s3").create_bucket(Bucket="data")
        for shard, seed in (("a", 0), ("b", 1)):
            upload(door, f"train/{shard}", pictures_and_questions(150, seed), prefix=f"{shard}/")
        upload(door, "test", pictures_and_questions(60, 2))
        described = train(door)
        assert described["TrainingJobStatus"] == "Completed", described["FailureReason"]
        metrics = {each["MetricName"]: each["Value"] for each in described["FinalMetricDataList"]}
        assert metrics["test:binary_classification_accuracy"] > 0.97
        report = artifact(door, described["ModelArtifacts"]["S3ModelArtifacts"])
        assert json.loads(report["model.json"])["facts"]["classes"] == ["no", "yes"]

        deploy(door, described["ModelArtifacts"]["S3ModelArtifacts"])
        shown = pictures_and_questions(1, seed=3)
        for colour in COLOURS:
            for asked in COLOURS:
                picture = base64.b64encode(shown[f"{colour}.png"]).decode()
                answer = ask(door, {"picture": picture, "question": f"Is it {asked}?"})
                assert set(answer) == {"score", "predicted_label"}
                assert answer["predicted_label"] == ("yes" if colour == asked else "no"), (colour, asked)
        explained = ask(door, {"picture": picture, "question": "is it red?"}, explain=True)
        assert len(explained["components"]) == 8
        with pytest.raises(door.client("sagemaker-runtime").exceptions.ModelError, match="question is missing"):
            ask(door, {"picture": picture})
        door.client("sagemaker").delete_endpoint(EndpointName="colours")


def upload(door: Door, key: str, files: dict[str, bytes], prefix: str = "") -> None:
    """Puts a shard's pictures and its table into the bucket; the table names pictures from the channel's folder."""
    for name, data in files.items():
        told = data
        if name.endswith(".csv"):
            header, *rows = data.decode().splitlines()
            told = "\n".join([header, *(prefix + row for row in rows)]).encode()
        door.client("s3").put_object(Bucket="data", Key=f"{key}/{name}", Body=told)


def train(door: Door) -> dict[str, Any]:
    """The description of the job on two hosts, each of which has a part of the keys."""

    def channel(name: str, distribution: str) -> dict[str, Any]:
        uri = {"S3DataType": "S3Prefix", "S3Uri": f"s3://data/{name}", "S3DataDistributionType": distribution}
        return {"ChannelName": name, "DataSource": {"S3DataSource": uri}}

    door.client("sagemaker").create_training_job(
        **job(
            "colours",
            HyperParameters=HYPERPARAMETERS,
            InputDataConfig=[channel("train", "ShardedByS3Key"), channel("test", "FullyReplicated")],
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
            AlgorithmSpecification={
                "TrainingImage": "polyadic",
                "TrainingInputMode": "File",
                "MetricDefinitions": [
                    {
                        "Name": "test:binary_classification_accuracy",
                        "Regex": r"#quality_metric: host=\S+, test binary_classification_accuracy <score>=(\S+)",
                    }
                ],
            },
        )
    )
    return ended(door, "colours", seconds=240)


def artifact(door: Door, uri: str) -> dict[str, bytes]:
    """The files of model.tar.gz."""
    body = door.client("s3").get_object(Bucket="data", Key=uri.removeprefix("s3://data/"))["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as packed:
        return {member.name: packed.extractfile(member).read() for member in packed if member.isfile()}  # type: ignore[union-attr]


def deploy(door: Door, model: str) -> None:
    sagemaker = door.client("sagemaker")
    container = {"Image": "polyadic", "ModelDataUrl": model}
    sagemaker.create_model(ModelName="colours", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {
        "VariantName": "A", "ModelName": "colours", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
    }  # fmt: skip
    sagemaker.create_endpoint_config(EndpointConfigName="colours", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="colours", EndpointConfigName="colours")
    described = settled(door, "colours")
    assert described["EndpointStatus"] == "InService", described


def ask(door: Door, instance: dict[str, Any], **configuration: Any) -> dict[str, Any]:
    """The answer of the endpoint."""
    body = json.dumps({"instances": [instance], "configuration": configuration})
    answer = door.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="colours", ContentType="application/json", Body=body
    )
    prediction: dict[str, Any] = json.loads(answer["Body"].read())["predictions"][0]
    return prediction
