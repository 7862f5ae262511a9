"""A file of a transform job as requests to servers, and their answers as its output."""

import gzip
import json
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import urllib3

from local_mode.front_door.jobs import records
from local_mode.front_door.jobs.records import RecordError
from local_mode.front_door.resources import Document

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Settings:
    """How a job asks its servers."""

    concurrent: int
    megabytes: int
    single: bool
    seconds: float
    retries: int


class Requests:
    """The requests of a transform job to its servers."""

    def __init__(
        self,
        pool: urllib3.PoolManager,
        urls: list[str],
        document: Document,
        settings: Settings,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._pool, self._urls, self._settings = pool, cycle(urls), settings
        self._is_stopped = is_stopped
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

    def of_file(self, place: Path) -> bytes:
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
            if self._is_stopped():
                raise RecordError("the job was stopped")
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


def settings_of(document: Document, pool: urllib3.PoolManager, url: str) -> Settings:
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


def environment_of(document: Document) -> dict[str, str]:
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
