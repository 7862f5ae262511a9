"""What processes and Docker containers have in common, as seen by training and endpoint."""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local_mode.layout import HostLayout
from local_mode.running import LineSink, Running


@dataclass(frozen=True)
class Server:
    """One variant's server, the address under which this machine reaches it, and where it sees its many models."""

    program: Running
    url: str
    models: str


class Backend(Protocol):
    """Starts the container's two executables; everything it starts is a Running that its caller closes."""

    network_interface: str

    def start_training(
        self, layouts: Sequence[HostLayout], environment: Mapping[str, str], sink: Callable[[str], LineSink]
    ) -> list[Running]: ...

    def start_server(self, variant: str, base: Path, environment: Mapping[str, str], on_line: LineSink) -> Server: ...

    def reclaim(self, folder: Path) -> None:
        """Lets this user read and delete what the hosts wrote under `folder`."""

    def close(self) -> None: ...


def free_ports(count: int) -> int:
    """The first of `count` consecutive ports that are free on the loopback now."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if all(_is_free(port + offset) for offset in range(1, count)):
                return port


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
        return True
