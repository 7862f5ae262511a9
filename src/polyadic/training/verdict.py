"""One verdict for all hosts: no launcher leaves before every host's end is known to every other."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from polyadic.errors import PlatformError, PolyadicError, kind
from polyadic.training import messages
from polyadic.training.environment import Environment

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

BEAT_SECONDS = 2.0
LOST_AFTER_SECONDS = float(os.environ.get("POLYADIC_LOST_AFTER_SECONDS", "60"))
FAREWELL_SECONDS = 20.0
JOIN_SECONDS = 900.0


class PeerFailure(PlatformError):
    """Another host's failure, as this one reports it."""

    def __init__(self, host: str, failure: PolyadicError) -> None:
        super().__init__(f"host {host} failed: {failure}")
        self.lost_a_peer = isinstance(failure, PlatformError)


class Verdict:
    """The ends of all hosts, kept in a store on the first one; every launcher beats while it lives."""

    def __init__(self, environment: Environment) -> None:
        from datetime import timedelta

        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        self.hosts, self.rank = environment.hosts, environment.host_rank
        self.store: TCPStore = TCPStore(
            environment.master_address,
            environment.master_port + 1,
            is_master=self.rank == 0,
            timeout=timedelta(seconds=JOIN_SECONDS),
            wait_for_workers=False,
        )
        self._beats = {host: ("", time.monotonic() + JOIN_SECONDS) for host in range(len(self.hosts))}
        self._last_beat = -BEAT_SECONDS

    def failed_peer(self) -> PolyadicError | None:
        """A peer's failure as soon as it is known, PlatformError where a peer is lost; beats on the way."""
        self._beat()
        return next((failure for host in self._peers if (failure := self._failure(host))), None)

    def reach(self, own: PolyadicError | None) -> PolyadicError | None:
        """Posts this host's end, awaits the others', and gives the verdict.

        A host that failed by itself says why; one that lost a peer, or did well, names the peer that failed.
        """
        self.store.set(f"end/{self.rank}", json.dumps({"kind": kind(own), "message": str(own)} if own else None))
        while any(not self.store.check([f"end/{host}"]) for host in self._peers):
            self._beat()
            time.sleep(0.1)
        failures = [failure for host in self._peers if (failure := self._failure(host))]
        self._farewell()
        if own is not None and not isinstance(own, PlatformError):
            return own
        causes = [failure for failure in failures if not failure.lost_a_peer]
        return next(iter(causes), own or next(iter(failures), None))

    @property
    def _peers(self) -> list[int]:
        return [host for host in range(len(self.hosts)) if host != self.rank]

    def _failure(self, host: int) -> PeerFailure | None:
        """How a host failed, if it has."""
        if not self.store.check([f"end/{host}"]):
            return None
        end = json.loads(self.store.get(f"end/{host}"))
        return PeerFailure(self.hosts[host], messages.revive(end)) if end else None

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._last_beat < BEAT_SECONDS:
            return
        self._last_beat = now
        self.store.set(f"beat/{self.rank}", str(now))
        for host, (beat, seen) in self._beats.items():
            latest = self.store.get(f"beat/{host}").decode() if self.store.check([f"beat/{host}"]) else ""
            if latest != beat:
                self._beats[host] = (latest, now)
            elif now - seen > LOST_AFTER_SECONDS and not self.store.check([f"end/{host}"]):
                raise PlatformError(f"host {self.hosts[host]} has not answered for {LOST_AFTER_SECONDS:.0f} s")

    def _farewell(self) -> None:
        """The first host keeps the store until every other has read it."""
        self.store.set(f"read/{self.rank}", "")
        readers = [f"read/{host}" for host in range(len(self.hosts))] if self.rank == 0 else ["bye"]
        deadline = time.monotonic() + FAREWELL_SECONDS
        while time.monotonic() < deadline and not self.store.check(readers):
            time.sleep(0.05)
        if self.rank == 0:
            self.store.set("bye", "")
            time.sleep(0.3)
