"""Hosts and servers as plain processes of this machine."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from local_mode import descendants
from local_mode.backend import Server, free_ports
from local_mode.errors import LocalModeError
from local_mode.layout import HostLayout
from local_mode.running import POLL_SECONDS, LineSink, Running, close_all

CONTAINER = Path(__file__).parent.parent / "container"


class HostProcess(Running):
    """A host or server whose descendants are known by the SAGEMAKER_BASE_DIR that they inherit.

    A container's death takes all of its processes along; worker processes that moved to a session of
    their own would outlive a plain kill.
    """

    def __init__(
        self, name: str, executable: Path, base: Path, environment: Mapping[str, str], on_line: LineSink
    ) -> None:
        self._base = bytes(base)
        super().__init__(name, [str(executable)], environment, on_line)

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        for pid in self._descendants():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        deadline = time.monotonic() + 10
        while self._descendants() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            self.kill()
        super().close()

    def _descendants(self) -> list[int]:
        return descendants.living(lambda base: base == self._base)


class ProcessBackend:
    """Runs `train` and `serve` of a folder, by default the repository's container/."""

    network_interface = "lo"

    def __init__(self, executables: Path = CONTAINER) -> None:
        self._executables = executables

    def start_training(
        self, layouts: Sequence[HostLayout], environment: Mapping[str, str], sink: Callable[[str], LineSink]
    ) -> list[Running]:
        shared = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_ports(2)),
            "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // len(layouts))),
            **environment,
        }
        hosts: list[Running] = []
        try:
            for layout in layouts:
                _link_mounts(layout)
                hosts.append(self._start("train", layout.name, layout.base, shared, sink(layout.name)))
        except BaseException:
            close_all(hosts)
            raise
        return hosts

    def start_server(self, variant: str, base: Path, environment: Mapping[str, str], on_line: LineSink) -> Server:
        port = free_ports(1)
        own = {"MODEL_VARIANT": variant, "SAGEMAKER_BIND_TO_PORT": str(port), **environment}
        return Server(
            self._start("serve", variant, base, own, on_line), f"http://127.0.0.1:{port}", str(base / "models")
        )

    def reclaim(self, folder: Path) -> None:
        pass

    def close(self) -> None:
        pass

    def _start(self, word: str, name: str, base: Path, extra: Mapping[str, str], on_line: LineSink) -> HostProcess:
        executable = (self._executables / word).resolve()
        if not os.access(executable, os.X_OK):
            raise LocalModeError(
                f"{str(executable)!r} is not an executable file: the container's {word!r} belongs there"
            )
        environment = os.environ | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            **extra,
            "SAGEMAKER_BASE_DIR": str(base),  # By which the processes are found: no job may change it.
        }
        return HostProcess(name, executable, base, environment, on_line)


def _link_mounts(layout: HostLayout) -> None:
    for name, source in layout.channels.items():
        (layout.base / "input" / "data" / name).symlink_to(source, target_is_directory=True)
    if layout.checkpoints is not None:
        (layout.base / "checkpoints").symlink_to(layout.checkpoints, target_is_directory=True)
