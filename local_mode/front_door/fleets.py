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
from local_mode.front_door.logs import Logs
from local_mode.front_door.resources import Document, bucket_and_key
from local_mode.front_door.runtime import Instance, Route, VariantRoute
from local_mode.front_door.shapes import invalid
from local_mode.front_door.storage import Objects
from local_mode.running import close_all, stop_all

HEALTHY_SECONDS = 480.0  # SageMaker's own time for the first good /ping
DRAIN_SECONDS = 65.0  # a request has 60
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
    """Starts and ends the servers of all endpoints; closing: set when none is waited for any more."""

    def __init__(self, objects: Objects, logs: Logs, backend: Backend, scratch: Path, closing: threading.Event) -> None:
        self._objects, self._logs, self._backend = objects, logs, backend
        self._scratch, self._closing = scratch, closing

    def start(self, endpoint: str, variants: Sequence[Document]) -> Fleet:
        """Servers of variants, each of which has answered /ping; all of them, or LocalModeError and none."""
        fleet: Fleet = {variant["VariantName"]: [] for variant in variants}
        try:
            for variant in variants:
                for _ in range(variant["InitialInstanceCount"]):
                    fleet[variant["VariantName"]].append(self._start_server(endpoint, variant))
            for variant in variants:
                for member in fleet[variant["VariantName"]]:
                    self._await_health(member, variant)
        except BaseException:
            self.end([member for members in fleet.values() for member in members])
            raise
        return fleet

    def _start_server(self, endpoint: str, variant: Document) -> Member:
        container = variant["Model"].get("PrimaryContainer") or variant["Model"]["Containers"][0]
        self._scratch.mkdir(parents=True, exist_ok=True)
        base = Path(tempfile.mkdtemp(prefix="server-", dir=self._scratch)).resolve() / variant["VariantName"]
        try:
            (base / "model").mkdir(parents=True)
            uri = archive_of(container)
            if uri is not None:
                bucket, key = bucket_and_key(uri, "ModelDataUrl")
                archive = self._objects.path(bucket, key)
                if archive is None:
                    raise LocalModeError(f"Could not find model data at {uri}: there is no such object")
                unpack(archive, base / "model")
            stream = f"{variant['VariantName']}/i-{base.parent.name.removeprefix('server-')}"
            environment = {name: str(value) for name, value in (container.get("Environment") or {}).items()}
            server = self._backend.start_server(
                variant["VariantName"],
                base,
                environment,
                lambda line: self._logs.write(f"/aws/sagemaker/Endpoints/{endpoint}", stream, line),
            )
        except BaseException:
            shutil.rmtree(base.parent, ignore_errors=True)
            raise
        return Member(server, Instance(server.url), base.parent)

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
        """Ends servers once the requests that they have are answered."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while any(member.instance.waiting for member in members) and time.monotonic() < deadline:
            time.sleep(0.02)
        programs = [member.server.program for member in members]
        stop_all(programs, STOP_SECONDS)
        close_all(programs)
        for member in members:
            self._backend.reclaim(member.base)
            shutil.rmtree(member.base, ignore_errors=True)


def archive_of(container: Document) -> str | None:
    """Where a container's model.tar.gz is; None where it has none."""
    source = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if source is not None and (source.get("S3DataType") != "S3Object" or source.get("CompressionType") != "Gzip"):
        raise invalid(
            "ModelDataSource: S3DataType S3Object with CompressionType Gzip alone is honoured on this machine"
        )
    uri = source["S3Uri"] if source is not None else container.get("ModelDataUrl")
    if uri is not None:
        bucket_and_key(uri, "ModelDataUrl")
    return uri


def take_dead(fleet: Fleet) -> list[Member]:
    """The servers that have ended, which are no longer in the fleet."""
    dead = [member for members in fleet.values() for member in members if member.server.program.poll() is not None]
    for members in fleet.values():
        members[:] = [member for member in members if member not in dead]
    return dead


def route_of(variants: Sequence[Document], fleet: Fleet) -> Route:
    return Route(
        [
            VariantRoute(
                variant["VariantName"],
                float(variant["InitialVariantWeight"]),
                [member.instance for member in fleet[variant["VariantName"]]],
            )
            for variant in variants
        ]
    )
