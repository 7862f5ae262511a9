"""One training job from its download to what it leaves in S3, run as `local_mode train` runs it."""

import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from local_mode.backend import Backend
from local_mode.errors import LocalModeError
from local_mode.front_door.jobs.life import Life
from local_mode.front_door.jobs.metrics import Metrics
from local_mode.front_door.resources import Document, bucket_and_key, now
from local_mode.front_door.services.cloudwatch import TRAINING, CloudWatch
from local_mode.front_door.services.logs import Logs
from local_mode.front_door.services.objects import Objects
from local_mode.front_door.shapes import Fault, invalid
from local_mode.layout import TrainingJob
from local_mode.running import LineSink
from local_mode.stopping import StopRequest
from local_mode.training import TrainingResult, run_training

GROUP = "/aws/sagemaker/TrainingJobs"
SHUTDOWN = "Shutdown"
INTERRUPTED = "InternalServerError: the machine's front door was stopped while the job ran. Create it again"


class TrainingRun:
    """A job under way; interrupt_after: seconds of training after which a spot job is interrupted, once."""

    def __init__(
        self,
        life: Life,
        objects: Objects,
        logs: Logs,
        cloudwatch: CloudWatch,
        backend: Callable[[], Backend],
        scratch: Path,
        interrupt_after: float | None,
    ) -> None:
        document = life.document
        self.life = life
        self.metrics = Metrics(
            document["AlgorithmSpecification"].get("MetricDefinitions") or [],
            lambda name, value: cloudwatch.put(TRAINING, {"TrainingJobName": life.name}, name, [value]),
        )
        self._objects, self._logs, self._backend, self._scratch = objects, logs, backend, scratch
        spot = bool(document.get("EnableManagedSpotTraining"))
        self._interrupt_after = interrupt_after if spot else None
        self._stop, self._reason, self._lock = StopRequest(), "", threading.Lock()

    def stop(self, reason: str) -> None:
        """Ends the job before its time: "Stopped" by its user, or because a time is over."""
        with self._lock:
            if not self._reason or self._reason == "Interrupted" or reason == SHUTDOWN:
                self._reason = reason
            if not self._stop:  # A second signal would cut the hosts' time to save short.
                self._stop.receive(signal.SIGTERM, None)

    def run(self) -> None:
        """The job; whatever goes wrong is its failure."""
        try:
            self._scratch.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="job-", dir=self._scratch, ignore_cleanup_errors=True) as folder:
                self._train(Path(folder))
        except Exception as error:
            if self.life.has_ended:
                return
            kind = "ClientError" if isinstance(error, Fault | LocalModeError) else "InternalServerError"
            self.life.end("Failed", "Failed", FailureReason=f"{kind}: {error}"[:1024])

    def _train(self, base: Path) -> None:
        document = self.life.document
        self.life.move("Downloading")
        channels = self._download(document, base / "channels")
        conditions = document.get("StoppingCondition") or {}
        timers = [
            threading.Timer(conditions[limit], self.stop, (f"{limit.removesuffix('InSeconds')}Exceeded",))
            for limit in ("MaxRuntimeInSeconds", "MaxWaitTimeInSeconds")
            if conditions.get(limit)
        ]
        for timer in timers:
            timer.daemon = True
            timer.start()
        try:
            job, result = self._attempts(document, channels, base)
        finally:
            for timer in timers:
                timer.cancel()
        self.life.move("Uploading", TrainingEndTime=now(), FinalMetricDataList=self.metrics.final())
        self._finish(job, result)

    def _attempts(
        self, document: Document, channels: dict[str, Path], base: Path
    ) -> tuple[TrainingJob, TrainingResult]:
        """Trains, and once more from the checkpoints where it was interrupted."""
        checkpoints = self._restore_checkpoints(document, base / "checkpoints")
        self.life.move("Training", TrainingStartTime=now())
        while True:
            job = _job(document, channels, base / "output", checkpoints)
            interruption = self._begin_interruption()
            result = run_training(job, self._backend(), self._stop, of_host=self._sinks(), scratch=base)
            if interruption is not None:
                interruption.cancel()
            self._save_checkpoints(document, checkpoints)
            with self._lock:
                if self._reason != "Interrupted":
                    return job, result
                self._reason, self._stop = "", StopRequest()
            self.life.move("Interrupted")
            self.life.move("Starting")
            self.life.move("Training")

    def _begin_interruption(self) -> threading.Timer | None:
        if self._interrupt_after is None:
            return None
        timer = threading.Timer(self._interrupt_after, self.stop, ("Interrupted",))
        timer.daemon = True
        timer.start()
        self._interrupt_after = None
        return timer

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

    def _sinks(self) -> Callable[[str], LineSink]:
        began, name = int(time.time()), self.life.name

        def sink_of(host: str) -> LineSink:
            def sink(line: str) -> None:
                self.metrics.read(line)
                self._logs.write(GROUP, f"{name}/{host}-{began}", line)

            return sink

        return sink_of

    def _finish(self, job: TrainingJob, result: TrainingResult) -> None:
        bucket, prefix = bucket_and_key(self.life.document["OutputDataConfig"]["S3OutputPath"], "S3OutputPath")
        place = "/".join(part for part in (prefix.strip("/"), self.life.name, "output") if part)
        kept = [archive for archive in ("output.tar.gz", "model.tar.gz") if (job.output / archive).is_file()]
        for archive in kept:
            self._objects.put(bucket, f"{place}/{archive}", job.output / archive)
        artifacts = {"ModelArtifacts": {"S3ModelArtifacts": f"s3://{bucket}/{place}/model.tar.gz"}}
        artifacts = artifacts if "model.tar.gz" in kept else {}
        if self._reason == SHUTDOWN:
            self.life.end("Failed", "Failed", FailureReason=INTERRUPTED)
        elif self._reason:
            self.life.end("Stopped", self._reason, **artifacts)
        elif result.model is None:
            host, reason = next(iter(result.failures.items()))
            self.life.end("Failed", "Failed", FailureReason=f"AlgorithmError: {reason}, host {host}"[:1024])
        else:
            self.life.end("Completed", "Completed", **artifacts)


def _job(document: Document, channels: dict[str, Path], output: Path, checkpoints: Path | None) -> TrainingJob:
    configs = {each["ChannelName"]: each for each in document.get("InputDataConfig") or []}
    sources = {name: each["DataSource"]["S3DataSource"] for name, each in configs.items()}
    return TrainingJob(
        channels=channels,
        hyperparameters=document.get("HyperParameters") or {},
        output=output,
        hosts=document["ResourceConfig"].get("InstanceCount") or 1,
        distribution={name: each.get("S3DataDistributionType") or "FullyReplicated" for name, each in sources.items()},
        checkpoints=checkpoints,
        environment={**(document.get("Environment") or {}), "TRAINING_JOB_ARN": document["TrainingJobArn"]},
        content_types={name: each["ContentType"] for name, each in configs.items() if each.get("ContentType")},
        modes={
            name: each.get("InputMode") or document["AlgorithmSpecification"]["TrainingInputMode"]
            for name, each in configs.items()
        },
        instance_type=document["ResourceConfig"].get("InstanceType") or "local",
        name=document["TrainingJobName"],
    )
