"""Training jobs: CreateTrainingJob and what follows, run as `local_mode train` runs them, data and models in S3."""

import re
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local_mode.backend import Backend
from local_mode.errors import LocalModeError
from local_mode.front_door.resources import (
    Document,
    arn,
    bucket_and_key,
    now,
    page,
    refuse_not_honoured,
)
from local_mode.front_door.services.logs import Logs
from local_mode.front_door.services.objects import Objects
from local_mode.front_door.shapes import Fault, invalid
from local_mode.front_door.store import Store
from local_mode.layout import TrainingJob
from local_mode.running import LineSink
from local_mode.stopping import StopRequest
from local_mode.training import TrainingResult, run_training

KIND, GROUP = "training-job", "/aws/sagemaker/TrainingJobs"
MEMBERS = (
    # Honoured.
    "TrainingJobName", "AlgorithmSpecification", "HyperParameters", "InputDataConfig", "OutputDataConfig",
    "ResourceConfig", "StoppingCondition", "Environment", "CheckpointConfig",
    # Kept and described back: they change nothing on one machine.
    "RoleArn", "Tags", "EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining",
    "ProfilerConfig", "ProfilerRuleConfigurations", "ExperimentConfig", "DebugHookConfig", "RetryStrategy",
    "InfraCheckConfig", "SessionChainingConfig", "RemoteDebugConfig",
)  # fmt: skip
ALGORITHM = ("TrainingImage", "TrainingInputMode", "MetricDefinitions", "EnableSageMakerMetricsTimeSeries")
CHANNEL = ("ChannelName", "DataSource", "ContentType", "CompressionType", "RecordWrapperType", "InputMode")
SOURCE = ("S3DataType", "S3Uri", "S3DataDistributionType")
ENDED = ("Completed", "Failed", "Stopped")
INTERRUPTED = "InternalServerError: the machine's front door was stopped while the job ran. Create it again"


