"""An endpoint: a server for each variant, and the router before them."""

import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import urllib3

from local_mode.archives import unpack
from local_mode.backend import Backend, Server
from local_mode.errors import LocalModeError
from local_mode.front_door.runtime.routes import Instance, Route, VariantRoute
from local_mode.router import Router, serving
from local_mode.running import POLL_SECONDS, LineSink, close_all, prefixed, print_line, stop_all
from local_mode.stopping import StopRequest
from local_mode.variants import Variant, check_name, check_variants

HEALTHY_SECONDS = 480.0  # SageMaker's own time for the first good /ping
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class EndpointSettings:
    """Port 0 takes a free one; `environment` goes to every variant's container."""

    name: str
    variants: Sequence[Variant]
    port: int = 0
    seed: int | None = None
    healthy_seconds: float = HEALTHY_SECONDS
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Endpoint:
    """A running endpoint; `url` is boto3's endpoint_url."""

    name: str
    url: str
    servers: Sequence[Server]

    def raise_if_server_died(self) -> None:
        for server in self.servers:
            code = server.program.poll()
            if code is not None:
                last = "\n  ".join(server.program.last_lines) or "(it printed nothing)"
                raise LocalModeError(
                    f"the server of variant {server.program.name!r} ended with exit code {code}. "
                    f"Its last lines:\n  {last}"
                )


@contextmanager
def running_endpoint(
    settings: EndpointSettings, backend: Backend, stop: StopRequest, on_line: LineSink = print_line
) -> Iterator[Endpoint]:
    """Within the context the endpoint answers; afterwards none of its processes and files remain.

    Raises LocalModeError for a bad archive, a taken port or a server that dies or never becomes healthy,
    and Stopped if the user gives up while it starts.
    """
    check_name("endpoint", settings.name)
    check_variants(settings.variants)
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(settings.port))
        root = stack.enter_context(tempfile.TemporaryDirectory(prefix="local-mode-"))
        bases = [_unpacked(variant, Path(root).resolve()) for variant in settings.variants]
        servers = stack.enter_context(_running_servers(settings, bases, backend, stop, on_line))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        endpoint = Endpoint(settings.name, url, servers)
        _wait_until_healthy(endpoint, settings.healthy_seconds, stop)
        stack.enter_context(serving(Router(settings.name, _route(settings, servers), settings.seed), listener))
        yield endpoint


def _unpacked(variant: Variant, root: Path) -> Path:
    base = root / variant.name
    (base / "model").mkdir(parents=True)
    unpack(variant.archive, base / "model")
    return base


def _route(settings: EndpointSettings, servers: Sequence[Server]) -> Route:
    pairs = zip(settings.variants, servers, strict=True)
    return Route([VariantRoute(variant.name, variant.weight, [Instance(server.url)]) for variant, server in pairs])


@contextmanager
def _running_servers(
    settings: EndpointSettings,
    bases: Sequence[Path],
    backend: Backend,
    stop: StopRequest,
    on_line: LineSink,
) -> Iterator[list[Server]]:
    servers: list[Server] = []
    try:
        for base in bases:
            sink = prefixed(base.name, on_line)
            servers.append(backend.start_server(base.name, base, settings.environment, sink))
        yield servers
    finally:
        programs = [server.program for server in servers]
        stop_all(programs, STOP_SECONDS, stop)
        close_all(programs)
        if servers:
            backend.reclaim(bases[0].parent)


def _wait_until_healthy(endpoint: Endpoint, seconds: float, stop: StopRequest) -> None:
    deadline = time.monotonic() + seconds
    with urllib3.PoolManager(retries=False, timeout=2.0) as pool:
        for server in endpoint.servers:
            while not is_healthy(pool, server):
                stop.raise_if_requested()
                endpoint.raise_if_server_died()
                if time.monotonic() > deadline:
                    raise LocalModeError(
                        f"the server of variant {server.program.name!r} did not answer /ping with 200 "
                        f"within {seconds:g} seconds: look at its lines above"
                    )
                time.sleep(POLL_SECONDS)


def is_healthy(pool: urllib3.PoolManager, server: Server) -> bool:
    try:
        return pool.request("GET", f"{server.url}/ping").status == 200
    except urllib3.exceptions.HTTPError:
        return False


@contextmanager
def _listen(port: int) -> Iterator[socket.socket]:
    # Bound before any server starts, so that a taken port is known at once and not after a minute.
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise LocalModeError(
                f"cannot listen on port {port}: {error}; choose another --port, or 0 for any"
            ) from error
        listener.listen(128)
        yield listener
