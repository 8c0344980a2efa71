"""Events: the words about a resource, each told once in the hour that the API keeps them."""

import hashlib
import logging

from fedwright_operator.cluster.api import EVENT, Api, ApiError, Json
from fedwright_operator.cluster.labels import FEDWRIGHT
from fedwright_operator.cluster.ours import owner
from fedwright_operator.reconcile.api import Event
from fedwright_operator.shell.clock import now, stamp
from fedwright_operator.shell.kinds import AnyResource

MOST_CHARACTERS = 1024
"""Of a message, by the API's own bound."""

log = logging.getLogger(__name__)


def tell(api: Api, about: AnyResource, event: Event) -> None:
    """Words are no work: where the API takes none, say by a quota, what they are about goes on."""
    try:
        api.create(EVENT, _body(about, event))
    except ApiError as problem:
        if not problem.conflict:  # it is there already
            log.warning("untold: %s: %s", event.reason, problem)


def _body(about: AnyResource, event: Event) -> Json:
    message, meta, time = event.message[:MOST_CHARACTERS], about.metadata, stamp(now())
    words = hashlib.sha256(f"{meta.uid}\n{event.reason}\n{message}".encode()).hexdigest()
    reference = owner(about)
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": f"{meta.name[:200]}.{words[:16]}", "namespace": meta.namespace},
        "involvedObject": {
            "namespace": meta.namespace,
            "resourceVersion": meta.resource_version,
            **{key: reference[key] for key in ("apiVersion", "kind", "name", "uid")},
        },
        "reason": event.reason,
        "message": message,
        "type": "Warning" if event.warning else "Normal",
        "source": {"component": FEDWRIGHT},
        "reportingComponent": f"{FEDWRIGHT}.dev/operator",
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
