"""Hosts and servers as Docker containers, through the docker command."""

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local_mode.backend import Server, free_ports
from local_mode.errors import LocalModeError
from local_mode.layout import HostLayout
from local_mode.running import LineSink, Running, close_all

LABEL = "local-mode.owner"
PORT_INSIDE, MODELS_INSIDE = 8080, "/opt/ml/models"


def docker(*arguments: str) -> str:
    """The output of a docker command; a LocalModeError with its last line where it fails."""
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LocalModeError(
            "--image needs the docker command, and there is none on PATH: install Docker or leave --image out"
        ) from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise LocalModeError(f"docker {arguments[0]} failed: {reason}")
    return done.stdout.strip()


class HostContainer(Running):
    """A container that is created before it is started, so that there is always a container to stop."""

    def __init__(self, name: str, create: Sequence[str], on_line: LineSink) -> None:
        self._id = docker("create", *create)
        super().__init__(name, ["docker", "start", "--attach", self._id], os.environ, on_line)

    def terminate(self) -> None:
        for _ in range(25):  # between `create` and the first instruction there is nothing to signal yet
            if self.poll() is not None or self._send("TERM"):
                return
            time.sleep(0.2)

    def kill(self) -> None:
        self._send("KILL")

    def close(self) -> None:
        try:
            docker("rm", "--force", "--volumes", self._id)
        finally:
            super().close()

    def _send(self, signal_name: str) -> bool:
        try:
            docker("kill", "--signal", signal_name, self._id)
        except LocalModeError:
            return False
        return True


class ContainerBackend:
    """Runs `docker run IMAGE train` and `docker run IMAGE serve`, each job in a network of its own.

    owner: a label of all that it makes, by which `end_left` finds what outlived a kill.
    """

    network_interface = "eth0"

    def __init__(self, image: str, owner: str | None = None) -> None:
        docker("version", "--format", "{{.Server.Version}}")
        try:
            docker("image", "inspect", image)
        except LocalModeError:
            raise LocalModeError(f"there is no image {image!r} here: build it with `make image`, or pull it") from None
        self._image = image
        self._labels = [] if owner is None else ["--label", f"{LABEL}={owner}"]
        self._networks: list[str] = []

    def start_training(
        self, layouts: Sequence[HostLayout], environment: Mapping[str, str], sink: Callable[[str], LineSink]
    ) -> list[Running]:
        network = f"local-mode-{uuid.uuid4().hex[:12]}"
        docker("network", "create", *self._labels, network)
        self._networks.append(network)
        hosts: list[Running] = []
        try:
            for layout in layouts:
                options = ["--network", network, "--network-alias", layout.name, "--hostname", layout.name]
                options += [*self._labels, *_mounts(layout), *_variables(environment), self._image, "train"]
                hosts.append(HostContainer(layout.name, options, sink(layout.name)))
        except BaseException:
            close_all(hosts)
            raise
        return hosts

    def start_server(self, variant: str, base: Path, environment: Mapping[str, str], on_line: LineSink) -> Server:
        port = free_ports(1)
        options = [
            *self._labels,
            "--publish",
            f"127.0.0.1:{port}:{PORT_INSIDE}",
            "--volume",
            f"{base / 'model'}:/opt/ml/model:ro",
        ]
        if (base / "models").is_dir():
            options += ["--volume", f"{base / 'models'}:{MODELS_INSIDE}:ro"]
        options += [*_variables({"MODEL_VARIANT": variant, **environment}), self._image, "serve"]
        return Server(HostContainer(variant, options, on_line), f"http://127.0.0.1:{port}", MODELS_INSIDE)

    def reclaim(self, folder: Path) -> None:
        if os.getuid() != 0:  # the containers ran as root, as on SageMaker
            command = ["--entrypoint", "chmod", self._image, "-R", "a+rwX", "/delete"]
            docker("run", "--rm", "--volume", f"{folder}:/delete", *command)

    def close(self) -> None:
        while self._networks:
            docker("network", "rm", self._networks.pop())


def end_left(owner: str) -> None:
    """Removes the containers and networks that an owner's earlier process left."""
    mine = f"label={LABEL}={owner}"
    containers = docker("ps", "--all", "--quiet", "--filter", mine).split()
    if containers:
        docker("rm", "--force", "--volumes", *containers)
    networks = docker("network", "ls", "--quiet", "--filter", mine).split()
    if networks:
        docker("network", "rm", *networks)


def _mounts(layout: HostLayout) -> list[str]:
    mounts = [f"{layout.base}:/opt/ml"]
    mounts += [f"{source}:/opt/ml/input/data/{name}:ro" for name, source in layout.channels.items()]
    if layout.checkpoints is not None:
        mounts.append(f"{layout.checkpoints}:/opt/ml/checkpoints")
    return [argument for mount in mounts for argument in ("--volume", mount)]


def _variables(environment: Mapping[str, str]) -> list[str]:
    return [argument for name, value in environment.items() for argument in ("--env", f"{name}={value}")]
