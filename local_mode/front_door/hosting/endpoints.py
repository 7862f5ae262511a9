"""Endpoints: a server for each instance of each variant, replaced without a gap, started again where it dies."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from local_mode.backend import Backend
from local_mode.errors import LocalModeError
from local_mode.front_door.documents import Documents
from local_mode.front_door.hosting.configurations import (
    PRODUCTION,
    SHADOW,
    Configurations,
    all_variants,
    described,
    retained,
)
from local_mode.front_door.hosting.deployments import Deployment, deployment_of
from local_mode.front_door.hosting.fleets import Fleet, Member, Servers, group_of, members_of
from local_mode.front_door.hosting.standing import Side, Standings
from local_mode.front_door.limits import check_room
from local_mode.front_door.resources import Document, now, refuse_not_honoured
from local_mode.front_door.runtime.invocations import Runtime
from local_mode.front_door.services.cloudwatch import CloudWatch
from local_mode.front_door.services.logs import Logs
from local_mode.front_door.services.objects import Objects
from local_mode.front_door.shapes import invalid
from local_mode.front_door.store import Store

KIND = "endpoint"
LOOK_SECONDS = 0.2
UPDATE = (
    "EndpointName", "EndpointConfigName", "RetainAllVariantProperties", "ExcludeRetainedVariantProperties",
    "RetainDeploymentConfig", "DeploymentConfig",
)  # fmt: skip
CHANGED = ("VariantName", "DesiredWeight", "DesiredInstanceCount")


class Endpoints:
    """The endpoints of this machine. A change of an endpoint runs in a thread of its own, one at a time."""

    def __init__(
        self,
        store: Store,
        configurations: Configurations,
        objects: Objects,
        logs: Logs,
        cloudwatch: CloudWatch,
        runtime: Runtime,
        backend: Callable[[], Backend],
        scratch: Path,
    ) -> None:
        self._configurations, self._cloudwatch = configurations, cloudwatch
        self._documents = Documents(store, KIND, "endpoint", "EndpointName", "EndpointArn")
        self._lock, self._closing = threading.RLock(), threading.Event()
        self._servers = Servers(objects, logs, backend(), scratch, self._closing)
        self._threads: list[threading.Thread] = []
        self._beginning = threading.Lock()  # Of its own: who holds another may begin a thread.
        self._standings = Standings(runtime, self._servers, logs, self._begin, self._closing)
        for document in self._documents.all():
            self._come_back(document["EndpointName"], document)

    @property
    def operations(self) -> Mapping[str, Callable[[Document], Document]]:
        """What is answered here."""
        return {
            "CreateEndpoint": self.create,
            "DescribeEndpoint": self._documents.describe,
            "ListEndpoints": lambda request: self._documents.list("Endpoints", request),
            "UpdateEndpoint": self.update,
            "UpdateEndpointWeightsAndCapacities": self.update_weights,
            "DeleteEndpoint": self.delete,
        }

    def create(self, request: Document) -> Document:
        """Begins an endpoint; its servers start in a thread."""
        name = request["EndpointName"]
        refuse_not_honoured(request, ("EndpointName", "EndpointConfigName", "Tags"))
        config = self._configurations.snapshot(request["EndpointConfigName"])
        _check_room(all_variants(config))
        with self._lock:
            answer = self._documents.create(
                request, EndpointStatus="Creating", Config=config, **{PRODUCTION: [], SHADOW: []}
            )
        self._begin(name, lambda: self._bring_up(name, config))
        return answer

    def update(self, request: Document) -> Document:
        """Begins to replace an endpoint's servers by another configuration's: blue/green, at once or in steps."""
        name = request["EndpointName"]
        refuse_not_honoured(request, UPDATE)
        with self._lock:
            document = self._in_service(name)
            config = self._configurations.snapshot(request["EndpointConfigName"])
            if request.get("RetainAllVariantProperties"):
                excluded = {
                    each["VariantPropertyType"] for each in request.get("ExcludeRetainedVariantProperties") or []
                }
                config = retained(config, document, excluded)
            _check_room(all_variants(config))
            asked = request.get("DeploymentConfig")
            if asked is None and request.get("RetainDeploymentConfig"):
                asked = document.get("LastDeploymentConfig")
            deployment = deployment_of(asked, _instances(config))
            self._check_alarms(deployment)
            pending = {"EndpointConfigName": config["EndpointConfigName"], "StartTime": now(), **described(config)}
            self._set(name, EndpointStatus="Updating", PendingDeploymentSummary=pending, LastDeploymentConfig=asked)
            self._standings.change(name)
        self._begin(name, lambda: self._replace(name, config, deployment))
        return {"EndpointArn": document["EndpointArn"]}

    def update_weights(self, request: Document) -> Document:
        """Begins to change weights and numbers of instances; a variant that does not exist changes none of them."""
        name = request["EndpointName"]
        with self._lock:
            document = self._in_service(name)
            known = {variant["VariantName"]: variant for variant in all_variants(document)}
            for change in request["DesiredWeightsAndCapacities"]:
                refuse_not_honoured(change, CHANGED, f"variant {change['VariantName']}: ")
                if change["VariantName"] not in known:
                    raise invalid(
                        f'The variant name(s) "{change["VariantName"]}" is/are not present within endpoint '
                        f'configuration "{document["EndpointConfigName"]}".'
                    )
            more = [
                max(0, (change.get("DesiredInstanceCount") or 0) - known[change["VariantName"]]["CurrentInstanceCount"])
                for change in request["DesiredWeightsAndCapacities"]
            ]
            check_room(sum(more), "servers for endpoints")
            self._set(name, EndpointStatus="Updating")
            self._standings.change(name)
        changes = {change["VariantName"]: change for change in request["DesiredWeightsAndCapacities"]}
        self._begin(name, lambda: self._rescale(name, changes))
        return {"EndpointArn": document["EndpointArn"]}

    def delete(self, request: Document) -> Document:
        """Begins to take an endpoint down: requests are refused from now on, those under way are answered."""
        name = request["EndpointName"]
        with self._lock:
            document = self._documents.get(name)
            if document["EndpointStatus"] in ("Creating", "Updating", "Deleting"):
                raise invalid(
                    f"Cannot delete endpoint in status {document['EndpointStatus']}: wait until it is InService"
                )
            self._set(name, EndpointStatus="Deleting")
            members = self._standings.take_out(name)
        self._begin(name, lambda: self._take_down(name, members))
        return {}

    def close(self) -> None:
        """Ends all servers, and returns when none is left; the endpoints come back at the next start."""
        with self._beginning:
            self._closing.set()
        for thread in self._threads:
            thread.join()
        self._servers.end(self._standings.close())

    def _begin(self, name: str, work: Callable[[], None]) -> None:
        """Runs work of an endpoint in a thread, unless all is being closed."""
        with self._beginning:
            if self._closing.is_set():
                return
            thread = threading.Thread(target=work, name=f"endpoint {name}", daemon=True)
            thread.start()
            self._threads = [each for each in self._threads if each.is_alive()] + [thread]

    def _come_back(self, name: str, document: Document) -> None:
        """What a start makes of an endpoint that the process before this one had."""
        if document["EndpointStatus"] == "Deleting":
            self._documents.drop(name)
        elif document["EndpointStatus"] != "Failed":
            config = retained(document["Config"], document, set())
            self._set(name, EndpointStatus="Creating")
            self._begin(name, lambda: self._bring_up(name, config))

    def _bring_up(self, name: str, config: Document) -> None:
        try:
            fleet = self._servers.start(group_of(name), all_variants(config))
        except Exception as error:  # The thread is the endpoint's: whatever ends it is its failure.
            if not self._closing.is_set():
                self._set(name, EndpointStatus="Failed", FailureReason=str(error)[:1024])
            return
        self._serve(name, Side(config, fleet))

    def _replace(self, name: str, config: Document, deployment: Deployment) -> None:
        old, fleet = self._standings.side(name), Fleet()
        try:
            fleet = self._servers.start(group_of(name), all_variants(config))
            self._move(name, Side(config, fleet), deployment)
        except Exception as error:  # The old fleet serves on.
            self._roll_back(name, f"The update was rolled back: {error}")
            self._servers.end(members_of(fleet))
            return
        self._serve(name, Side(config, fleet))
        self._servers.end([] if old is None else members_of(old.fleet))

    def _move(self, name: str, side: Side, deployment: Deployment) -> None:
        """Moves the traffic of an endpoint step by step; LocalModeError where an alarm is on, or all is closed."""
        for share, seconds in deployment.steps:
            self._standings.move(name, side, share)
            until = time.monotonic() + seconds
            while True:
                ringing = [alarm for alarm in deployment.alarms if self._cloudwatch.alarm_state(alarm) == "ALARM"]
                if ringing:
                    raise LocalModeError(f"the alarm {ringing[0]} is on, with {share:.0%} of the traffic moved")
                left = until - time.monotonic()
                if left <= 0:
                    break
                if self._closing.wait(min(left, LOOK_SECONDS)):
                    raise LocalModeError("the front door was stopped")

    def _check_alarms(self, deployment: Deployment) -> None:
        for alarm in deployment.alarms:
            if self._cloudwatch.alarm_state(alarm) is None:
                raise invalid(f"AutoRollbackConfiguration: CloudWatch has no alarm {alarm}")

    def _rescale(self, name: str, changes: Mapping[str, Document]) -> None:
        document, old = self._documents.get(name), self._standings.side(name)
        config, fleet = retained(document["Config"], document, set()), Fleet() if old is None else old.fleet
        added, gone = list[Member](), list[Member]()
        try:
            for variant in all_variants(config):
                change = changes.get(variant["VariantName"], {})
                if change.get("DesiredWeight") is not None:
                    variant["InitialVariantWeight"] = float(change["DesiredWeight"])
                wanted = change.get("DesiredInstanceCount")
                if wanted is None:
                    continue
                members = fleet[variant["VariantName"]]
                more = {**variant, "InitialInstanceCount": max(0, wanted - len(members))}
                new = self._servers.start(group_of(name), [more])[variant["VariantName"]]
                fleet[variant["VariantName"]] = [*members[:wanted], *new]
                added, gone = [*added, *new], [*gone, *members[wanted:]]
                variant["InitialInstanceCount"] = wanted
        except Exception as error:  # What is up serves on.
            self._roll_back(name, f"The change was rolled back: {error}")
            self._servers.end(added)
            return
        self._serve(name, Side(config, fleet))
        self._servers.end(gone)

    def _take_down(self, name: str, members: Sequence[Member]) -> None:
        self._servers.end(members)
        self._documents.drop(name)

    def _roll_back(self, name: str, reason: str) -> None:
        with self._lock:
            self._standings.take_back(name)
            self._set(name, EndpointStatus="InService", FailureReason=reason[:1024], PendingDeploymentSummary=None)

    def _serve(self, name: str, side: Side) -> None:
        """Sends requests to a fleet from now on."""
        with self._lock:
            self._standings.serve(name, side)
            self._set(
                name,
                EndpointStatus="InService",
                EndpointConfigName=side.config["EndpointConfigName"],
                Config=side.config,
                FailureReason=None,
                PendingDeploymentSummary=None,
                **described(side.config),
            )

    def _set(self, name: str, **members: Any) -> None:
        self._documents.change(name, **members)

    def _in_service(self, name: str) -> Document:
        document = self._documents.get(name)
        if document["EndpointStatus"] != "InService":
            raise invalid(f'Cannot update in-progress endpoint "{document["EndpointArn"]}".')
        return document


def _check_room(variants: Sequence[Document]) -> None:
    """Raises Fault where the machine has no room for the servers of variants."""
    check_room(sum(variant["InitialInstanceCount"] for variant in variants), "servers for endpoints")


def _instances(config: Document) -> int:
    """The instances of the production variants of a configuration."""
    return sum(variant["InitialInstanceCount"] for variant in config[PRODUCTION])
