"""What serves each endpoint now, and while its traffic moves the fleet that comes; what dies is started again."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from local_mode.front_door.hosting.configurations import all_variants
from local_mode.front_door.hosting.fleets import Fleet, Member, Servers, group_of, members_of, route_of, take_dead
from local_mode.front_door.resources import Document
from local_mode.front_door.runtime.invocations import Runtime
from local_mode.front_door.runtime.routes import Route
from local_mode.front_door.services.logs import Logs

WATCH_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True)
class Side:
    """A fleet, and the configuration that it was made of."""

    config: Document
    fleet: Fleet

    def route(self) -> Route:
        """The route to it."""
        return route_of(self.config, self.fleet)

    def copy(self) -> "Side":
        """The same servers in lists of their own."""
        return Side(self.config, {name: list(members) for name, members in self.fleet.items()})


@dataclass
class Standing:
    """An endpoint's fleet; next, share: the one that comes, and its share of the requests by now.

    changing: an update or a change of weights is under way, and nothing is revived meanwhile.
    """

    side: Side
    next: Side | None = None
    share: float = 0.0
    changing: bool = False

    def route(self) -> Route:
        """The route of the endpoint."""
        if self.next is None:
            return self.side.route()
        return replace(self.side.route(), next=self.next.route(), share=self.share)


class Standings:
    """The fleets of all endpoints, whose routes are set here alone.

    begin: runs work in a thread. closing: set at shutdown; nothing is started any more.
    """

    def __init__(
        self,
        runtime: Runtime,
        servers: Servers,
        logs: Logs,
        begin: Callable[[str, Callable[[], None]], None],
        closing: threading.Event,
    ) -> None:
        self._runtime, self._servers, self._logs = runtime, servers, logs
        self._begin, self._closing = begin, closing
        self._lock = threading.RLock()
        self._standings: dict[str, Standing] = {}
        self._pauses: dict[tuple[str, str], tuple[int, float | None]] = {}
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._watcher.start()

    def serve(self, name: str, side: Side) -> None:
        """Sends all requests of an endpoint to a fleet."""
        with self._lock:
            self._standings[name] = Standing(side)
            self._publish(name)

    def change(self, name: str) -> None:
        """An update begins: what dies is taken out, and not revived until it has ended."""
        with self._lock:
            if name in self._standings:
                self._standings[name].changing = True

    def move(self, name: str, side: Side, share: float) -> None:
        """Sends a share of the requests to the fleet that comes."""
        with self._lock:
            standing = self._standings.get(name)
            if standing is not None:
                standing.next, standing.share = side, share
                self._publish(name)

    def take_back(self, name: str) -> None:
        """The fleet that was there serves alone again; the update has ended."""
        with self._lock:
            standing = self._standings.get(name)
            if standing is not None:
                standing.next, standing.share, standing.changing = None, 0.0, False
                self._publish(name)

    def take_out(self, name: str) -> list[Member]:
        """The servers of an endpoint, which gets no requests from now on."""
        with self._lock:
            standing = self._standings.pop(name, None)
            self._runtime.routes.pop(name, None)
            return [] if standing is None else members_of(standing.side.fleet)

    def side(self, name: str) -> Side | None:
        """The fleet of an endpoint as it is now."""
        with self._lock:
            standing = self._standings.get(name)
            return None if standing is None else standing.side.copy()

    def close(self) -> list[Member]:
        """The servers of all endpoints; `closing` is set before."""
        self._watcher.join()
        with self._lock:
            return [member for name in list(self._standings) for member in self.take_out(name)]

    def _publish(self, name: str) -> None:
        self._runtime.routes[name] = self._standings[name].route()

    def _watch(self) -> None:
        """Starts servers in place of those that died; until they are up, their variant does with the others."""
        while not self._closing.wait(WATCH_SECONDS):
            with self._lock:
                for name, standing in self._standings.items():
                    self._look_at(name, standing)

    def _look_at(self, name: str, standing: Standing) -> None:
        sides = [standing.side] if standing.next is None else [standing.side, standing.next]
        dead = [member for side in sides for member in take_dead(side.fleet)]
        if dead:
            self._publish(name)
            self._begin(name, lambda: self._servers.end(dead))
        if standing.changing:
            return
        for variant in all_variants(standing.side.config):
            missing = variant["InitialInstanceCount"] - len(standing.side.fleet[variant["VariantName"]])
            if missing > 0:
                self._begin_revival(name, standing, {**variant, "InitialInstanceCount": missing})

    def _begin_revival(self, name: str, standing: Standing, variant: Document) -> None:
        key = (name, variant["VariantName"])
        failures, after = self._pauses.get(key, (0, 0.0))
        if after is None or time.monotonic() < after:
            return
        self._pauses[key] = (failures, None)  # One at a time.
        self._begin(name, lambda: self._revive(name, standing, variant, failures))

    def _revive(self, name: str, standing: Standing, variant: Document, failures: int) -> None:
        """Servers in place of those that died; where they do not come up it is tried again, later each time."""
        key = (name, variant["VariantName"])
        try:
            added = self._servers.start(group_of(name), [variant])[variant["VariantName"]]
        except Exception as error:
            self._logs.write(group_of(name), "front-door", str(error))
            pause = min(LONGEST_PAUSE_SECONDS, 2.0**failures)
            with self._lock:
                self._pauses[key] = (failures + 1, time.monotonic() + pause)
            return
        with self._lock:
            self._pauses.pop(key, None)
            if self._standings.get(name) is standing and not standing.changing:
                standing.side.fleet[variant["VariantName"]] += added
                self._publish(name)
                return
        self._servers.end(added)  # The endpoint has another fleet by now, or gets one.
