"""A training job, and the /opt/ml that each of its hosts finds."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local_mode.errors import LocalModeError

DISTRIBUTIONS = ("FullyReplicated", "ShardedByS3Key")


@dataclass(frozen=True)
class TrainingJob:
    """The settings of a training job, as CreateTrainingJob would get them.

    distribution: one for all channels, or one for each that has another than FullyReplicated. content_types: of the
    channels that have one. modes: of the channels that have another than File.
    """

    channels: Mapping[str, Path]
    hyperparameters: Mapping[str, str]
    output: Path
    hosts: int = 1
    distribution: str | Mapping[str, str] = "FullyReplicated"
    checkpoints: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    content_types: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, str] = field(default_factory=dict)
    instance_type: str = "local"
    name: str = ""

    def distribution_of(self, channel: str) -> str:
        """How a channel's files are dealt to the hosts."""
        if isinstance(self.distribution, str):
            return self.distribution
        return self.distribution.get(channel, DISTRIBUTIONS[0])

    @property
    def host_names(self) -> list[str]:
        """Sorted as SageMaker sorts them: algo-10 stands before algo-2."""
        return sorted(f"algo-{number}" for number in range(1, self.hosts + 1))


@dataclass(frozen=True)
class HostLayout:
    """One host's /opt/ml: `base` on this machine, what is mounted into it, and what comes through pipes."""

    name: str
    base: Path
    channels: Mapping[str, Path]
    checkpoints: Path | None
    pipes: Mapping[str, Path] = field(default_factory=dict)

    @property
    def model(self) -> Path:
        return self.base / "model"

    @property
    def output_data(self) -> Path:
        return self.base / "output" / "data"

    @property
    def tensorboard(self) -> Path:
        return self.base / "output" / "tensorboard"

    @property
    def failure_reason(self) -> str:
        """The first 1,024 characters of the failure file, which is what SageMaker keeps; "" without one."""
        file = self.base / "output" / "failure"
        return file.read_text(errors="replace")[:1024].strip() if file.is_file() else ""


def lay_out(job: TrainingJob, root: Path, network_interface: str) -> list[HostLayout]:
    """Writes input/config of every host under `root` and deals the channels' files out."""
    if job.checkpoints is not None:
        job.checkpoints.mkdir(parents=True, exist_ok=True)
    channels = {name: _channel_per_host(name, job, root) for name in job.channels}
    return [
        _lay_out_host(job, root / host, network_interface, {name: per[host] for name, per in channels.items()})
        for host in job.host_names
    ]


def _lay_out_host(job: TrainingJob, base: Path, interface: str, channels: Mapping[str, Path]) -> HostLayout:
    config = base / "input" / "config"
    for folder in (config, base / "input" / "data", base / "model", base / "output" / "data"):
        folder.mkdir(parents=True)
    documents = {
        "hyperparameters": dict(job.hyperparameters),
        "inputdataconfig": {name: _channel_config(job, name) for name in channels},
        "resourceconfig": {
            "current_host": base.name,
            "current_instance_type": job.instance_type,
            "current_group_name": "homogeneousCluster",
            "hosts": job.host_names,
            "instance_groups": [
                {
                    "instance_group_name": "homogeneousCluster",
                    "instance_type": job.instance_type,
                    "hosts": job.host_names,
                }
            ],
            "network_interface_name": interface,
        },
    }
    for name, document in documents.items():
        (config / f"{name}.json").write_text(json.dumps(document, indent=2))
    checkpoints = job.checkpoints.resolve() if job.checkpoints else None
    pipes = {name: folder for name, folder in channels.items() if job.modes.get(name) == "Pipe"}
    files = {name: folder for name, folder in channels.items() if name not in pipes}
    return HostLayout(base.name, base, files, checkpoints, pipes)


def _channel_config(job: TrainingJob, name: str) -> dict[str, str]:
    config = {
        "TrainingInputMode": job.modes.get(name, "File"),
        "S3DistributionType": job.distribution_of(name),
        "RecordWrapperType": "None",
    }
    return config | ({"ContentType": job.content_types[name]} if name in job.content_types else {})


def _channel_per_host(name: str, job: TrainingJob, root: Path) -> dict[str, Path]:
    source = job.channels[name]
    if not source.is_dir():
        raise LocalModeError(f"channel {name!r} names {str(source)!r}, which is not a folder: give a folder of files")
    if job.distribution_of(name) == DISTRIBUTIONS[0]:
        return dict.fromkeys(job.host_names, source.resolve())
    shards = {host: root / "shards" / host / name for host in job.host_names}
    for folder in shards.values():
        folder.mkdir(parents=True)
    for position, file in enumerate(files_by_key(source)):
        host = job.host_names[position % job.hosts]
        _link(source / file, shards[host] / file)
    return shards


def files_by_key(folder: Path) -> list[Path]:
    """The files below a folder, in the order of S3's keys."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(files, key=lambda path: path.as_posix())


def _link(source: Path, target: Path) -> None:
    """A hard link, since a symbolic one would point outside of a container's mount; a copy across disks."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)
