"""Trains, deploys two variants, asks, shifts the traffic and updates: SageMaker's SDK v2 and boto3, as on AWS.

Against this machine: `python -m local_mode up` in one shell, `source local_mode/state/environment` in the other, with
a Python that has `sagemaker<3`. On AWS it runs unchanged, with the image's URI and a role's ARN in place of these two.
"""

import json

import boto3
import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.predictor import Predictor
from sagemaker.serializers import JSONSerializer

IMAGE, ROLE = "polyadic", "arn:aws:iam::123456789012:role/SageMakerExecution"
DATA = "local_mode/data/air_temperature"
INSTANCE = "ml.m5.large"

session = sagemaker.Session()
client = boto3.client("sagemaker")
data = session.upload_data(DATA, key_prefix="air-temperature")


def trained(name: str, **hyperparameters: object) -> Estimator:
    """A job of its own, followed to its end."""
    job = Estimator(
        IMAGE, ROLE, 1, INSTANCE, base_job_name=name, hyperparameters=hyperparameters, sagemaker_session=session
    )
    job.fit({"train": data})
    return job


def production_variant(name: str, job: Estimator, weight: float) -> dict[str, object]:
    """A variant that serves what a job has left."""
    model = job.create_model(name=f"air-{name.lower()}", env={"MODEL_VARIANT": name})
    model.create(instance_type=INSTANCE)
    return sagemaker.production_variant(model.name, INSTANCE, 1, name, weight)


rank_4 = trained("rank-4", algorithm="cp", rank=4)
rank_8 = trained("rank-8", algorithm="cp", rank=8)
variants = [production_variant("A", rank_4, 0.9), production_variant("B", rank_8, 0.1)]
session.endpoint_from_production_variants("air", variants)

predictor = Predictor("air", session, JSONSerializer(), JSONDeserializer())
questions = {"instances": [{"index": [0, 12, 26]}, {"index": [0, None, 26], "top_k": 3}]}
print(json.dumps(predictor.predict(questions)))

client.update_endpoint_weights_and_capacities(
    EndpointName="air", DesiredWeightsAndCapacities=[{"VariantName": "B", "DesiredWeight": 0.9}]
)
client.get_waiter("endpoint_in_service").wait(EndpointName="air", WaiterConfig={"Delay": 2})
weights = client.describe_endpoint(EndpointName="air")["ProductionVariants"]
print({each["VariantName"]: each["CurrentWeight"] for each in weights})
predictor.delete_endpoint()
