"""A user's script for SDK v2, as it would run on AWS: trains, deploys, asks, updates under load, deletes."""

import json
import sys
import threading
from pathlib import Path

import boto3
import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.serializers import JSONSerializer

spec = json.loads(sys.argv[1])
session = sagemaker.Session()
bucket = session.default_bucket()
Path("table.csv").write_text("1,2,3\n")
data = session.upload_data("table.csv", bucket=bucket, key_prefix="data")

estimator = Estimator(
    "polyadic",
    role="arn:aws:iam::123456789012:role/SageMakerRole",
    instance_count=1,
    instance_type="ml.m5.large",
    hyperparameters={"max_iterations": 3},
    metric_definitions=[{"Name": "error", "Regex": r"train relative_error <loss>=(\S+)"}],
    sagemaker_session=session,
)
estimator.fit({"train": f"s3://{bucket}/data"}, wait=True, logs="All")
described = estimator.latest_training_job.describe()

predictor = estimator.deploy(
    initial_instance_count=2,
    instance_type="ml.m5.large",
    serializer=JSONSerializer(),
    deserializer=JSONDeserializer(),
    wait=False,
)
name = predictor.endpoint_name  # The SDK itself looks every 30 s.
boto3.client("sagemaker").get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})
answer = predictor.predict({"instances": [[0, 1, 2]]})

ended, asked, failed = threading.Event(), [], []


def ask() -> None:
    runtime = boto3.client("sagemaker-runtime")
    while not ended.is_set():
        try:
            found = runtime.invoke_endpoint(EndpointName=predictor.endpoint_name, Body=b'{"instances": [[0]]}')
            asked.append(found["InvokedProductionVariant"])
        except Exception as error:
            failed.append(repr(error))


thread = threading.Thread(target=ask)
thread.start()
predictor.update_endpoint(initial_instance_count=1, instance_type="ml.m5.xlarge")
ended.set()
thread.join()
again = predictor.predict({"instances": [[0, 1, 2]]})
predictor.delete_endpoint(delete_endpoint_config=True)
predictor.delete_model()

Path(sys.argv[2]).write_text(
    json.dumps(
        {
            "status": described["TrainingJobStatus"],
            "metrics": {each["MetricName"]: each["Value"] for each in described["FinalMetricDataList"]},
            "model": estimator.model_data,
            "answers": [answer, again],
            "asked": len(asked),
            "failed": failed,
        }
    )
)
