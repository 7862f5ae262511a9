"""A user's script for SDK v2, as on AWS: tunes, captures, registers, answers later, many models, batches."""

import io
import json
import sys
import tarfile
import time
from pathlib import Path

import boto3
import sagemaker
from sagemaker.async_inference import AsyncInferenceConfig, WaiterConfig
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.model import Model, ModelPackage
from sagemaker.model_monitor import DataCaptureConfig
from sagemaker.multidatamodel import MultiDataModel
from sagemaker.predictor import Predictor
from sagemaker.serializers import JSONSerializer
from sagemaker.tuner import ContinuousParameter, HyperparameterTuner

session = sagemaker.Session()
bucket = session.default_bucket()
role = "arn:aws:iam::123456789012:role/SageMakerRole"
found: dict[str, object] = {}
Path("table.csv").write_text("1,a\n2,b\n")
data = session.upload_data("table.csv", bucket=bucket, key_prefix="data")


def archive(key: str, **document: object) -> str:
    """A model.tar.gz in S3."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        body = json.dumps(document).encode()
        member = tarfile.TarInfo("model.json")
        member.size = len(body)
        tar.addfile(member, io.BytesIO(body))
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=buffer.getvalue())
    return f"s3://{bucket}/{key}"


def await_endpoint(name: str) -> None:
    """Until it answers; the SDK itself looks every 30 s."""
    boto3.client("sagemaker").get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})


def prediction(**options: object) -> dict[str, object]:
    return {"serializer": JSONSerializer(), "deserializer": JSONDeserializer(), **options}


# Tuning, and the endpoint of the best job, with data capture.
estimator = Estimator(
    "polyadic", role, 1, "ml.m5.large", hyperparameters={"behaviour": "bowl"}, sagemaker_session=session
)  # fmt: skip
tuner = HyperparameterTuner(
    estimator, "bowl", {"x": ContinuousParameter(-10, 10)}, [{"Name": "bowl", "Regex": r"bowl=(\S+)"}],
    objective_type="Minimize", max_jobs=4, max_parallel_jobs=2,
)  # fmt: skip
tuner.fit({"train": f"s3://{bucket}/data"})
frame = tuner.analytics().dataframe()
found["tuned"] = [len(frame), float(frame["FinalObjectiveValue"].min())]
best = tuner.best_estimator()
found["best"] = [best.latest_training_job.name == tuner.best_training_job(), "x" in best.hyperparameters()]
capture = DataCaptureConfig(enable_capture=True, sampling_percentage=100, destination_s3_uri=f"s3://{bucket}/captured")
predictor = best.deploy(1, "ml.m5.large", data_capture_config=capture, wait=False, **prediction())
await_endpoint(predictor.endpoint_name)
found["answer"] = predictor.predict({"instances": [[1]]})
deadline, captured = time.monotonic() + 30, []
while not captured and time.monotonic() < deadline:
    captured = session.list_s3_files(bucket, f"captured/{predictor.endpoint_name}")
    time.sleep(0.5)
found["captured"] = len(captured)
predictor.delete_endpoint()

# Registered, approved, deployed.
package = best.register(
    content_types=["application/json"], response_types=["application/json"], inference_instances=["ml.m5.large"],
    transform_instances=["ml.m5.large"], model_package_group_name="Bowls", approval_status="PendingManualApproval",
)  # fmt: skip
boto3.client("sagemaker").update_model_package(
    ModelPackageArn=package.model_package_arn, ModelApprovalStatus="Approved"
)
registered = ModelPackage(role=role, model_package_arn=package.model_package_arn, sagemaker_session=session)
registered.deploy(1, "ml.m5.large", endpoint_name="registered", wait=False)
await_endpoint("registered")
found["registered"] = Predictor("registered", session, **prediction()).predict({"instances": [[1]]})
session.delete_endpoint("registered")

# Answers that come later.
sound = Model("polyadic", archive("sound.tar.gz"), role, predictor_cls=Predictor, sagemaker_session=session)
later = sound.deploy(
    1,
    "ml.m5.large",
    async_inference_config=AsyncInferenceConfig(output_path=f"s3://{bucket}/later"),
    wait=False,
    **prediction(),
)
await_endpoint(later.endpoint_name)
found["later"] = later.predict({"instances": [[1], [2]]}, waiter_config=WaiterConfig(max_attempts=10, delay=1))
later.delete_endpoint()

# Many models behind one endpoint.
many = MultiDataModel("many", f"s3://{bucket}/many/", image_uri="polyadic", role=role, sagemaker_session=session)
for number in (1, 2):
    many.add_model(archive(f"made/{number}.tar.gz", number=number), f"{number}.tar.gz")
found["models"] = sorted(many.list_models())
many.deploy(1, "ml.m5.large", wait=False)
await_endpoint(many.endpoint_name)
predictor = Predictor(many.endpoint_name, session, **prediction())
found["many"] = [predictor.predict({}, target_model=f"{number}.tar.gz")["model"]["number"] for number in (1, 2)]
predictor.delete_endpoint()

# A batch of rows.
rows = Model("polyadic", archive("rows.tar.gz", rows=True), role, sagemaker_session=session)
transformer = rows.transformer(
    1, "ml.m5.large", strategy="MultiRecord", assemble_with="Line", output_path=f"s3://{bucket}/transformed",
    accept="text/csv",
)  # fmt: skip
transformer.transform(
    f"s3://{bucket}/data", content_type="text/csv", split_type="Line", join_source="Input", output_filter="$[1,2]",
    wait=True, logs=True,
)  # fmt: skip
found["transformed"] = session.read_s3_file(bucket, "transformed/table.csv.out")

Path(sys.argv[2]).write_text(json.dumps(found))
