"""SDK v2: fit, deploy, predict, delete, and a batch transform where there are records for it."""

from sagemaker.deserializers import JSONDeserializer
from sagemaker.serializers import JSONSerializer
from sdk2_estimator import estimator, inputs, report, spec, transform

trained = estimator()
trained.fit(inputs())
predictor = trained.deploy(
    initial_instance_count=1,
    instance_type="local",
    serializer=JSONSerializer(),
    deserializer=JSONDeserializer(),
    env={"MODEL_VARIANT": "A"},
    wait=False,  # locally the endpoint is up when deploy returns; waiting would only sleep through one 30 s poll
)
try:
    answers = [predictor.predict(request) for request in spec["requests"]]
finally:
    predictor.delete_endpoint()
if "records" in spec:
    transform(trained)
report(answers)
