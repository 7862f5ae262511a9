"""Metrics as TensorBoard scalars, in files that SageMaker copies to S3 while the job trains."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class EventFolder:
    """The event files of one process, one a run: a folder below whose curves TensorBoard draws over one another.

    Each scalar is appended at once and the file closed, so that a copy of the folder lacks nothing. The library's own
    writers are no choice: one blocks for ever once the disk is full, the other waits for the disk at every scalar.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Path] = {}
        self._step = 0
        self._broken = False

    def record(self, name: str, value: float, where: Mapping[str, int]) -> None:
        """Appends `train loss` as tag `train/loss`; the first fault is a warning, and the end of the recording.

        The first number of `where` is the step, and the others name a run: of several restarts each has its own curve.
        Without a step a metric stands at the last one that was seen, which is 0 in the beginning.
        """
        if self._broken:
            return
        run = "-".join(f"{key}_{number}" for key, number in list(where.items())[1:])
        self._step = next(iter(where.values()), self._step)
        try:
            file = self._files.get(run) or self._begin(run, resumes=bool(where))
            _append(file, _scalar(name.replace(" ", "/", 1), value, self._step))
        except Exception as error:  # Whatever it is, a curve must not cost the model.
            self._broken = True
            reason = f"{error} ({type(error).__name__})"
            print(f"warning: no more TensorBoard events in {self.folder}: {reason}", file=sys.stderr, flush=True)

    def _begin(self, run: str, resumes: bool) -> Path:
        """A new file; where it resumes a run, what an earlier file has of this step and later ones is void."""
        _import_without_boto3()
        from tensorboardX.proto.event_pb2 import SessionLog

        file = self.folder / run / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}"
        file.parent.mkdir(parents=True, exist_ok=True)
        _append(file, _event(file_version="brain.Event:2"))
        if resumes:
            _append(file, _event(step=self._step, session_log=SessionLog(status=SessionLog.START)))
        self._files[run] = file
        return file


def _import_without_boto3() -> None:
    """Imports the library, where it isn't yet, as if boto3 were not there: it would take as long as the rest of it.

    Here and not at the file's head: only the rank that records shall wait for it.
    """
    absent = {"boto3": None} if "boto3" not in sys.modules else {}
    sys.modules.update(absent)  # type: ignore[arg-type]  # None: an import of that name fails.
    try:
        import tensorboardX  # noqa: F401
    finally:
        for name in absent:
            del sys.modules[name]


def _scalar(tag: str, value: float, step: int) -> bytes:
    from tensorboardX.proto.summary_pb2 import Summary

    return _event(step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]))


def _event(**what: Any) -> bytes:
    from tensorboardX.proto.event_pb2 import Event

    serialized: bytes = Event(wall_time=time.time(), **what).SerializeToString()
    return serialized


def _append(file: Path, event: bytes) -> None:
    """A TFRecord: the length, its checksum, the event, its checksum."""
    from tensorboardX.record_writer import masked_crc32c

    length = struct.pack("<Q", len(event))
    with file.open("ab") as stream:
        stream.write(length + struct.pack("<I", masked_crc32c(length)))
        stream.write(event + struct.pack("<I", masked_crc32c(event)))
