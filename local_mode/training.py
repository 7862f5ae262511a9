"""A training job from its layout to model.tar.gz."""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local_mode.archives import pack
from local_mode.backend import Backend
from local_mode.layout import HostLayout, TrainingJob, lay_out
from local_mode.pipes import feeding
from local_mode.running import (
    POLL_SECONDS,
    LineSink,
    Running,
    close_all,
    prefixed,
    print_line,
    stop_all,
)
from local_mode.stopping import StopRequest

STOP_SECONDS = 120.0  # SageMaker's time between SIGTERM and SIGKILL
VERDICT_SECONDS = 30.0  # for the other hosts to notice that one failed


@dataclass(frozen=True)
class TrainingResult:
    """`model` is None where a host failed; `failures` holds the reason of each host that did."""

    model: Path | None
    failures: Mapping[str, str]


def run_training(
    job: TrainingJob,
    backend: Backend,
    stop: StopRequest,
    on_line: LineSink = print_line,
    *,
    of_host: Callable[[str], LineSink] | None = None,
    scratch: Path | None = None,
) -> TrainingResult:
    """Runs all hosts to their end and leaves model.tar.gz, output.tar.gz and tensorboard/ in `job.output`.

    A stop sends SIGTERM to the hosts; what they save within 120 s is collected as usual. of_host: gives each host's
    sink; without it all lines go to `on_line`, with the host's name where there are several. scratch: the folder for
    the hosts' own folders; the system's without it.
    """
    job.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="local-mode-", dir=scratch) as root:
        layouts = lay_out(job, Path(root).resolve(), backend.network_interface)
        sinks = of_host or (lambda host: on_line if job.hosts == 1 else prefixed(host, on_line))
        with feeding(layouts):
            codes = _run_hosts(job, layouts, backend, stop, sinks)
        backend.reclaim(Path(root))
        return _collect(job, layouts, codes, on_line, stopped=bool(stop))


def _run_hosts(
    job: TrainingJob,
    layouts: Sequence[HostLayout],
    backend: Backend,
    stop: StopRequest,
    sinks: Callable[[str], LineSink],
) -> dict[str, int]:
    name = job.name or f"local-{datetime.now(UTC):%Y-%m-%d-%H-%M-%S}"
    environment = {"TRAINING_JOB_NAME": name, "AWS_REGION": "us-east-1", **job.environment}
    hosts = backend.start_training(layouts, environment, sinks)
    try:
        _watch(hosts, stop)
    finally:
        codes = {host.name: host.poll() for host in hosts}
        close_all(hosts)
        backend.close()
    return {host: -9 if code is None else code for host, code in codes.items()}


def _watch(hosts: Sequence[Running], stop: StopRequest) -> None:
    """Returns when every host has ended or was stopped: by the user, or after another one failed."""
    failed_at: float | None = None
    while any(host.poll() is None for host in hosts):
        if failed_at is None and any(host.poll() for host in hosts):
            failed_at = time.monotonic()
        if stop or (failed_at is not None and time.monotonic() - failed_at > VERDICT_SECONDS):
            stop_all(hosts, STOP_SECONDS, stop)
            return
        time.sleep(POLL_SECONDS)


def _collect(
    job: TrainingJob, layouts: Sequence[HostLayout], codes: Mapping[str, int], on_line: LineSink, *, stopped: bool
) -> TrainingResult:
    # The first host's files win where two hosts wrote the same name, so it goes last.
    backwards = list(reversed(layouts))
    pack([layout.output_data for layout in backwards], job.output / "output.tar.gz")
    _collect_events(job, layouts)
    failures = {
        layout.name: layout.failure_reason or f"exit code {codes[layout.name]}, and no failure file was written"
        for layout in layouts
        if codes[layout.name] != 0
    }
    if failures and not (stopped and any(any(layout.model.iterdir()) for layout in layouts)):
        return TrainingResult(None, failures)
    archive = job.output / "model.tar.gz"
    if pack([layout.model for layout in backwards], archive) == 0:
        on_line(f"warning: no host wrote anything to /opt/ml/model, so {archive} is empty")
    return TrainingResult(archive, failures)


def _collect_events(job: TrainingJob, layouts: Sequence[HostLayout]) -> None:
    """Adds the TensorBoard events to those of earlier runs, as S3 keeps them: a resumed job continues its curves."""
    for layout in layouts:
        if layout.tensorboard.is_dir():
            shutil.copytree(layout.tensorboard, job.output / "tensorboard", dirs_exist_ok=True)
