"""A SuperLink that waits for no reply whose node went down while sending it: a mend of Flower 1.41, in the calling process only.

A reply counts as there before its objects are. Whoever asked for it takes it and then waits for them, until three minutes have
gone by without another, and all other replies wait behind it. But a node sends one reply at a time, and when it is activated or
signs off, what its former life was still sending will never be whole: then the reply becomes an error at once.
"""

import importlib
from collections.abc import Callable
from typing import Any

Handler = Callable[..., Any]


class Sendings:
    """Handlers of the Fleet API, around the stock ones."""

    def __init__(self, push: Handler, activate: Handler, deactivate: Handler) -> None:
        self._push, self._activate, self._deactivate = push, activate, deactivate
        self._last: dict[int, str] = {}
        """By node, the session in which it sends the objects of its last reply."""

    def push(self, request: Any, state: Any) -> Any:
        answer = self._push(request=request, state=state)
        self._last[request.node.node_id] = answer.session_id
        return answer

    def activate(self, request: Any, state: Any) -> Any:
        answer = self._activate(request=request, state=state)
        self._drop(answer.node_id, state)
        return answer

    def deactivate(self, request: Any, state: Any) -> Any:
        answer = self._deactivate(request=request, state=state)
        self._drop(request.node_id, state)
        return answer

    def _drop(self, node: int, state: Any) -> None:
        """Of a reply that is whole there is no session any more, and nothing happens."""
        if session := self._last.pop(node, None):
            state._cleanup_push_session(session, cleanup_messages=True)


def watch_sendings() -> None:
    """Mend the Fleet API of this process's SuperLink."""
    fleet: Any = importlib.import_module("flwr.superlink.servicer.fleet.fleet_handlers")
    sendings = Sendings(fleet.push_messages, fleet.activate_node, fleet.deactivate_node)
    fleet.push_messages = sendings.push
    fleet.activate_node, fleet.deactivate_node = sendings.activate, sendings.deactivate
