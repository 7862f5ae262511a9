"""Batch transform: the objects of a prefix through a model's servers, each to an object of its own."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import urllib3

from local_mode.backend import Backend
from local_mode.errors import LocalModeError
from local_mode.front_door.documents import Documents
from local_mode.front_door.hosting.configurations import folder
from local_mode.front_door.hosting.fleets import Servers
from local_mode.front_door.hosting.models import Models, has_many_models
from local_mode.front_door.jobs import records
from local_mode.front_door.jobs.records import RecordError
from local_mode.front_door.jobs.training_run import INTERRUPTED
from local_mode.front_door.jobs.transform_requests import Requests, environment_of, settings_of
from local_mode.front_door.limits import check_room
from local_mode.front_door.resources import Document, bucket_and_key, now, place_below, refuse_not_honoured
from local_mode.front_door.services.logs import Logs
from local_mode.front_door.services.objects import Objects
from local_mode.front_door.shapes import Fault, invalid
from local_mode.front_door.store import Store

KIND, GROUP = "transform-job", "/aws/sagemaker/TransformJobs"
ENDED = ("Completed", "Failed", "Stopped")
MEMBERS = (
    "TransformJobName", "ModelName", "MaxConcurrentTransforms", "ModelClientConfig", "MaxPayloadInMB", "BatchStrategy",
    "Environment", "TransformInput", "TransformOutput", "TransformResources", "DataProcessing", "Tags",
    "ExperimentConfig",
)  # fmt: skip
MAX_MEGABYTES = 100


class _Jobs(Documents):
    """Transform jobs, whose sentences are their own."""

    def missing(self, name: str) -> Fault:
        return invalid(f"Could not find requested job with name: {name}")

    def taken(self, name: str) -> Fault:
        return Fault("ResourceInUse", f"Job name must be unique within an AWS account and region: {name} exists")


class TransformJobs:
    """The transform jobs of this machine; each runs in a thread."""

    def __init__(
        self,
        store: Store,
        models: Models,
        objects: Objects,
        logs: Logs,
        backend: Callable[[], Backend],
        scratch: Path,
    ) -> None:
        self._models, self._objects = models, objects
        self._documents = _Jobs(store, KIND, "transform job", "TransformJobName", "TransformJobArn")
        self._closing, self._ending = threading.Event(), threading.Lock()
        self._servers: Callable[[], Servers] = lambda: Servers(objects, logs, backend(), scratch, self._closing)
        self._threads: dict[str, threading.Thread] = {}
        for document in self._documents.all():
            if document["TransformJobStatus"] not in ENDED:  # It ran when the process before this one ended.
                self._end(document["TransformJobName"], "Failed", INTERRUPTED)

    @property
    def operations(self) -> Mapping[str, Callable[[Document], Document]]:
        """What these jobs answer."""
        return {
            "CreateTransformJob": self.create,
            "DescribeTransformJob": self._documents.describe,
            "ListTransformJobs": lambda request: self._documents.list("TransformJobSummaries", request),
            "StopTransformJob": self.stop,
        }

    def create(self, request: Document) -> Document:
        """Begins a job; what it asks for and cannot have is refused before."""
        refuse_not_honoured(request, MEMBERS)
        container = self._models.container(request["ModelName"])
        if has_many_models(container):
            raise invalid(f"model {request['ModelName']} is MultiModel: batch transform takes a single model")
        _check_input(request)
        _check_processing(request)
        bucket, _ = bucket_and_key(request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"], "S3Uri")
        if not self._objects.has_bucket(bucket):
            raise invalid(f"TransformInput: there is no bucket {bucket}")
        check_room(request["TransformResources"]["InstanceCount"], "servers for transforms")
        name = request["TransformJobName"]
        answer = self._documents.create(request, TransformJobStatus="InProgress")
        self._threads[name] = threading.Thread(target=self._run, args=(name, container), name=name, daemon=True)
        self._threads[name].start()
        return answer

    def stop(self, request: Document) -> Document:
        """Tells a job to end; what it has written stays."""
        name = request["TransformJobName"]
        with self._ending:
            if self._documents.get(name)["TransformJobStatus"] in ENDED:
                raise invalid(f"The request was rejected because the transform job {name} has ended.")
            self._documents.change(name, TransformJobStatus="Stopping")
        return {}

    def close(self) -> None:
        """Ends all jobs, and returns when they have."""
        self._closing.set()
        for thread in self._threads.values():
            thread.join()

    def _run(self, name: str, container: Document) -> None:
        try:
            failures = self._transform(self._documents.get(name), container)
        except Exception as error:  # The thread is a job's: whatever ends it is the job's failure.
            kind = "ClientError" if isinstance(error, Fault | LocalModeError) else "InternalServerError"
            self._end(name, "Failed", f"{kind}: {error}")
            return
        if self._closing.is_set():
            self._end(name, "Failed", INTERRUPTED)
        elif self._is_stopped(name):
            self._end(name, "Stopped")
        elif failures:
            self._end(name, "Failed", f"ClientError: {len(failures)} of the files failed: {'; '.join(failures)}")
        else:
            self._end(name, "Completed")

    def _transform(self, document: Document, container: Document) -> list[str]:
        name, source = document["TransformJobName"], document["TransformInput"]["DataSource"]["S3DataSource"]
        bucket, prefix = bucket_and_key(source["S3Uri"], "S3Uri")
        keys = self._objects.keys(bucket, prefix)
        if not keys:
            raise invalid(f'No S3 objects found under S3 URL "{source["S3Uri"]}"')
        servers = self._servers()
        environment = {**(container.get("Environment") or {}), **environment_of(document)}
        variant = {
            "VariantName": name,
            "InitialInstanceCount": document["TransformResources"]["InstanceCount"],
            "Container": {**container, "Environment": environment},
        }
        members = servers.start(GROUP, [variant])[name]
        try:
            self._documents.change(name, TransformStartTime=now())
            urls = [member.server.url for member in members]
            with urllib3.PoolManager(maxsize=64, retries=False) as pool:
                settings = settings_of(document, pool, urls[0])
                return self._files(
                    document, bucket, keys, Requests(pool, urls, document, settings, lambda: self._is_stopped(name))
                )
        finally:
            servers.end(members)

    def _files(self, document: Document, bucket: str, keys: list[str], requests: Requests) -> list[str]:
        """Transforms one file after the other; what was wrong with those that failed."""
        prefix = bucket_and_key(document["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"], "S3Uri")[1]
        to_bucket, to_prefix = folder(document["TransformOutput"]["S3OutputPath"], "TransformOutput.S3OutputPath")
        failures = []
        for key in keys:
            if self._is_stopped(document["TransformJobName"]):
                break
            place = self._objects.path(bucket, key)
            try:
                if place is None:
                    raise RecordError("it is gone")
                output = requests.of_file(place)
            except RecordError as error:
                failures.append(f"{key}: {error}")
                continue
            own = f"{to_prefix}{place_below(key, prefix)}.out"
            self._objects.put_bytes(to_bucket, own, output, document["TransformOutput"].get("Accept"))
        return failures

    def _is_stopped(self, name: str) -> bool:
        return self._closing.is_set() or self._documents.get(name)["TransformJobStatus"] == "Stopping"

    def _end(self, name: str, status: str, reason: str | None = None) -> None:
        reason = None if reason is None else reason[:1024]
        with self._ending:
            self._documents.change(name, TransformJobStatus=status, FailureReason=reason, TransformEndTime=now())


def _check_input(request: Document) -> None:
    source = request["TransformInput"]
    data_type = source["DataSource"]["S3DataSource"]["S3DataType"]
    if data_type != "S3Prefix":
        raise invalid(f"TransformInput: S3DataType {data_type} is not honoured on this machine: give S3Prefix")
    split = source.get("SplitType") or "None"
    if split not in ("None", "Line"):
        raise invalid(f"TransformInput: SplitType {split} is not honoured on this machine: give Line or None")
    if request.get("BatchStrategy") == "SingleRecord" and split == "None":
        raise invalid("BatchStrategy SingleRecord needs TransformInput.SplitType Line")
    bucket_and_key(source["DataSource"]["S3DataSource"]["S3Uri"], "TransformInput: S3Uri")
    bucket_and_key(request["TransformOutput"]["S3OutputPath"], "TransformOutput.S3OutputPath")
    most, at_once = request.get("MaxPayloadInMB") or 0, request.get("MaxConcurrentTransforms") or 1
    if most > MAX_MEGABYTES or most * at_once > MAX_MEGABYTES:
        raise invalid(
            f"MaxConcurrentTransforms * MaxPayloadInMB is {at_once} * {most}: it must be {MAX_MEGABYTES} at most"
        )


def _check_processing(request: Document) -> None:
    processing = request.get("DataProcessing") or {}
    expressions = [records.path(processing.get(member), member) for member in ("InputFilter", "OutputFilter")]
    if any(expression is not None for expression in expressions) or processing.get("JoinSource") == "Input":
        content_type = request["TransformInput"].get("ContentType")
        if records.kind_of(content_type) is None:
            raise invalid(
                f"DataProcessing knows the records of text/csv, application/json and application/jsonlines, "
                f"and TransformInput.ContentType is {content_type}"
            )
