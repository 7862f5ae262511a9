"""SDK v3: a model, an endpoint and invocations through its local session."""

import json
import sys
from pathlib import Path

from sagemaker.core.local.local_session import LocalSession

spec = json.loads(sys.argv[1])
session = LocalSession()
session.config = {"local": {"local_code": True, "serving_port": spec["port"]}}
control, runtime = session.sagemaker_client, session.sagemaker_runtime_client
control.create_model(
    ModelName="polyadic-a",
    PrimaryContainer={
        "Image": spec["image"],
        "ModelDataUrl": f"file://{spec['model']}",
        "Environment": {"MODEL_VARIANT": "A"},
    },
)
variant = {
    "VariantName": "A", "ModelName": "polyadic-a", "InstanceType": "local",
    "InitialInstanceCount": 1, "InitialVariantWeight": 1,
}  # fmt: skip
control.create_endpoint_config(EndpointConfigName="polyadic", ProductionVariants=[variant])
control.create_endpoint(EndpointName="polyadic", EndpointConfigName="polyadic")
try:
    answers = []
    for request in spec["requests"]:
        answer = runtime.invoke_endpoint(
            Body=json.dumps(request).encode(),
            EndpointName="polyadic",
            ContentType="application/json",
            Accept="application/json",
        )
        answers.append(json.loads(answer["Body"].read()))
finally:
    control.delete_endpoint(EndpointName="polyadic")
Path(sys.argv[2]).write_text(json.dumps(answers))
