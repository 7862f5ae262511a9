"""/opt/ml and the process environment -> one frozen value. Imports nothing heavy: PID 1 reads it first."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyadic.devices import count_gpus
from polyadic.errors import UserError

NETWORK_INTERFACES = Path("/sys/class/net")
LOOPBACK, DEFAULT_PORT = "127.0.0.1", 7777


@dataclass(frozen=True)
class ChannelConfig:
    """A channel as inputdataconfig.json has it."""

    mode: str = "File"
    distribution: str = "FullyReplicated"
    content_type: str | None = None


@dataclass(frozen=True)
class Environment:
    """What SageMaker tells a training container."""

    base: Path
    hyperparameters: Mapping[str, object]
    channels: Mapping[str, ChannelConfig]
    hosts: tuple[str, ...]
    current_host: str
    network_interface: str | None
    num_gpus: int
    master_address: str
    master_port: int
    job_name: str
    tensorboard: Path | None
    """Synchronised with S3 where the job asks for TensorBoard; None where no output leaves the container."""

    @property
    def model(self) -> Path:
        """Becomes model.tar.gz."""
        return self.base / "model"

    @property
    def output_data(self) -> Path:
        """Becomes output.tar.gz."""
        return self.base / "output" / "data"

    @property
    def failure(self) -> Path:
        """Becomes FailureReason."""
        return self.base / "output" / "failure"

    @property
    def checkpoints(self) -> Path | None:
        """Synchronised with S3 where the job asks for checkpoints; elsewhere it does not exist."""
        folder = self.base / "checkpoints"
        return folder if folder.is_dir() else None

    @property
    def host_rank(self) -> int:
        """This host's place among the hosts."""
        return self.hosts.index(self.current_host)

    def folder(self, channel: str) -> Path:
        """Where a File or FastFile channel's files are."""
        return self.base / "input" / "data" / channel

    def variables(self) -> dict[str, str]:
        """The SM_* variables that sagemaker-training would set, so that a user's code finds them here too."""
        channels = sorted(self.channels)
        configs = {name: _config_json(channel) for name, channel in self.channels.items()}
        data = {
            "SM_HOSTS": json.dumps(self.hosts),
            "SM_CURRENT_HOST": self.current_host,
            "SM_NUM_GPUS": str(self.num_gpus),
            "SM_NUM_CPUS": str(os.cpu_count() or 1),
            "SM_MODEL_DIR": str(self.model),
            "SM_OUTPUT_DATA_DIR": str(self.output_data),
            "SM_OUTPUT_DIR": str(self.base / "output"),
            "SM_INPUT_DIR": str(self.base / "input"),
            "SM_INPUT_CONFIG_DIR": str(self.base / "input" / "config"),
            "SM_CHANNELS": json.dumps(channels),
            "SM_HPS": json.dumps(dict(self.hyperparameters)),
            "SM_INPUT_DATA_CONFIG": json.dumps(configs),
            "SM_NETWORK_INTERFACE_NAME": self.network_interface or "",
        }
        data |= {f"SM_CHANNEL_{name.upper()}": str(self.folder(name)) for name in channels}
        return data | {f"SM_HP_{name.upper()}": str(value) for name, value in self.hyperparameters.items()}


def read_environment(environ: Mapping[str, str] = os.environ) -> Environment:
    """The environment of this container; files and keys that are missing get their usual values.

    Raises UserError for a file that is not a JSON object, and for a current host that is not among the hosts.
    """
    base = Path(environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    config = base / "input" / "config"
    resources = _read_json(config / "resourceconfig.json")
    hosts = tuple(sorted(resources.get("hosts") or [resources.get("current_host", "algo-1")]))
    current = resources.get("current_host", hosts[0])
    if current not in hosts:
        raise UserError(
            f"resourceconfig.json names {current!r} as current_host, which is not among hosts {list(hosts)}"
        )
    return Environment(
        base=base,
        hyperparameters=_read_json(config / "hyperparameters.json"),
        channels=_channels(base, _read_json(config / "inputdataconfig.json")),
        hosts=hosts,
        current_host=current,
        network_interface=_existing(resources.get("network_interface_name")),
        num_gpus=count_gpus(environ),
        master_address=environ.get("MASTER_ADDR") or (hosts[0] if len(hosts) > 1 else LOOPBACK),
        master_port=int(environ.get("MASTER_PORT") or (DEFAULT_PORT if len(hosts) > 1 else free_port())),
        job_name=environ.get("TRAINING_JOB_NAME", "local"),
        tensorboard=_tensorboard(base),
    )


def free_port() -> int:
    """A port that nothing on this host listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _existing(interface: str | None) -> str | None:
    """The interface if the container has it: SDK v3's local mode names one that does not exist."""
    return interface if interface and (NETWORK_INTERFACES / interface).exists() else None


def _tensorboard(base: Path) -> Path | None:
    """The LocalPath of the job's TensorBoardOutputConfig, or its default where there is an output folder."""
    given = None
    with contextlib.suppress(UserError):  # SageMaker's own file, and curves are no reason to refuse a job.
        given = _read_json(base / "input" / "config" / "tensorboardoutputconfig.json").get("LocalPath")
    if given:
        return Path(given)
    output = base / "output"
    return output / "tensorboard" if output.is_dir() else None


def _channels(base: Path, given: Mapping[str, Any]) -> dict[str, ChannelConfig]:
    if not given:
        # A plain `docker run` with a mounted folder and no inputdataconfig.json.
        data = base / "input" / "data"
        return {path.name: ChannelConfig() for path in sorted(data.glob("*")) if path.is_dir()}
    return {
        name: ChannelConfig(
            mode=config.get("TrainingInputMode", "File"),
            distribution=config.get("S3DistributionType", "FullyReplicated"),
            content_type=config.get("ContentType"),
        )
        for name, config in given.items()
    }


def _config_json(channel: ChannelConfig) -> dict[str, str]:
    content = {"ContentType": channel.content_type} if channel.content_type else {}
    return {"TrainingInputMode": channel.mode, "S3DistributionType": channel.distribution, **content}


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path.name} is not JSON ({error}): it must hold one JSON object") from None
    if not isinstance(value, dict):
        raise UserError(f"{path.name} holds a {type(value).__name__}: it must hold one JSON object")
    return value
