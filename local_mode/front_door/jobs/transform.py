"""Batch transform: the objects of a prefix through a model's servers, each to an object of its own."""

import gzip
import json
import threading
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import urllib3

from local_mode.backend import Backend
from local_mode.errors import LocalModeError
from local_mode.front_door.documents import Documents
from local_mode.front_door.hosting.configurations import folder
from local_mode.front_door.hosting.fleets import Servers
from local_mode.front_door.hosting.models import Models, has_many_models
from local_mode.front_door.jobs import records
from local_mode.front_door.jobs.records import RecordError
from local_mode.front_door.jobs.training import INTERRUPTED
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
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Settings:
    """How a job asks its servers."""

    concurrent: int
    megabytes: int
    single: bool
    seconds: float
    retries: int


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
        self._closing = threading.Event()
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
        if self._is_stopped(name):
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
        environment = {**(container.get("Environment") or {}), **_environment(document)}
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
                settings = _settings(document, pool, urls[0])
                return self._files(document, bucket, keys, _Asking(pool, urls, document, settings))
        finally:
            servers.end(members)

    def _files(self, document: Document, bucket: str, keys: list[str], asking: "_Asking") -> list[str]:
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
                output = asking.file(place)
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
        self._documents.change(name, TransformJobStatus=status, FailureReason=reason, TransformEndTime=now())


class _Asking:
    """A file's requests to the servers of a job."""

    def __init__(self, pool: urllib3.PoolManager, urls: list[str], document: Document, settings: Settings) -> None:
        self._pool, self._urls, self._settings = pool, cycle(urls), settings
        self._threads = settings.concurrent * len(urls)
        source, output = document["TransformInput"], document["TransformOutput"]
        processing = document.get("DataProcessing") or {}
        self._split, self._gzipped = source.get("SplitType") or "None", source.get("CompressionType") == "Gzip"
        self._headers = {"Content-Type": source.get("ContentType") or "application/octet-stream"}
        if output.get("Accept"):
            self._headers["Accept"] = output["Accept"]
        self._kind = records.kind_of(source.get("ContentType"))
        self._by_line = output.get("AssembleWith") == "Line"
        self._input = records.path(processing.get("InputFilter"), "InputFilter")
        self._output = records.path(processing.get("OutputFilter"), "OutputFilter")
        self._joins = processing.get("JoinSource") == "Input"

    def file(self, place: Path) -> bytes:
        """The output of a file; RecordError where any part of it failed."""
        data = place.read_bytes()
        if self._gzipped:
            try:
                data = gzip.decompress(data)
            except (OSError, EOFError, zlib.error) as error:
                raise RecordError(f"it is no gzip: {error}") from None
        with ThreadPoolExecutor(self._threads) as threads:
            bodies = list(threads.map(self._batch, self._batches(data)))
        return records.assembled(bodies, self._by_line)

    def _batches(self, data: bytes) -> list[list[bytes]]:
        most = self._settings.megabytes * MEGABYTE or len(data) + 2  # 0 is no limit.
        if self._split == "Line":
            return records.batches(records.lines(data), self._settings.single, most)
        if len(data) > most:
            raise RecordError(
                f"it has {len(data)} bytes, and a request {most} at most: raise MaxPayloadInMB or split it"
            )
        by_row = self._kind == "csv" and (self._input is not None or self._output is not None or self._joins)
        return [records.lines(data) if by_row else [data]]

    def _batch(self, batch: list[bytes]) -> bytes:
        kind = self._kind or ""
        if self._input is None and self._output is None and not self._joins:
            return self._ask(b"\n".join(batch) + (b"\n" if self._split == "Line" else b""))[0]
        values = [records.parsed(record, kind) for record in batch]
        sent = [records.written(records.select(self._input, value), kind) for value in values]
        body, content_type = self._ask(b"\n".join(sent) + b"\n")
        found = records.answers(body, len(values), records.kind_of(content_type) or kind)
        if self._joins:
            found = [records.joined(value, answer, kind) for value, answer in zip(values, found, strict=True)]
        rows = [records.written(records.select(self._output, value), kind) for value in found]
        return b"".join(row + b"\n" for row in rows)

    def _ask(self, body: bytes) -> tuple[bytes, str | None]:
        """An answer and its type; a server's own errors are asked again."""
        reason = ""
        for _ in range(self._settings.retries + 1):
            try:
                answer = self._pool.request(
                    "POST", f"{next(self._urls)}/invocations", body=body, headers=self._headers,
                    timeout=urllib3.Timeout(connect=5.0, read=self._settings.seconds),
                )  # fmt: skip
            except urllib3.exceptions.HTTPError as error:
                reason = f"no answer from the container: {error}"
                continue
            if answer.status < 400:
                return answer.data, answer.headers.get("Content-Type")
            reason = f"({answer.status}) {answer.data.decode('utf-8', 'replace')[:300]}"
            if answer.status < 500 and answer.status != 429:
                break
        raise RecordError(f"Bad HTTP status received from algorithm: {reason}")


def _settings(document: Document, pool: urllib3.PoolManager, url: str) -> Settings:
    """What the request says, else what the container does, else SageMaker's own values."""
    own: Any = {}
    answer = pool.request("GET", f"{url}/execution-parameters", timeout=10.0)
    if answer.status == 200:
        try:
            own = json.loads(answer.data)
        except ValueError:
            own = {}
    own = own if isinstance(own, dict) else {}
    client = document.get("ModelClientConfig") or {}
    megabytes = document.get("MaxPayloadInMB")
    strategy = document.get("BatchStrategy") or own.get("BatchStrategy") or "MultiRecord"
    return Settings(
        int(document.get("MaxConcurrentTransforms") or own.get("MaxConcurrentTransforms") or 1),
        int(megabytes if megabytes is not None else own.get("MaxPayloadInMB", 6)),
        str(strategy).upper().replace("_", "") == "SINGLERECORD",
        float(client.get("InvocationsTimeoutInSeconds") or 600),
        int(client.get("InvocationsMaxRetries", 3)),
    )


def _environment(document: Document) -> dict[str, str]:
    """What SageMaker tells a container of a transform job."""
    found = {"SAGEMAKER_BATCH": "true", **(document.get("Environment") or {})}
    if "MaxPayloadInMB" in document:
        found["SAGEMAKER_MAX_PAYLOAD_IN_MB"] = str(document["MaxPayloadInMB"])
    if "BatchStrategy" in document:
        single = document["BatchStrategy"] == "SingleRecord"
        found["SAGEMAKER_BATCH_STRATEGY"] = "SINGLE_RECORD" if single else "MULTI_RECORD"
    if "MaxConcurrentTransforms" in document:
        found["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] = str(document["MaxConcurrentTransforms"])
    return found


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
