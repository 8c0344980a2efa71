"""One active operator of several: a Lease, and the fence that keeps a leader from writing once it may have lost it.

The time that a leader may write is counted on its own monotonic clock, from before the renewal was sent; it goes on while a
process is stopped or its machine sleeps. So whoever is paused and wakes finds its time over before it finds anything else.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread

from fedwright_operator.cluster.api import LEASE, Api, ApiError, AwayError, Json

DURATION_SECONDS = 12
"""How long others wait after the last renewal before they take over."""
MARGIN_SECONDS = 3.0
"""How much earlier the leader itself stops writing: a request may be on its way that long."""
RENEW_SECONDS = 2.0
CALL_SECONDS = 3.0
"""How long an answer about the Lease may take: a connection that hangs leaves time for another try."""

log = logging.getLogger(__name__)


def clock() -> float:
    """Seconds since the machine started, its sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class NotLeaderError(Exception):
    """This process may not write: another one leads, or may."""


@dataclass(frozen=True)
class Seat:
    """Which Lease, and who asks for it."""

    namespace: str
    name: str
    holder: str


class Leadership:
    """Holds the Lease from `acquire` until `release`, or until it is lost, which `lost` is told once."""

    def __init__(self, api: Api, seat: Seat, clock: Callable[[], float] = clock) -> None:
        self._api, self._seat, self._clock = api, seat, clock
        self._until = float("-inf")
        self._seen: tuple[Json, float] | None = None
        self._stopping = Event()
        self._renewer: Thread | None = None

    @property
    def held(self) -> bool:
        return self._clock() < self._until

    def fence(self) -> None:
        """Raises NotLeaderError where a write could meet another leader's."""
        if not self.held:
            raise NotLeaderError(f"{self._seat.holder} does not hold the lease {self._seat.name} any more")

    def acquire(self, stopping: Callable[[], bool], lost: Callable[[], None]) -> bool:
        """Wait for the lease, then keep it in a thread of its own; False if told to stop before."""
        while not self.try_once():
            if stopping() or self._stopping.wait(RENEW_SECONDS):
                return False
        log.info("leading as %s", self._seat.holder)
        self._renewer = Thread(target=self._keep, args=(lost,), name="lease", daemon=True)
        self._renewer.start()
        return True

    def release(self) -> None:
        """Let another take over at once."""
        self._stopping.set()
        if self._renewer:
            self._renewer.join()
        held, self._until = self.held, float("-inf")
        if held:
            try:
                self._write(self._api.get(LEASE, self._seat.namespace, self._seat.name), holder="")
            except (ApiError, AwayError) as problem:
                log.warning("the lease could not be given back: %s", problem)

    def _keep(self, lost: Callable[[], None]) -> None:
        while not self._stopping.wait(RENEW_SECONDS):
            self.try_once()
            if not self.held:
                log.error("the lease is lost")
                lost()
                return

    def try_once(self) -> bool:
        """Take or renew it if that may be done now; whether it is held."""
        began = self._clock()
        try:
            lease = self._api.find(LEASE, self._seat.namespace, self._seat.name)
            if lease is None:
                self._api.create(LEASE, self._body({}, self._seat.holder))
            elif self._may_take(lease, began):
                self._write(lease, self._seat.holder)
            else:
                self._until = float("-inf")
                return False
        except (ApiError, AwayError) as problem:
            log.warning("the lease could not be renewed: %s", problem)
            return self.held
        self._until = began + DURATION_SECONDS - MARGIN_SECONDS
        return True

    def _may_take(self, lease: Json, now: float) -> bool:
        """Ours, given back, or not renewed for its whole duration by this clock (others' clocks are not believed)."""
        spec = lease.get("spec", {})
        if spec.get("holderIdentity") in {self._seat.holder, "", None}:
            return True
        if self._seen is None or self._seen[0] != spec:
            self._seen = spec, now
        return now - self._seen[1] > float(spec.get("leaseDurationSeconds", DURATION_SECONDS))

    def _write(self, lease: Json, holder: str) -> None:
        """With the version that was read, so that of two that try one fails."""
        self._api.replace(LEASE, self._body(lease, holder))

    def _body(self, lease: Json, holder: str) -> Json:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = lease.get("spec", {})
        same = before.get("holderIdentity") == holder
        metadata = {"name": self._seat.name, "namespace": self._seat.namespace}
        if lease:
            metadata["resourceVersion"] = lease["metadata"]["resourceVersion"]
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": DURATION_SECONDS,
                "acquireTime": before.get("acquireTime", now) if same else now,
                "renewTime": now,
                "leaseTransitions": int(before.get("leaseTransitions") or 0) + (not same),
            },
        }
