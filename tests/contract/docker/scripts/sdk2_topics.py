"""SDK v2: fit, deploy, and the topic mixtures of the same documents by each serializer that suits."""

from pathlib import Path

import numpy as np
from sagemaker.amazon.common import RecordDeserializer, RecordSerializer
from sagemaker.deserializers import CSVDeserializer, JSONDeserializer
from sagemaker.serializers import CSVSerializer, IdentitySerializer, JSONSerializer
from sdk2_estimator import estimator, inputs, report, spec

RECORDS = "application/x-recordio-protobuf"

counts = np.load(spec["counts"])
instances = [
    {"data": {"features": {"keys": row.nonzero()[0].tolist(), "shape": [len(row)], "values": row[row > 0].tolist()}}}
    for row in counts
]
requests = {
    "sparse records": (IdentitySerializer(RECORDS), Path(spec["records"]).read_bytes()),
    "dense records": (RecordSerializer(), counts),
    "sparse JSON": (JSONSerializer(), {"instances": instances}),
    "CSV": (CSVSerializer(), counts),
}
trained = estimator()
trained.fit(inputs())
predictor = trained.deploy(initial_instance_count=1, instance_type="local", wait=False)
try:
    answers = {}
    predictor.deserializer = JSONDeserializer()
    for name, (serializer, body) in requests.items():
        predictor.serializer = serializer
        answers[name] = [one["topic_mixture"] for one in predictor.predict(body)["predictions"]]
    predictor.deserializer = CSVDeserializer()
    answers["CSV as CSV"] = [[float(cell) for cell in row] for row in predictor.predict(counts)]
    predictor.serializer, predictor.deserializer = RecordSerializer(), RecordDeserializer()
    labels = [record.label for record in predictor.predict(counts)]
    answers["records as records"] = [list(one["topic_mixture"].float32_tensor.values) for one in labels]
    report(answers)
finally:
    predictor.delete_endpoint()
