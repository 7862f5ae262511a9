"""Metrics of jobs and endpoints in CloudWatch: kept in a file, told to moto, and put back at a start."""

import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from moto.cloudwatch.models import cloudwatch_backends

from local_mode.front_door.resources import ACCOUNT, Document, now
from local_mode.front_door.services.logs import whole_lines

TRAINING, ENDPOINTS = "/aws/sagemaker/TrainingJobs", "AWS/SageMaker"


class CloudWatch:
    """Values by namespace, dimensions and name; a set of values is kept as its sum, extremes and number."""

    def __init__(self, folder: Path, region: str, lock: threading.RLock) -> None:
        self._file, self._region, self._lock = folder / "metrics.jsonl", region, lock
        folder.mkdir(parents=True, exist_ok=True)
        if self._file.is_file():
            for document in whole_lines(self._file):
                self._tell(document)

    def put(
        self, namespace: str, dimensions: Mapping[str, str], name: str, values: Sequence[float], unit: str = "None"
    ) -> None:
        """Adds values of a metric at this moment."""
        document = {
            "namespace": namespace,
            "dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            "name": name,
            "moment": now(),
            "unit": unit,
            "values": {"Sum": sum(values), "Minimum": min(values), "Maximum": max(values), "SampleCount": len(values)},
        }
        with self._lock:
            with self._file.open("a") as file:
                file.write(json.dumps(document) + "\n")
            self._tell(document)

    def alarm_state(self, name: str) -> str | None:
        """OK, ALARM or INSUFFICIENT_DATA, as SetAlarmState made it; None without such an alarm."""
        with self._lock:
            alarm = cloudwatch_backends[ACCOUNT][self._region].alarms.get(name)
            return None if alarm is None else str(alarm.state_value)

    def _tell(self, document: Document) -> None:
        datum = {
            "MetricName": document["name"],
            "Dimensions": document["dimensions"],
            "Timestamp": datetime.fromtimestamp(document["moment"], UTC).replace(tzinfo=None),
            "Unit": document["unit"],
            "StatisticValues": document["values"],
        }
        cloudwatch_backends[ACCOUNT][self._region].put_metric_data(document["namespace"], [datum])
