"""Training jobs: CreateTrainingJob and what follows; each runs in a thread, its hosts are processes or containers."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local_mode.backend import Backend
from local_mode.front_door.jobs.life import ENDED, KIND, Life
from local_mode.front_door.jobs.metrics import compiled
from local_mode.front_door.jobs.training_run import INTERRUPTED, SHUTDOWN, TrainingRun
from local_mode.front_door.limits import check_room
from local_mode.front_door.resources import Document, arn, bucket_and_key, page, refuse_not_honoured
from local_mode.front_door.services.cloudwatch import CloudWatch
from local_mode.front_door.services.logs import Logs
from local_mode.front_door.services.objects import Objects
from local_mode.front_door.shapes import Fault, invalid
from local_mode.front_door.store import Store

MEMBERS = (
    # Honoured.
    "TrainingJobName", "AlgorithmSpecification", "HyperParameters", "InputDataConfig", "OutputDataConfig",
    "ResourceConfig", "StoppingCondition", "Environment", "CheckpointConfig", "EnableManagedSpotTraining",
    # Kept and described back: they change nothing on one machine.
    "RoleArn", "Tags", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption",
    "ProfilerConfig", "ProfilerRuleConfigurations", "ExperimentConfig", "DebugHookConfig", "RetryStrategy",
    "InfraCheckConfig", "SessionChainingConfig", "RemoteDebugConfig",
)  # fmt: skip
ALGORITHM = ("TrainingImage", "TrainingInputMode", "MetricDefinitions", "EnableSageMakerMetricsTimeSeries")
RESOURCES = (
    "InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId",
)  # fmt: skip
CHANNEL = ("ChannelName", "DataSource", "ContentType", "CompressionType", "RecordWrapperType", "InputMode")
SOURCE = ("S3DataType", "S3Uri", "S3DataDistributionType")
CHECKPOINTS = "/opt/ml/checkpoints"


class TrainingJobs:
    """The training jobs of this machine."""

    def __init__(
        self,
        store: Store,
        objects: Objects,
        logs: Logs,
        cloudwatch: CloudWatch,
        backend: Callable[[], Backend],
        scratch: Path,
        interrupt_after: float | None = None,
    ) -> None:
        self._store, self._objects = store, objects
        self._begun: Callable[[Life], TrainingRun] = lambda life: TrainingRun(
            life, objects, logs, cloudwatch, backend, scratch, interrupt_after
        )
        self._runs: dict[str, tuple[TrainingRun, threading.Thread]] = {}
        self._lock = threading.Lock()
        for name in store.all(KIND):
            life = Life(store, name)
            if not life.has_ended:  # It ran when the process before this one ended.
                life.end("Failed", "Failed", FailureReason=INTERRUPTED)

    @property
    def operations(self) -> Mapping[str, Callable[[Document], Document]]:
        """What these jobs answer."""
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": lambda request: self.get(request["TrainingJobName"]),
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop,
            "DeleteTrainingJob": self.delete,
        }

    def create(self, request: Document) -> Document:
        """Begins a job; what it asks for and cannot have is refused before."""
        self.check(request)
        return self.begin(request)

    def check(self, request: Document) -> None:
        """Raises Fault for what cannot be had."""
        for member in ("AlgorithmSpecification", "ResourceConfig", "OutputDataConfig"):
            if not request.get(member):
                raise invalid(f"{member} is missing")
        algorithm = request["AlgorithmSpecification"]
        refuse_not_honoured(request, MEMBERS)
        refuse_not_honoured(algorithm, ALGORITHM, "AlgorithmSpecification.")
        if "TrainingImage" not in algorithm:
            raise invalid("AlgorithmSpecification.TrainingImage is missing: this machine has no algorithms by name")
        for definition in algorithm.get("MetricDefinitions") or []:
            compiled(definition)
        refuse_not_honoured(request["ResourceConfig"], RESOURCES, "ResourceConfig.")
        for channel in request.get("InputDataConfig") or []:
            self._check_channel(channel, algorithm["TrainingInputMode"])
        output = request["OutputDataConfig"]
        bucket_and_key(output["S3OutputPath"], "OutputDataConfig.S3OutputPath")
        if output.get("CompressionType", "GZIP") != "GZIP":
            raise invalid("OutputDataConfig.CompressionType NONE is not honoured on this machine: give GZIP")
        path = (request.get("CheckpointConfig") or {}).get("LocalPath") or CHECKPOINTS
        if path.rstrip("/") != CHECKPOINTS:
            raise invalid(f"CheckpointConfig.LocalPath {path} is not honoured on this machine: give {CHECKPOINTS}")
        _check_times(request)
        check_room(request["ResourceConfig"].get("InstanceCount") or 1, "hosts for training")

    def begin(self, request: Document, **members: Any) -> Document:
        """Begins a job that was checked."""
        name = request["TrainingJobName"]
        with self._lock:
            if self._store.get(KIND, name) is not None:
                raise Fault(
                    "ResourceInUse",
                    "Job name must be unique within an AWS account and region, and a training job with this name "
                    f"already exists ({arn(KIND, name)})",
                )
            life = Life(self._store, name)
            life.begin({**_with_defaults(request), **members, "TrainingJobArn": arn(KIND, name)})
            run = self._begun(life)
            thread = threading.Thread(target=run.run, name=name, daemon=True)
            self._runs[name] = run, thread
        thread.start()
        return {"TrainingJobArn": arn(KIND, name)}

    def get(self, name: str) -> Document:
        """All that is known of a job."""
        return Life(self._store, name).document

    def values(self, name: str, metric: str) -> "list[float]":
        """The values that a job of this process has printed of a metric."""
        return self._runs[name][0].metrics.values(metric)

    def list(self, request: Document) -> Document:
        """Summaries of the jobs that the request asks for."""
        keys: dict[str, Callable[[Document], Any]] = {
            "Name": lambda job: job["TrainingJobName"],
            "CreationTime": lambda job: job["CreationTime"],
            "Status": lambda job: job["TrainingJobStatus"],
        }
        jobs, token = page(
            list(self._store.all(KIND).values()), request, "TrainingJobName", keys, "CreationTime", "Ascending"
        )
        return {"TrainingJobSummaries": jobs, "NextToken": token}

    def stop(self, request: Document) -> Document:
        """Tells a job to end; it saves its model first."""
        name = request["TrainingJobName"]
        self.get(name)
        run = self._runs.get(name)
        if run is None or not run[0].life.begin_stopping():
            status = self.get(name)["TrainingJobStatus"]
            raise invalid(f"The request was rejected because the training job is in status {status}.")
        run[0].stop("Stopped")
        return {}

    def delete(self, request: Document) -> Document:
        """Forgets a job that has ended; what it left in S3 stays."""
        name = request["TrainingJobName"]
        status = self.get(name)["TrainingJobStatus"]
        if status not in ENDED:
            raise invalid(f"The request was rejected because the training job is in status {status}: stop it first.")
        self._store.drop(KIND, name)
        return {}

    def close(self) -> None:
        """Ends all jobs, and returns when they have."""
        for run, thread in list(self._runs.values()):
            if thread.is_alive():
                run.stop(SHUTDOWN)
        for _, thread in list(self._runs.values()):
            thread.join()

    def _check_channel(self, channel: Document, default_mode: str) -> None:
        where = f"channel {channel['ChannelName']}: "
        refuse_not_honoured(channel, CHANNEL, where)
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise invalid(f"{where}a FileSystemDataSource is not honoured on this machine: give an S3DataSource")
        refuse_not_honoured(source, SOURCE, f"{where}S3DataSource.")
        if source["S3DataType"] != "S3Prefix":
            raise invalid(f"{where}S3DataType {source['S3DataType']} is not honoured on this machine: give S3Prefix")
        if channel.get("CompressionType", "None") != "None" or channel.get("RecordWrapperType", "None") != "None":
            raise invalid(f"{where}CompressionType and RecordWrapperType are not honoured on this machine")
        bucket, _ = bucket_and_key(source["S3Uri"], f"{where}S3Uri")
        if not self._objects.has_bucket(bucket):
            raise invalid(f'{where}No S3 objects found under S3 URL "{source["S3Uri"]}": there is no bucket {bucket}')


def _with_defaults(request: Document) -> Document:
    """A request with what SageMaker describes of one that does not say it."""
    flags = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining")
    channels = [
        {"CompressionType": "None", "RecordWrapperType": "None", **each}
        for each in request.get("InputDataConfig") or []
    ]
    return {
        "HyperParameters": {},
        **dict.fromkeys(flags, False),
        **request,
        "InputDataConfig": channels,
        "OutputDataConfig": {"KmsKeyId": "", "CompressionType": "GZIP", **request["OutputDataConfig"]},
    }


def _check_times(request: Document) -> None:
    """Raises Fault for the waits of a spot job that SageMaker does not allow."""
    conditions = request.get("StoppingCondition") or {}
    longest, wait = conditions.get("MaxRuntimeInSeconds"), conditions.get("MaxWaitTimeInSeconds")
    if wait is not None and not request.get("EnableManagedSpotTraining"):
        raise invalid(
            "StoppingCondition.MaxWaitTimeInSeconds belongs to spot jobs: EnableManagedSpotTraining is not set"
        )
    if wait is not None and longest is not None and wait < longest:
        raise invalid(f"MaxWaitTimeInSeconds is {wait}: it must not be less than MaxRuntimeInSeconds, {longest}")
