"""Models, endpoint configurations and endpoints: a server for each instance of each variant, replaced without a gap."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from local_mode.backend import Backend
from local_mode.front_door.fleets import Fleet, Member, Servers, archive_of, route_of, take_dead
from local_mode.front_door.logs import Logs
from local_mode.front_door.resources import (
    Document,
    arn,
    exists,
    not_found,
    now,
    page,
    refuse_not_honoured,
)
from local_mode.front_door.runtime import Runtime
from local_mode.front_door.shapes import invalid
from local_mode.front_door.storage import Objects
from local_mode.front_door.store import Store

MODEL, CONFIG, ENDPOINT = "model", "endpoint-config", "endpoint"
WATCH_SECONDS = 0.2
MODEL_MEMBERS = ("ModelName", "PrimaryContainer", "Containers", "ExecutionRoleArn", "Tags", "EnableNetworkIsolation")
CONTAINER = ("Image", "ImageConfig", "ModelDataUrl", "ModelDataSource", "Environment", "Mode", "ContainerHostname")
CONFIG_MEMBERS = ("EndpointConfigName", "ProductionVariants", "Tags", "KmsKeyId", "ExecutionRoleArn")
VARIANT = (
    "VariantName", "ModelName", "InitialInstanceCount", "InstanceType", "InitialVariantWeight", "VolumeSizeInGB",
    "ModelDataDownloadTimeoutInSeconds", "ContainerStartupHealthCheckTimeoutInSeconds", "RoutingConfig",
)  # fmt: skip
UPDATE = ("EndpointName", "EndpointConfigName", "RetainAllVariantProperties", "ExcludeRetainedVariantProperties")
RETAINED = {"DesiredInstanceCount": "InitialInstanceCount", "DesiredWeight": "InitialVariantWeight"}
CHANGED = ("VariantName", "DesiredWeight", "DesiredInstanceCount")


class Hosting:
    """The endpoints of this machine. A change of an endpoint runs in a thread of its own, one at a time."""

    def __init__(
        self,
        store: Store,
        objects: Objects,
        logs: Logs,
        runtime: Runtime,
        backend: Callable[[], Backend],
        scratch: Path,
    ) -> None:
        self._store, self._logs, self._runtime = store, logs, runtime
        self._fleets: dict[str, Fleet] = {}
        self._lock, self._closing = threading.RLock(), threading.Event()
        self._servers = Servers(objects, logs, backend(), scratch, self._closing)
        self._threads: list[threading.Thread] = []
        self._revivals: dict[tuple[str, str], tuple[int, float | None]] = {}
        for name, document in store.all(ENDPOINT).items():
            self._come_back(name, document)
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._watcher.start()

    @property
    def operations(self) -> Mapping[str, Callable[[Document], Document]]:
        """What is answered here."""
        return {
            "CreateModel": self.create_model,
            "DescribeModel": lambda request: self._get(MODEL, "model", request["ModelName"]),
            "ListModels": lambda request: self._list(MODEL, "ModelName", "Models", request),
            "DeleteModel": lambda request: self._delete(MODEL, "model", request["ModelName"]),
            "CreateEndpointConfig": self.create_config,
            "DescribeEndpointConfig": lambda request: self._get(
                CONFIG, "endpoint configuration", request["EndpointConfigName"]
            ),
            "ListEndpointConfigs": lambda request: self._list(CONFIG, "EndpointConfigName", "EndpointConfigs", request),
            "DeleteEndpointConfig": lambda request: self._delete(
                CONFIG, "endpoint configuration", request["EndpointConfigName"]
            ),
            "CreateEndpoint": self.create_endpoint,
            "DescribeEndpoint": lambda request: self._get(ENDPOINT, "endpoint", request["EndpointName"]),
            "ListEndpoints": lambda request: self._list(ENDPOINT, "EndpointName", "Endpoints", request),
            "UpdateEndpoint": self.update_endpoint,
            "UpdateEndpointWeightsAndCapacities": self.update_weights,
            "DeleteEndpoint": self.delete_endpoint,
        }

    def create_model(self, request: Document) -> Document:
        """Keeps a model: one container, whose archive is in S3."""
        refuse_not_honoured(request, MODEL_MEMBERS)
        containers = request.get("Containers") or [request.get("PrimaryContainer")]
        if len(containers) != 1 or containers[0] is None:
            raise invalid("give one container, as PrimaryContainer: pipelines of containers are not honoured here")
        refuse_not_honoured(containers[0], CONTAINER, "PrimaryContainer.")
        if containers[0].get("Mode", "SingleModel") != "SingleModel":
            raise invalid("PrimaryContainer.Mode MultiModel is not honoured on this machine yet: give SingleModel")
        archive_of(containers[0])
        return self._create(MODEL, "model", request["ModelName"], request, "ModelArn")

    def create_config(self, request: Document) -> Document:
        """Keeps a configuration: variants, each of a model that is there."""
        refuse_not_honoured(request, CONFIG_MEMBERS)
        names = [variant["VariantName"] for variant in request["ProductionVariants"]]
        if len(set(names)) < len(names):
            raise invalid(f"variant names must differ, and got {', '.join(names)}")
        variants = []
        for variant in request["ProductionVariants"]:
            refuse_not_honoured(variant, VARIANT, f"variant {variant['VariantName']}: ")
            if "ModelName" not in variant or "InstanceType" not in variant:
                raise invalid(f"variant {variant['VariantName']} lacks its ModelName or its InstanceType")
            self._get(MODEL, "model", variant["ModelName"])
            variants.append({"InitialInstanceCount": 1, "InitialVariantWeight": 1.0, **variant})
        document = {**request, "ProductionVariants": variants}
        name = request["EndpointConfigName"]
        return self._create(CONFIG, "endpoint configuration", name, document, "EndpointConfigArn")

    def create_endpoint(self, request: Document) -> Document:
        """Begins an endpoint; its servers start in a thread."""
        name = request["EndpointName"]
        refuse_not_honoured(request, ("EndpointName", "EndpointConfigName", "Tags"))
        config = self._snapshot(request["EndpointConfigName"])
        with self._lock:
            document = {**request, "EndpointStatus": "Creating", "Config": config, "ProductionVariants": []}
            answer = self._create(ENDPOINT, "endpoint", name, document, "EndpointArn")
        self._begin(name, lambda: self._bring_up(name, config))
        return answer

    def update_endpoint(self, request: Document) -> Document:
        """Begins to replace an endpoint's servers by those of another configuration: blue/green, all at once."""
        name = request["EndpointName"]
        refuse_not_honoured(request, UPDATE)
        with self._lock:
            document = self._in_service(name)
            config = self._snapshot(request["EndpointConfigName"])
            if request.get("RetainAllVariantProperties"):
                excluded = {
                    each["VariantPropertyType"] for each in request.get("ExcludeRetainedVariantProperties") or []
                }
                config = _retained(config, document["ProductionVariants"], excluded)
            self._set(name, EndpointStatus="Updating")
        self._begin(name, lambda: self._replace(name, config))
        return {"EndpointArn": document["EndpointArn"]}

    def update_weights(self, request: Document) -> Document:
        """Begins to change weights and numbers of instances; a variant that does not exist changes none of them."""
        name = request["EndpointName"]
        with self._lock:
            document = self._in_service(name)
            known = {variant["VariantName"] for variant in document["ProductionVariants"]}
            for change in request["DesiredWeightsAndCapacities"]:
                refuse_not_honoured(change, CHANGED, f"variant {change['VariantName']}: ")
                if change["VariantName"] not in known:
                    raise invalid(
                        f'The variant name(s) "{change["VariantName"]}" is/are not present within endpoint '
                        f'configuration "{document["EndpointConfigName"]}".'
                    )
            self._set(name, EndpointStatus="Updating")
        changes = {change["VariantName"]: change for change in request["DesiredWeightsAndCapacities"]}
        self._begin(name, lambda: self._rescale(name, changes))
        return {"EndpointArn": document["EndpointArn"]}

    def delete_endpoint(self, request: Document) -> Document:
        """Begins to take an endpoint down: requests are refused from now on, those under way are answered."""
        name = request["EndpointName"]
        with self._lock:
            document = self._get(ENDPOINT, "endpoint", name)
            if document["EndpointStatus"] in ("Creating", "Updating", "Deleting"):
                raise invalid(
                    f"Cannot delete endpoint in status {document['EndpointStatus']}: wait until it is InService"
                )
            self._set(name, EndpointStatus="Deleting")
            self._runtime.routes.pop(name, None)
        self._begin(name, lambda: self._take_down(name))
        return {}

    def close(self) -> None:
        """Ends all servers, and returns when none is left; the endpoints come back at the next start."""
        self._closing.set()
        self._watcher.join()
        for thread in self._threads:
            thread.join()
        for name in list(self._fleets):
            self._runtime.routes.pop(name, None)
            self._servers.end([member for members in self._fleets.pop(name).values() for member in members])

    # Threads of an endpoint.

    def _begin(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=f"endpoint {name}", daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()

    def _come_back(self, name: str, document: Document) -> None:
        """What a start makes of an endpoint that the process before this one had."""
        if document["EndpointStatus"] == "Deleting":
            self._store.drop(ENDPOINT, name)
        elif document["EndpointStatus"] != "Failed":
            config = _with_current(document["Config"], document["ProductionVariants"])
            self._set(name, EndpointStatus="Creating")
            self._begin(name, lambda: self._bring_up(name, config))

    def _bring_up(self, name: str, config: Document) -> None:
        try:
            fleet = self._servers.start(name, config["ProductionVariants"])
        except Exception as error:  # The thread is the endpoint's: whatever ends it is its failure.
            if not self._closing.is_set():
                self._set(name, EndpointStatus="Failed", FailureReason=str(error)[:1024])
            return
        self._serve(name, config, fleet)

    def _replace(self, name: str, config: Document) -> None:
        try:
            fleet = self._servers.start(name, config["ProductionVariants"])
        except Exception as error:  # The old fleet serves on.
            self._set(name, EndpointStatus="InService", FailureReason=f"The update was rolled back: {error}"[:1024])
            return
        old = self._fleets.get(name, {})
        self._serve(name, config, fleet)
        self._servers.end([member for members in old.values() for member in members])

    def _rescale(self, name: str, changes: Mapping[str, Document]) -> None:
        document = self._get(ENDPOINT, "endpoint", name)
        config, fleet, gone = document["Config"], dict(self._fleets[name]), list[Member]()
        variants = _with_current(config, document["ProductionVariants"])["ProductionVariants"]
        try:
            for variant in variants:
                change = changes.get(variant["VariantName"], {})
                if change.get("DesiredWeight") is not None:
                    variant["InitialVariantWeight"] = float(change["DesiredWeight"])
                wanted = change.get("DesiredInstanceCount")
                if wanted is None:
                    continue
                members = fleet[variant["VariantName"]]
                more = {**variant, "InitialInstanceCount": max(0, wanted - len(members))}
                added = self._servers.start(name, [more])[variant["VariantName"]]
                fleet[variant["VariantName"]] = [*members[:wanted], *added]
                gone += members[wanted:]
                variant["InitialInstanceCount"] = wanted
        except Exception as error:  # What is up serves on.
            self._set(name, EndpointStatus="InService", FailureReason=f"The change was rolled back: {error}"[:1024])
            return
        self._serve(name, {**config, "ProductionVariants": variants}, fleet)
        self._servers.end(gone)

    def _take_down(self, name: str) -> None:
        fleet = self._fleets.pop(name, {})
        self._servers.end([member for members in fleet.values() for member in members])
        self._store.drop(ENDPOINT, name)

    def _serve(self, name: str, config: Document, fleet: Fleet) -> None:
        """Sends requests to a fleet from now on."""
        with self._lock:
            self._fleets[name] = fleet
            self._runtime.routes[name] = route_of(config["ProductionVariants"], fleet)
            self._set(
                name,
                EndpointStatus="InService",
                EndpointConfigName=config["EndpointConfigName"],
                Config=config,
                ProductionVariants=[_summary(variant) for variant in config["ProductionVariants"]],
                FailureReason=None,
            )

    # What dies.

    def _watch(self) -> None:
        """Starts servers in place of those that died; until they are up, their variant does with the others."""
        while not self._closing.wait(WATCH_SECONDS):
            for name in list(self._fleets):
                with self._lock:
                    document, fleet = self._store.get(ENDPOINT, name), self._fleets.get(name)
                    if document is None or fleet is None or document["EndpointStatus"] != "InService":
                        continue
                    variants = document["Config"]["ProductionVariants"]
                    dead = take_dead(fleet)
                    if dead:
                        self._runtime.routes[name] = route_of(variants, fleet)
                    for variant in variants:
                        missing = variant["InitialInstanceCount"] - len(fleet[variant["VariantName"]])
                        if missing > 0:
                            self._begin_revival(name, fleet, {**variant, "InitialInstanceCount": missing})
                self._servers.end(dead)

    def _begin_revival(self, name: str, fleet: Fleet, variant: Document) -> None:
        key = (name, variant["VariantName"])
        failures, after = self._revivals.get(key, (0, 0.0))
        if after is None or time.monotonic() < after:
            return
        self._revivals[key] = (failures, None)  # One at a time.
        self._begin(name, lambda: self._revive(name, fleet, variant, failures))

    def _revive(self, name: str, fleet: Fleet, variant: Document, failures: int) -> None:
        """Servers in place of those that died; where they do not come up it is tried again, later each time."""
        key = (name, variant["VariantName"])
        try:
            added = self._servers.start(name, [variant])[variant["VariantName"]]
        except Exception as error:
            self._logs.write(f"/aws/sagemaker/Endpoints/{name}", "front-door", str(error))
            self._revivals[key] = (failures + 1, time.monotonic() + min(60.0, 2.0**failures))
            return
        with self._lock:
            self._revivals.pop(key, None)
            document = self._store.get(ENDPOINT, name)
            if self._fleets.get(name) is fleet and document is not None:
                fleet[variant["VariantName"]] += added
                self._runtime.routes[name] = route_of(document["Config"]["ProductionVariants"], fleet)
                return
        self._servers.end(added)  # The endpoint has another fleet by now.

    # Documents.

    def _create(self, kind: str, what: str, name: str, request: Document, own_arn: str) -> Document:
        with self._lock:
            if self._store.get(kind, name) is not None:
                raise exists(what, name, kind)
            document = {**request, own_arn: arn(kind, name), "CreationTime": now(), "LastModifiedTime": now()}
            self._store.put(kind, name, document)
        return {own_arn: document[own_arn]}

    def _get(self, kind: str, what: str, name: str) -> Document:
        document = self._store.get(kind, name)
        if document is None:
            raise not_found(what, name, kind)
        return document

    def _set(self, name: str, **members: Any) -> None:
        self._store.change(ENDPOINT, name, LastModifiedTime=now(), **members)

    def _list(self, kind: str, name: str, answer: str, request: Document) -> Document:
        keys: dict[str, Callable[[Document], Any]] = {
            "Name": lambda each: each[name],
            "CreationTime": lambda each: each["CreationTime"],
            "Status": lambda each: each["EndpointStatus"],
        }
        found, token = page(list(self._store.all(kind).values()), request, name, keys, "CreationTime")
        return {answer: found, "NextToken": token}

    def _delete(self, kind: str, what: str, name: str) -> Document:
        self._get(kind, what, name)
        self._store.drop(kind, name)
        return {}

    def _in_service(self, name: str) -> Document:
        document = self._get(ENDPOINT, "endpoint", name)
        if document["EndpointStatus"] != "InService":
            raise invalid(f'Cannot update in-progress endpoint "{document["EndpointArn"]}".')
        return document

    def _snapshot(self, name: str) -> Document:
        """A configuration with its models, as they are now: what becomes of them later changes no endpoint."""
        config = self._get(CONFIG, "endpoint configuration", name)
        variants = [
            {**variant, "Model": self._get(MODEL, "model", variant["ModelName"])}
            for variant in config["ProductionVariants"]
        ]
        return {"EndpointConfigName": name, "ProductionVariants": variants}


def _summary(variant: Document) -> Document:
    """A variant as DescribeEndpoint tells it."""
    container = variant["Model"].get("PrimaryContainer") or variant["Model"]["Containers"][0]
    image = container.get("Image")
    return {
        "VariantName": variant["VariantName"],
        "CurrentWeight": variant["InitialVariantWeight"],
        "DesiredWeight": variant["InitialVariantWeight"],
        "CurrentInstanceCount": variant["InitialInstanceCount"],
        "DesiredInstanceCount": variant["InitialInstanceCount"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": now()}] if image else [],
    }


def _retained(config: Document, current: Sequence[Document], excluded: set[str]) -> Document:
    """A configuration whose variants keep the weights and the numbers of instances that those of their names have."""
    known = {variant["VariantName"]: variant for variant in current}
    variants = []
    for variant in config["ProductionVariants"]:
        own = known.get(variant["VariantName"], {})
        kept = {
            member: own[retained]
            for retained, member in RETAINED.items()
            if retained in own and retained not in excluded
        }
        variants.append({**variant, **kept})
    return {**config, "ProductionVariants": variants}


def _with_current(config: Document, current: Sequence[Document]) -> Document:
    return _retained(config, current, set())
