"""A SuperLink after whose restart nothing is waited for in vain: a mend of Flower 1.41, in the calling process only.

Whoever was asking it when it died asks again. But what was asked may have been done, and only the answer lost:

* An object that is stored already is refused, and its sender gives up the whole message. Here it counts as stored.
* A message that was handed over, order or reply, is never handed over again. Only who sent the order can mend that, so after a
  restart all nodes look as if they had just been activated, and a ServerApp sends what is unanswered again (courier.py).
"""

import importlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Handler = Callable[..., Any]


class Restarts:
    """Around two stock functions of a SuperLink that begins now."""

    def __init__(self, store_object: Handler, get_nodes: Handler) -> None:
        self._store_object, self._get_nodes = store_object, get_nodes
        self._begun = datetime.now(UTC).isoformat()

    def store_object(self, state: Any, run_id: int, session_id: str, object_id: str, object_content: bytes) -> bool:
        """False only while that object is still awaited, from another sending."""
        stored = self._store_object(state, run_id, session_id, object_id, object_content)
        return bool(stored or state.object_store.get(object_id) != b"")

    def get_nodes(self, request: Any, state: Any, task: Any) -> Any:
        """With the later of a node's activation and this SuperLink's beginning."""
        answer = self._get_nodes(request, state, task)
        for node in answer.nodes:
            node.last_activated_at = max(node.last_activated_at, self._begun)
        return answer


def survive_restarts() -> None:
    """Mend this process's SuperLink."""
    state: Any = importlib.import_module("flwr.supercore.corestate.sql_corestate").SqlCoreState
    runtime: Any = importlib.import_module("flwr.superlink.servicer.runtime.runtime_handlers")
    restarts = Restarts(state.store_object, runtime.get_nodes)
    # A method, so that it gets the state: one on the class must be a function.
    state.store_object = lambda self, *given, **named: restarts.store_object(self, *given, **named)
    runtime.get_nodes = restarts.get_nodes
