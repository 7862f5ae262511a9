"""A user's script for SDK v3, as it would run on AWS: trains, deploys by resources, asks, updates, deletes."""

import json
import sys
from pathlib import Path

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import Endpoint, EndpointConfig, Model, TrainingJob
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant
from sagemaker.core.training.configs import Compute, InputData
from sagemaker.core.utils.utils import configure_logging
from sagemaker.train.model_trainer import ModelTrainer

configure_logging("INFO")
role = "arn:aws:iam::123456789012:role/SageMakerRole"
session = Session()
bucket = session.default_bucket()
Path("table.csv").write_text("1,2,3\n")
data = session.upload_data("table.csv", bucket=bucket, key_prefix="data")

trainer = ModelTrainer(
    training_image="polyadic",
    role=role,
    sagemaker_session=session,
    compute=Compute(instance_type="ml.m5.large", instance_count=2),
    hyperparameters={"max_iterations": 3},
    input_data_config=[InputData(channel_name="train", data_source=f"s3://{bucket}/data")],
    base_job_name="polyadic",
)
trainer.train(wait=True, logs=True)
job = TrainingJob.get(trainer._latest_training_job.training_job_name)
artifacts = job.model_artifacts.s3_model_artifacts

found = {"status": job.training_job_status, "model": artifacts, "jobs": len(list(TrainingJob.get_all()))}
for name in ("a", "b"):
    Model.create(
        model_name=name,
        primary_container=ContainerDefinition(image="polyadic", model_data_url=artifacts),
        execution_role_arn=role,
    )
    variant = ProductionVariant(
        variant_name=name, model_name=name, instance_type="ml.m5.large", initial_instance_count=1,
        initial_variant_weight=1.0,
    )  # fmt: skip
    EndpointConfig.create(
        endpoint_config_name=name,
        production_variants=[variant],
    )
endpoint = Endpoint.create(endpoint_name="three", endpoint_config_name="a")
endpoint.wait_for_status("InService", poll=1)
answers = []
for config in ("a", "b"):
    answer = endpoint.invoke(body=b'{"instances": [[0]]}', content_type="application/json")
    answers.append([answer.invoked_production_variant, json.loads(answer.body.read())])
    if config == "a":
        endpoint.endpoint_config_name = "b"
        endpoint.update()
        endpoint.wait_for_status("InService", poll=1)
endpoint.delete()
endpoint.wait_for_delete(poll=1)
for name in ("a", "b"):
    EndpointConfig.get(name).delete()
    Model.get(name).delete()
Path(sys.argv[2]).write_text(json.dumps(found | {"answers": answers}))
