"""The servers of an endpoint: started, awaited, drained and ended."""

import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import urllib3

from local_mode.archives import unpack
from local_mode.backend import Backend, Server
from local_mode.endpoint import is_healthy
from local_mode.errors import LocalModeError
from local_mode.front_door.hosting.configurations import PRODUCTION, SHADOW, async_of, capture_of
from local_mode.front_door.hosting.models import archive_of, has_many_models, prefix_of
from local_mode.front_door.resources import Document
from local_mode.front_door.runtime.many_models import ManyModels
from local_mode.front_door.runtime.routes import Instance, Route, VariantRoute
from local_mode.front_door.services.logs import Logs
from local_mode.front_door.services.objects import Objects
from local_mode.running import close_all, stop_all

HEALTHY_SECONDS = 480.0  # SageMaker's own time for the first good /ping
GRACE_SECONDS = 5.0
STOP_SECONDS = 30.0


@dataclass
class Member:
    """A server that is up, and its place in the route."""

    server: Server
    instance: Instance
    base: Path


Fleet = dict[str, list[Member]]
"""The servers of each variant."""


class Servers:
    """Starts and ends servers; closing: set at shutdown, when health checks give up and nothing is waited for."""

    def __init__(self, objects: Objects, logs: Logs, backend: Backend, scratch: Path, closing: threading.Event) -> None:
        self._objects, self._logs, self._backend = objects, logs, backend
        self._scratch, self._closing = scratch, closing

    def start(self, group: str, variants: Sequence[Document]) -> Fleet:
        """Servers of variants, each of which has answered /ping; all of them, or LocalModeError and none.

        group: of logs, which get their lines.
        """
        fleet: Fleet = {variant["VariantName"]: [] for variant in variants}
        try:
            for variant in variants:
                for _ in range(variant["InitialInstanceCount"]):
                    fleet[variant["VariantName"]].append(self._start_server(group, variant))
            for variant in variants:
                for member in fleet[variant["VariantName"]]:
                    self._await_health(member, variant)
        except BaseException:
            self.end(members_of(fleet))
            raise
        return fleet

    def _start_server(self, group: str, variant: Document) -> Member:
        container, name = variant["Container"], variant["VariantName"]
        self._scratch.mkdir(parents=True, exist_ok=True)
        base = Path(tempfile.mkdtemp(prefix="server-", dir=self._scratch)).resolve() / name
        try:
            self._lay_out(container, base)
            stream = f"{name}/i-{base.parent.name.removeprefix('server-')}"
            environment = {key: str(value) for key, value in (container.get("Environment") or {}).items()}
            if has_many_models(container):
                environment = {"SAGEMAKER_MULTI_MODEL": "true", **environment}
            server = self._backend.start_server(
                name,
                base,
                environment,
                lambda line: self._logs.write(group, stream, line),
            )
        except BaseException:
            shutil.rmtree(base.parent, ignore_errors=True)
            raise
        instance = Instance(server.url)
        if has_many_models(container):
            instance.models = ManyModels(self._objects, base / "models", server.models, prefix_of(container))
        return Member(server, instance, base.parent)

    def _lay_out(self, container: Document, base: Path) -> None:
        """The folder of a server: what its archive holds, or room for many models."""
        (base / "model").mkdir(parents=True)
        if has_many_models(container):
            (base / "models").mkdir()
            return
        place = archive_of(container)
        if place is None:
            return
        archive = self._objects.path(*place)
        if archive is None:
            raise LocalModeError(f"Could not find model data at s3://{'/'.join(place)}: there is no such object")
        unpack(archive, base / "model")

    def _await_health(self, member: Member, variant: Document) -> None:
        seconds = variant.get("ContainerStartupHealthCheckTimeoutInSeconds") or HEALTHY_SECONDS
        deadline = time.monotonic() + seconds
        program = member.server.program
        with urllib3.PoolManager(retries=False, timeout=2.0) as pool:
            while not is_healthy(pool, member.server):
                last = "\n".join(list(program.last_lines)[-3:])
                failed = (
                    f"The primary container for production variant {program.name} did not pass the ping health check"
                )
                if program.poll() is not None:
                    raise LocalModeError(f"{failed}: it ended with exit code {program.poll()}. {last}")
                if time.monotonic() > deadline or self._closing.is_set():
                    raise LocalModeError(f"{failed} within {seconds:g} seconds. {last}")
                time.sleep(0.05)

    def end(self, members: Sequence[Member]) -> None:
        """Ends servers once the requests that they have are answered, or their time is over; at shutdown at once."""
        while any(_is_busy(member) for member in members) and not self._closing.is_set():
            time.sleep(0.02)
        programs = [member.server.program for member in members]
        try:
            stop_all(programs, STOP_SECONDS)
            close_all(programs)
            for member in members:
                self._backend.reclaim(member.base)
        except (OSError, LocalModeError) as error:  # Docker has gone, say: the endpoint is no worse for it.
            self._logs.write("/aws/sagemaker/Endpoints", "front-door", f"a server did not end: {error}")
        for member in members:
            shutil.rmtree(member.base, ignore_errors=True)


def _is_busy(member: Member) -> bool:
    """Whether a server has requests that it may still answer."""
    return member.instance.waiting > 0 and time.monotonic() < member.instance.busy_until + GRACE_SECONDS


def members_of(fleet: Fleet) -> list[Member]:
    """All servers of a fleet."""
    return [member for members in fleet.values() for member in members]


def group_of(name: str) -> str:
    """The group of an endpoint's logs."""
    return f"/aws/sagemaker/Endpoints/{name}"


def take_dead(fleet: Fleet) -> list[Member]:
    """The servers that have ended, which are no longer in the fleet."""
    dead = [member for member in members_of(fleet) if member.server.program.poll() is not None]
    for members in fleet.values():
        members[:] = [member for member in members if member not in dead]
    return dead


def route_of(config: Document, fleet: Fleet) -> Route:
    """The route to a fleet; a shadow's share is its weight against that of the production variant."""
    shadow = next((_variant_route(variant, fleet) for variant in config.get(SHADOW) or []), None)
    variants = [_variant_route(variant, fleet) for variant in config[PRODUCTION]]
    share = 0.0
    if shadow is not None and shadow.weight:
        share = min(1.0, shadow.weight / variants[0].weight) if variants[0].weight else 1.0
    return Route(variants, shadow, share, capture_of(config), async_of(config))


def _variant_route(variant: Document, fleet: Fleet) -> VariantRoute:
    name = variant["VariantName"]
    return VariantRoute(
        name,
        float(variant["InitialVariantWeight"]),
        [member.instance for member in fleet[name]],
        has_many_models(variant["Container"]),
    )