class TrainingJobs:
    """The training jobs of this machine; each runs in a thread, its hosts are processes or containers."""

    def __init__(
        self, store: Store, objects: Objects, logs: Logs, backend: Callable[[], Backend], scratch: Path
    ) -> None:
        self._store, self._objects, self._logs = store, objects, logs
        self._backend, self._scratch = backend, scratch
        self._stops: dict[str, StopRequest] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        for name, document in store.all(KIND).items():
            if document["TrainingJobStatus"] not in ENDED:  # It ran when the process before this one ended.
                self._end(name, "Failed", "Failed", FailureReason=INTERRUPTED)

    @property
    def operations(self) -> Mapping[str, Callable[[Document], Document]]:
        """What these jobs answer."""
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop,
        }

    def create(self, request: Document) -> Document:
        """Begins a job; what it asks for and cannot have is refused before."""
        name, algorithm = request["TrainingJobName"], request["AlgorithmSpecification"]
        refuse_not_honoured(request, MEMBERS)
        refuse_not_honoured(algorithm, ALGORITHM, "AlgorithmSpecification.")
        if "TrainingImage" not in algorithm:
            raise invalid("AlgorithmSpecification.TrainingImage is missing: this machine has no algorithms by name")
        for channel in request.get("InputDataConfig") or []:
            self._check_channel(channel, algorithm["TrainingInputMode"])
        bucket_and_key(request["OutputDataConfig"]["S3OutputPath"], "OutputDataConfig.S3OutputPath")
        with self._lock:
            if self._store.get(KIND, name) is not None:
                raise Fault(
                    "ResourceInUse",
                    "Job name must be unique within an AWS account and region, and a training job with this name "
                    f"already exists ({arn(KIND, name)})",
                )
            began = now()
            document = {
                **request,
                "TrainingJobArn": arn(KIND, name),
                "TrainingJobStatus": "InProgress",
                "SecondaryStatus": "Starting",
                "SecondaryStatusTransitions": [_transition("Starting", began)],
                "CreationTime": began,
                "LastModifiedTime": began,
            }
            self._store.put(KIND, name, document)
            self._stops[name] = StopRequest()
            self._threads[name] = threading.Thread(target=self._run, args=(name,), name=name, daemon=True)
        self._threads[name].start()
        return {"TrainingJobArn": document["TrainingJobArn"]}

    def describe(self, request: Document) -> Document:
        """All that is known of a job."""
        return self._get(request["TrainingJobName"])

    def list(self, request: Document) -> Document:
        """Summaries of the jobs that the request asks for."""
        keys: dict[str, Callable[[Document], Any]] = {
            "Name": lambda job: job["TrainingJobName"],
            "CreationTime": lambda job: job["CreationTime"],
            "Status": lambda job: job["TrainingJobStatus"],
        }
        jobs, token = page(list(self._store.all(KIND).values()), request, "TrainingJobName", keys, "CreationTime")
        return {"TrainingJobSummaries": jobs, "NextToken": token}

    def stop(self, request: Document) -> Document:
        """Tells a job to end; it saves its model first."""
        name = request["TrainingJobName"]
        document = self._get(name)
        if document["TrainingJobStatus"] in ENDED:
            raise invalid(
                f"The request was rejected because the training job is in status {document['TrainingJobStatus']}."
            )
        if document["TrainingJobStatus"] != "Stopping":
            self._move(name, "Stopping", TrainingJobStatus="Stopping")
            self._stops[name].receive(signal.SIGTERM, None)
        return {}

    def close(self) -> None:
        """Ends all jobs, and returns when they have."""
        for name, thread in list(self._threads.items()):
            if thread.is_alive():
                self._stops[name].receive(signal.SIGTERM, None)
        for thread in list(self._threads.values()):
            thread.join()

    def _get(self, name: str) -> Document:
        document = self._store.get(KIND, name)
        if document is None:
            raise invalid("Requested resource not found.")
        return document

    def _check_channel(self, channel: Document, default_mode: str) -> None:
        where = f"channel {channel['ChannelName']}: "
        refuse_not_honoured(channel, CHANNEL, where)
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise invalid(f"{where}a FileSystemDataSource is not honoured on this machine: give an S3DataSource")
        refuse_not_honoured(source, SOURCE, f"{where}S3DataSource.")
        if source["S3DataType"] != "S3Prefix":
            raise invalid(f"{where}S3DataType {source['S3DataType']} is not honoured on this machine: give S3Prefix")
        if (channel.get("InputMode") or default_mode) == "Pipe":
            raise invalid(f"{where}Pipe mode is not honoured on this machine yet: give File or FastFile")
        if channel.get("CompressionType", "None") != "None" or channel.get("RecordWrapperType", "None") != "None":
            raise invalid(f"{where}CompressionType and RecordWrapperType belong to Pipe mode: leave them out")
        bucket, _ = bucket_and_key(source["S3Uri"], f"{where}S3Uri")
        if not self._objects.has_bucket(bucket):
            raise invalid(f'{where}No S3 objects found under S3 URL "{source["S3Uri"]}": there is no bucket {bucket}')

    def _run(self, name: str) -> None:
        try:
            self._train(name)
        except Exception as error:  # The thread is a job's: whatever ends it is the job's failure.
            kind = "ClientError" if isinstance(error, Fault | LocalModeError) else "InternalServerError"
            self._end(name, "Failed", "Failed", FailureReason=f"{kind}: {error}"[:1024])

    def _train(self, name: str) -> None:
        document, stop = self._get(name), self._stops[name]
        self._scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="job-", dir=self._scratch) as folder:
            base = Path(folder)
            self._move(name, "Downloading")
            channels = self._download(document, base / "channels")
            checkpoints = self._restore_checkpoints(document, base / "checkpoints")
            self._move(name, "Training", TrainingStartTime=now())
            metrics = Metrics(document["AlgorithmSpecification"].get("MetricDefinitions") or [])
            job = TrainingJob(
                channels=channels,
                hyperparameters=document.get("HyperParameters") or {},
                output=base / "output",
                hosts=document["ResourceConfig"].get("InstanceCount") or 1,
                distribution={
                    each["ChannelName"]: each["DataSource"]["S3DataSource"].get("S3DataDistributionType")
                    or "FullyReplicated"
                    for each in document.get("InputDataConfig") or []
                },
                checkpoints=checkpoints,
                environment={**(document.get("Environment") or {}), "TRAINING_JOB_ARN": document["TrainingJobArn"]},
                content_types={
                    each["ChannelName"]: each["ContentType"]
                    for each in document.get("InputDataConfig") or []
                    if each.get("ContentType")
                },
                instance_type=document["ResourceConfig"].get("InstanceType") or "local",
                name=name,
            )
            too_long = self._limit(document, stop)
            try:
                result = run_training(job, self._backend(), stop, of_host=self._sinks(name, metrics), scratch=base)
            finally:
                if too_long is not None:
                    too_long.cancel()
            self._move(name, "Uploading", TrainingEndTime=now(), FinalMetricDataList=metrics.final())
            self._save_checkpoints(document, checkpoints)
            self._finish(name, job, result)

    def _download(self, document: Document, folder: Path) -> dict[str, Path]:
        channels = {}
        for channel in document.get("InputDataConfig") or []:
            own = folder / channel["ChannelName"]
            own.mkdir(parents=True)
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            if not self._objects.copy_prefix(*bucket_and_key(uri, "S3Uri"), own):
                raise invalid(
                    f'Data download failed: No S3 objects found under S3 URL "{uri}" given in input data source'
                )
            channels[channel["ChannelName"]] = own
        return channels

    def _restore_checkpoints(self, document: Document, folder: Path) -> Path | None:
        config = document.get("CheckpointConfig")
        if not config:
            return None
        folder.mkdir()
        bucket, prefix = bucket_and_key(config["S3Uri"], "CheckpointConfig.S3Uri")
        if self._objects.has_bucket(bucket):
            self._objects.copy_prefix(bucket, f"{prefix.rstrip('/')}/", folder)
        return folder

    def _save_checkpoints(self, document: Document, folder: Path | None) -> None:
        if folder is None:
            return
        bucket, prefix = bucket_and_key(document["CheckpointConfig"]["S3Uri"], "CheckpointConfig.S3Uri")
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            if not file.name.endswith(".sagemaker-ignore"):
                self._objects.put(bucket, f"{prefix.rstrip('/')}/{file.relative_to(folder).as_posix()}", file)

    def _limit(self, document: Document, stop: StopRequest) -> threading.Timer | None:
        seconds = (document.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
        if not seconds:
            return None

        def end() -> None:
            self._store.change(KIND, document["TrainingJobName"], TooLong=True)
            stop.receive(signal.SIGTERM, None)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        return timer

    def _sinks(self, name: str, metrics: "Metrics") -> Callable[[str], LineSink]:
        began = int(time.time())

        def sink_of(host: str) -> LineSink:
            def sink(line: str) -> None:
                metrics.read(line)
                self._logs.write(GROUP, f"{name}/{host}-{began}", line)

            return sink

        return sink_of

    def _finish(self, name: str, job: TrainingJob, result: TrainingResult) -> None:
        document = self._get(name)
        bucket, prefix = bucket_and_key(document["OutputDataConfig"]["S3OutputPath"], "S3OutputPath")
        place = "/".join(part for part in (prefix.strip("/"), name, "output") if part)
        for archive in ("output.tar.gz", "model.tar.gz"):
            if (job.output / archive).is_file():
                self._objects.put(bucket, f"{place}/{archive}", job.output / archive)
        if result.model is None and not self._stops[name]:
            host, reason = next(iter(result.failures.items()))
            self._end(name, "Failed", "Failed", FailureReason=f"AlgorithmError: {reason}, host {host}"[:1024])
            return
        artifacts = {"ModelArtifacts": {"S3ModelArtifacts": f"s3://{bucket}/{place}/model.tar.gz"}}
        if not self._stops[name]:
            self._end(name, "Completed", "Completed", **artifacts)
        elif document.get("TooLong"):
            self._end(name, "Stopped", "MaxRuntimeExceeded", **artifacts)
        else:
            self._end(name, "Stopped", "Stopped", **artifacts)

    def _move(self, name: str, secondary: str, **members: Any) -> None:
        """A step of a job's life."""
        with self._lock:
            document, moment = self._get(name), now()
            transitions = document["SecondaryStatusTransitions"]
            if transitions and "EndTime" not in transitions[-1]:
                transitions[-1]["EndTime"] = moment
            transitions.append(_transition(secondary, moment))
            if document["TrainingJobStatus"] == "Stopping":
                members.pop("TrainingJobStatus", None)
            self._store.change(
                KIND, name, SecondaryStatus=secondary, SecondaryStatusTransitions=transitions, LastModifiedTime=moment,
                **members,
            )  # fmt: skip

    def _end(self, name: str, status: str, secondary: str, **members: Any) -> None:
        """The end of a job's life."""
        with self._lock:
            document, moment = self._get(name), now()
            transitions = document["SecondaryStatusTransitions"]
            if transitions and "EndTime" not in transitions[-1]:
                transitions[-1]["EndTime"] = moment
            transitions.append(_transition(secondary, moment) | {"EndTime": moment})
            began = document.get("TrainingStartTime", moment)
            seconds = max(1, round(document.get("TrainingEndTime", moment) - began))
            self._store.change(
                KIND,
                name,
                TrainingJobStatus=status,
                SecondaryStatus=secondary,
                SecondaryStatusTransitions=transitions,
                LastModifiedTime=moment,
                TrainingStartTime=began,
                TrainingEndTime=document.get("TrainingEndTime", moment),
                TrainingTimeInSeconds=seconds,
                BillableTimeInSeconds=seconds,
                **members,
            )


class Metrics:
    """The last value of each metric that a job's lines hold, by the expressions of MetricDefinitions."""

    def __init__(self, definitions: list[Document]) -> None:
        self._lock = threading.Lock()
        self._patterns = [(each["Name"], _compiled(each)) for each in definitions]
        self._values: dict[str, Document] = {}

    def read(self, line: str) -> None:
        """Looks for metrics in a line."""
        for name, pattern in self._patterns:
            match = pattern.search(line)
            if match and match.groups():
                try:
                    value = float(match[1])
                except ValueError:
                    continue
                with self._lock:
                    self._values[name] = {"MetricName": name, "Value": value, "Timestamp": now()}

    def final(self) -> list[Document]:
        """FinalMetricDataList."""
        with self._lock:
            return list(self._values.values())


def _compiled(definition: Document) -> re.Pattern[str]:
    try:
        return re.compile(definition["Regex"])
    except re.error as error:
        raise invalid(f"MetricDefinitions: the expression of {definition['Name']} is none: {error}") from None


def _transition(status: str, moment: float) -> Document:
    messages = {
        "Starting": "Preparing the instances for training",
        "Downloading": "Downloading input data",
        "Training": "Training image download completed. Training in progress.",
        "Uploading": "Uploading generated training model",
        "Stopping": "Stopping the training job",
        "Completed": "Training job completed",
        "Failed": "Training job failed",
        "Stopped": "Training job stopped",
        "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    }
    return {"Status": status, "StartTime": moment, "StatusMessage": messages[status]}
