"""What lies at the URL of `artifacts.url` and has no record any more: it goes after a grace.

Records are ConfigMaps with owners, so the cluster removes them with the last resource that needs them, or with their
namespace; nothing waits for this. An object is written before its record and under its lock, and goes under that lock, after
another look, so what is just being written stays. Time is counted by this process alone: no clock of a store is believed.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, repeat

from fedwright_operator.cluster.api import CONFIG_MAP, Api, ApiError, AwayError
from fedwright_operator.cluster.artifacts import STORED_ONES, digest_recorded, is_record, record_name
from fedwright_operator.cluster.lease import NotLeaderError
from fedwright_operator.cluster.stored import Store, name_of

FIRST_SECONDS, SECONDS = 20.0, 600.0
"""Soon after it begins to lead, so that whose the store is stands there early; then now and then."""
GRACE_SECONDS = 3600.0
_OBJECT = re.compile(r"(?P<namespace>[a-z0-9-]{1,63})/(?P<digest>[0-9a-f]{64})", re.ASCII)
_UNFINISHED = re.compile(r"(?P<namespace>[a-z0-9-]{1,63})/\.[0-9a-f]{64}\.[0-9a-f]{32}", re.ASCII)
"""What a writer that was killed has left of a file."""

log = logging.getLogger(__name__)


class Collector:
    """One for each life of an operator that leads."""

    def __init__(
        self, api: Api, store: Store, installation: Callable[[], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`installation`: what tells this one from others, which may have been given the same URL."""
        self._api, self._store, self._installation, self._clock = api, store, installation, clock
        self._since: Mapping[str, float] = {}

    def look(self, namespaces: Iterable[str]) -> None:
        """Once over these; '' is every namespace."""
        scopes = tuple(namespaces)
        mine = self._installation()
        self._api.fence()
        if (whose := self._store.owner(mine)) != mine:
            log.warning(
                "artifacts.url: nothing is removed there: it belongs to the installation %r and this is %r; give each "
                "its own URL, or delete the object `_owner` there if the other is gone",
                whose,
                mine,
            )
            return
        lying = {name for name in self._store.names() if _is_ours(name, scopes)}
        recorded = set(chain.from_iterable(map(self._recorded, scopes)))  # after what lies, which is written before
        self._since = unrecorded(lying, recorded, self._since, self._clock())
        for name in overdue(self._since, self._clock()):
            self._remove(name)

    def _recorded(self, scope: str) -> Iterable[str]:
        for metadata in self._api.metadata(CONFIG_MAP, scope, STORED_ONES):
            if digest := digest_recorded(metadata["name"]):
                yield name_of(metadata["namespace"], digest)

    def _remove(self, name: str) -> None:
        found = _OBJECT.fullmatch(name)
        if found is None:
            self._go(name)
            return
        with self._store.alone(found["digest"]):
            record = self._api.find(CONFIG_MAP, found["namespace"], record_name(found["digest"]))
            if record is None or not is_record(record):
                self._go(name)

    def _go(self, name: str) -> None:
        self._api.fence()
        self._store.remove(name)
        log.info("removed from artifacts.url: %s", name)


async def every(collector: Collector, namespaces: Iterable[str]) -> None:
    """For ever."""
    scopes = tuple(namespaces)
    for pause in chain([FIRST_SECONDS], repeat(SECONDS)):
        await asyncio.sleep(pause)
        try:
            await asyncio.to_thread(collector.look, scopes)
        except (ApiError, AwayError, NotLeaderError) as problem:
            log.warning("not collected: %s", problem)


def unrecorded(lying: set[str], recorded: set[str], before: Mapping[str, float], now: float) -> dict[str, float]:
    """Since when each is known to have no record; whoever has one again begins anew."""
    return {name: before.get(name, now) for name in lying - recorded}


def overdue(since: Mapping[str, float], now: float) -> list[str]:
    return sorted(name for name, time in since.items() if now - time >= GRACE_SECONDS)


def _is_ours(name: str, scopes: tuple[str, ...]) -> bool:
    """Others' files may lie there too, and namespaces that this operator does not serve."""
    found = _OBJECT.fullmatch(name) or _UNFINISHED.fullmatch(name)
    return found is not None and bool({"", found["namespace"]} & set(scopes))
