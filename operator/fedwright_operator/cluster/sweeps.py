"""What no watch has told: a watch that breaks for long lists anew what is there, and never mentions what went meanwhile.

So from time to time all that the cache holds is compared with what there is. It writes nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from fedwright_operator.cluster.api import Api, ApiError, AwayError, Type
from fedwright_operator.cluster.cache import Cache, root_of
from fedwright_operator.cluster.handlers import SELECTORS
from fedwright_operator.cluster.ours import OURS

SECONDS = 120.0

log = logging.getLogger(__name__)


async def every(seconds: float, api: Api, cache: Cache, namespaces: Iterable[str], ask: Callable[[str], None]) -> None:
    """For ever. '' is every namespace; `ask` is told the root of whatever had gone."""
    scopes = tuple(namespaces)
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(sweep, api, cache, scopes, ask)
        except (ApiError, AwayError) as problem:
            log.warning("not swept: %s", problem)


def sweep(api: Api, cache: Cache, namespaces: Iterable[str], ask: Callable[[str], None]) -> None:
    for namespace in namespaces:
        for kind in (*OURS.values(), *SELECTORS):
            _sweep_kind(api, cache, kind, namespace, ask)


def _sweep_kind(api: Api, cache: Cache, kind: Type, namespace: str, ask: Callable[[str], None]) -> None:
    known = cache.uids(
        kind.kind, namespace
    )  # before the question, so that what is made meanwhile is not missed in the answer
    if not known:
        return
    for gone in cache.sweep(known, api.uids(kind, namespace, SELECTORS.get(kind, ""))):
        metadata = gone["metadata"]
        log.warning("no watch told that %s %s/%s went", kind.kind, metadata["namespace"], metadata["name"])
        ask(root_of(gone))
