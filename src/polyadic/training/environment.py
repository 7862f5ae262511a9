"""/opt/ml and the process environment -> one frozen value. Imports nothing heavy: PID 1 reads it first."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from polyadic.devices import count_gpus
from polyadic.errors import UserError, shorten
from polyadic.training.config import (
    ChannelConfig,
    read_channels,
    read_hyperparameters,
    read_resources,
    read_tensorboard_path,
)

NETWORK_INTERFACES = Path("/sys/class/net")
LOOPBACK, DEFAULT_PORT = "127.0.0.1", 7777
LONGEST_VARIABLE = 100_000
"""Characters; Linux takes 131,072 bytes of a process at its start."""


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
        data |= {f"SM_HP_{name.upper()}": str(value) for name, value in self.hyperparameters.items()}
        return {name: value for name, value in data.items() if _may_be_variable(name, value)}


def read_environment(environ: Mapping[str, str] = os.environ) -> Environment:
    """The environment of this container; files and keys that are missing get their usual values.

    Raises UserError for files that do not hold what they should, and for a MASTER_PORT that is no port.
    """
    base = Path(environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    config = base / "input" / "config"
    resources = read_resources(config)
    alone = len(resources.hosts) == 1
    return Environment(
        base=base,
        hyperparameters=read_hyperparameters(config),
        channels=read_channels(config) or _mounted(base),
        hosts=resources.hosts,
        current_host=resources.current_host,
        network_interface=_existing(resources.network_interface),
        num_gpus=count_gpus(environ),
        master_address=environ.get("MASTER_ADDR") or (LOOPBACK if alone else resources.hosts[0]),
        master_port=_port(environ.get("MASTER_PORT")) or (free_port() if alone else DEFAULT_PORT),
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
    return interface if interface and os.path.exists(NETWORK_INTERFACES / interface) else None  # noqa: PTH110


def _tensorboard(base: Path) -> Path | None:
    """The LocalPath of the job's TensorBoardOutputConfig, or its default where there is an output folder."""
    given = read_tensorboard_path(base / "input" / "config")
    if given:
        return Path(given)
    output = base / "output"
    return output / "tensorboard" if output.is_dir() else None


def _port(given: str | None) -> int | None:
    """MASTER_PORT; None without one."""
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and 0 < int(given) < 2**16):
        raise UserError(f"MASTER_PORT is {shorten(given)}: it must be a port, 1 to 65535")
    return int(given)


def _mounted(base: Path) -> dict[str, ChannelConfig]:
    """The channels of a plain `docker run` with mounted folders and no inputdataconfig.json."""
    return {path.name: ChannelConfig() for path in sorted((base / "input" / "data").glob("*")) if path.is_dir()}


def _may_be_variable(name: str, value: str) -> bool:
    """Whether a process can be started with such a variable."""
    try:
        return len(value) < LONGEST_VARIABLE and "=" not in name and b"\0" not in os.fsencode(name + value)
    except UnicodeEncodeError:
        return False


def _config_json(channel: ChannelConfig) -> dict[str, str]:
    content = {"ContentType": channel.content_type} if channel.content_type else {}
    return {"TrainingInputMode": channel.mode, "S3DistributionType": channel.distribution, **content}
