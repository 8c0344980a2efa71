"""A SuperLink that waits for no reply whose node no longer sends it: a mend of Flower 1.41, in the calling process only.

A reply counts as there before its objects are. Whoever asked for it takes it and then waits for them, until three minutes have
gone by without another, and all other replies wait behind it. But a node sends one reply at a time. When it asks for the next
message, is activated or signs off, what it was still sending will never be whole: then the reply becomes an error at once.
"""

import importlib
from collections.abc import Callable
from typing import Any

from flwr.supercore.state.schema.corestate_models import ObjectPushSessionRoot
from sqlalchemy import select

Handler = Callable[..., Any]


class Sendings:
    """Handlers of the Fleet API, around the stock ones."""

    def __init__(self, push: Handler, pull: Handler, activate: Handler, deactivate: Handler) -> None:
        self._push, self._pull, self._activate, self._deactivate = push, pull, activate, deactivate
        self._last: dict[int, str] = {}
        """By node, the message id of its last reply."""

    def push(self, request: Any, state: Any) -> Any:
        for message in request.messages_list:
            self._last[request.node.node_id] = message.metadata.message_id
        return self._push(request=request, state=state)

    def pull(self, request: Any, state: Any, store: Any) -> Any:
        self._drop(request.node.node_id, state)
        return self._pull(request=request, state=state, store=store)

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
        if (reply := self._last.pop(node, None)) is None:
            return
        root = ObjectPushSessionRoot
        with state.session() as session:
            sending = list(session.scalars(select(root.session_id).where(root.root_object_id == reply)))
        for one in sending:
            state._cleanup_push_session(one, cleanup_messages=True)


def watch_sendings() -> None:
    """Mend the Fleet API of this process's SuperLink."""
    fleet: Any = importlib.import_module("flwr.superlink.servicer.fleet.fleet_handlers")
    sendings = Sendings(fleet.push_messages, fleet.pull_messages, fleet.activate_node, fleet.deactivate_node)
    fleet.push_messages, fleet.pull_messages = sendings.push, sendings.pull
    fleet.activate_node, fleet.deactivate_node = sendings.activate, sendings.deactivate
