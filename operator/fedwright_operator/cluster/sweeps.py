"""What kopf has not told: a watch of its that breaks for long lists anew what is there, and never mentions what went meanwhile.

So from time to time what the cache holds of our kinds is compared with what there is. It writes nothing.
"""

import asyncio
import logging
from collections.abc import Iterable

from fedwright_operator.cluster.api import Api, ApiError, AwayError, Type
from fedwright_operator.cluster.intake import Intake
from fedwright_operator.cluster.ours import OURS

SECONDS = 120.0

log = logging.getLogger(__name__)


async def every(seconds: float, api: Api, intake: Intake, namespaces: Iterable[str]) -> None:
    """For ever. '' is every namespace."""
    scopes = tuple(namespaces)
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(sweep, api, intake, scopes)
        except (ApiError, AwayError) as problem:
            log.warning("not swept: %s", problem)


def sweep(api: Api, intake: Intake, namespaces: Iterable[str]) -> None:
    for namespace in namespaces:
        for kind in OURS.values():
            _sweep_kind(api, intake, kind, namespace)


def _sweep_kind(api: Api, intake: Intake, kind: Type, namespace: str) -> None:
    known = intake.known(kind, namespace)
    for gone in intake.sweep(known, api.uids(kind, namespace)) if known else ():
        metadata = gone["metadata"]
        log.warning("no watch told that %s %s/%s went", kind.kind, metadata["namespace"], metadata["name"])
