"""Requests to the endpoint through boto3, as an application would send them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import numpy as np

from local_mode.demo.series import Series, Values

NUM_SAMPLES = 100
QUANTILES = ("0.1", "0.5", "0.9")


@dataclass(frozen=True)
class Forecast:
    """One answer: who gave it, how long it took, and the forecast of the months from `origin` on."""

    series: Series
    origin: int
    variant: str
    seconds: float
    mean: Values
    low: Values
    median: Values
    high: Values

    @property
    def actuals(self) -> Values:
        return self.series.actuals(self.origin, len(self.mean))


@contextmanager
def runtime_client(url: str) -> Iterator[Any]:
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    try:
        yield client
    finally:
        client.close()


def invoke(client: Any, endpoint: str, request: dict[str, object], variant: str | None = None) -> tuple[str, Any]:
    """The variant that answered, and its first prediction."""
    target = {"TargetVariant": variant} if variant else {}
    answer = client.invoke_endpoint(
        EndpointName=endpoint,
        ContentType="application/json",
        Accept="application/json",
        Body=json.dumps(request).encode(),
        **target,
    )
    return answer["InvokedProductionVariant"], json.loads(answer["Body"].read())["predictions"][0]


def ask(client: Any, endpoint: str, series: Series, origin: int, variant: str | None = None) -> Forecast:
    """A forecast from `origin`; the weights choose the variant unless one is named."""
    configuration = {
        "num_samples": NUM_SAMPLES,
        "output_types": ["mean", "quantiles"],
        "quantiles": QUANTILES,
    }
    request: dict[str, object] = {"instances": [series.instance(origin)], "configuration": configuration}
    started = time.perf_counter()
    answered_by, prediction = invoke(client, endpoint, request, variant)
    seconds = time.perf_counter() - started
    low, median, high = (np.asarray(prediction["quantiles"][name], dtype=np.float64) for name in QUANTILES)
    mean = np.asarray(prediction["mean"], dtype=np.float64)
    return Forecast(series, origin, answered_by, seconds, mean, low, median, high)
