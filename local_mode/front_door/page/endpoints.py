"""Endpoints as the page shows them: what serves them, what they do at this moment, and how the traffic is shared."""

from collections.abc import Sequence
from dataclasses import dataclass

from local_mode.front_door.hosting.configurations import PRODUCTION, SHADOW
from local_mode.front_door.hosting.endpoints import KIND
from local_mode.front_door.page.reading import Reader
from local_mode.front_door.page.units import latency, moment, number, rate, share
from local_mode.front_door.resources import Document
from local_mode.front_door.runtime.invocations import Runtime
from local_mode.front_door.runtime.routes import Route, VariantRoute


@dataclass(frozen=True)
class VariantView:
    """A variant and its last minute; share: of the requests, a shadow's of copies; up: its instances that answer."""

    name: str
    shadow: bool
    model: str
    weight: str
    exact_weight: str
    share: str
    up: int
    instances: int
    waiting: int
    per_second: str
    p50: str
    p99: str
    client_errors: int
    server_errors: int


@dataclass(frozen=True)
class EndpointView:
    """An endpoint; moving: a sentence while it goes over to another configuration."""

    name: str
    status: str
    failure: str
    configuration: str
    created: str
    moving: str
    capture: str
    asynchronous: bool
    variants: Sequence[VariantView]

    @property
    def production(self) -> list[VariantView]:
        """The variants that share the traffic."""
        return [variant for variant in self.variants if not variant.shadow]


class EndpointViews:
    """Reads endpoints, and what the runtime knows of them."""

    def __init__(self, reader: Reader, runtime: Runtime) -> None:
        self._reader, self._runtime = reader, runtime

    def all(self) -> list[EndpointView]:
        """All endpoints, by their names."""
        return [self._view(each) for each in self._reader.all(KIND)]

    def view(self, name: str) -> EndpointView | None:
        """An endpoint; None where there is none of its name."""
        document = self._reader.get(KIND, name)
        return None if document is None else self._view(document)

    def _view(self, document: Document) -> EndpointView:
        name = document["EndpointName"]
        route = self._runtime.routes.get(name)
        capture = document.get("DataCaptureConfig") or {}
        return EndpointView(
            name,
            document["EndpointStatus"],
            document.get("FailureReason") or "",
            document["EndpointConfigName"],
            moment(document["CreationTime"]),
            _moving(document, route),
            f"{capture['CurrentSamplingPercentage']} % to {capture['DestinationS3Uri']}"
            if capture.get("EnableCapture")
            else "",
            bool(document.get("AsyncInferenceConfig")),
            self._variants(document, route),
        )

    def _variants(self, document: Document, route: Route | None) -> list[VariantView]:
        total = sum(variant["CurrentWeight"] for variant in document[PRODUCTION])
        copied = share(0.0 if route is None else route.shadow_share)
        production = [
            self._variant(
                document, PRODUCTION, variant, share(variant["CurrentWeight"] / total if total else 0.0), route
            )
            for variant in document[PRODUCTION]
        ]
        shadows = document.get(SHADOW) or []
        return [*production, *(self._variant(document, SHADOW, each, f"{copied} copied", route) for each in shadows)]

    def _variant(self, document: Document, kind: str, variant: Document, part: str, route: Route | None) -> VariantView:
        name, configured = variant["VariantName"], document["Config"].get(kind) or []
        found = _route_of(route, name)
        instances = [] if found is None else list(found.instances)
        traffic = self._runtime.window.traffic(document["EndpointName"], name)
        return VariantView(
            name,
            kind == SHADOW,
            next((each["ModelName"] for each in configured if each["VariantName"] == name), ""),
            number(variant["CurrentWeight"]),
            f"{variant['CurrentWeight']:.9g}",
            part,
            len(instances),
            variant["CurrentInstanceCount"],
            sum(instance.waiting for instance in instances),
            rate(traffic.per_second),
            latency(traffic.p50),
            latency(traffic.p99),
            traffic.client_errors,
            traffic.server_errors,
        )


def _route_of(route: Route | None, name: str) -> VariantRoute | None:
    if route is None:
        return None
    return next((each for each in (*route.variants, route.shadow) if each is not None and each.name == name), None)


def _moving(document: Document, route: Route | None) -> str:
    pending = document.get("PendingDeploymentSummary")
    if not pending:
        return ""
    moved = 0.0 if route is None or route.next is None else route.share
    return f"It moves to configuration {pending['EndpointConfigName']}: {share(moved)} of the requests go there."
