"""A SuperNode answers what it was asked, whatever runs ended while it was being asked: the stock loop's own state, mended."""

from collections.abc import Callable
from typing import Any

import pytest
from flwr.app import Message, RecordDict
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.constant import TaskType
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.object_store.in_memory_object_store import InMemoryObjectStore
from flwr.supercore.run import Run, RunNotRunningException
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode import start_client_internal as loop
from flwr.supernode.nodestate.in_memory_nodestate import InMemoryNodeState

from fedwright_federation.flower.turns import Turns

NODE = 77
ENDED, GOING = 1, 2


class Node:
    """A SuperNode's state, the SuperLink's half of its connection, and the stock loop between them."""

    def __init__(self) -> None:
        self.store = InMemoryObjectStore()
        self.state = InMemoryNodeState(self.store)
        self.state.set_node_id(NODE)
        for run in (ENDED, GOING):
            self.state.store_run(Run.create_empty(run_id=run))
        self.turns = Turns(loop._pull_and_store_message, loop._push_messages)
        self.waiting: list[Message] = []
        self.objects: dict[str, bytes] = {}
        self.sent: list[str] = []
        self.before_word_of_the_end: Callable[[], object] = lambda: None

    def ask(self, run: int) -> Message:
        TaskIdentity.run_id = run
        message = Message(RecordDict(), dst_node_id=NODE, message_type="query")
        message.metadata.__dict__["_message_id"] = message.object_id
        self.waiting.append(message)
        return message

    def pull(self) -> int | None:
        return self.turns.pull(
            state=self.state,
            object_store=self.store,
            node_config={},
            receive=self._receive,
            get_run=None,
            get_fab=None,
            pull_object=lambda _run, name: self.objects[name],
            confirm_message_received=self._confirm,
            trusted_entities=None,
        )

    def push(self) -> None:
        self.turns.push(state=self.state, object_store=self.store, send=self._send, push_object=lambda *_: None)

    def answer(self, message: Message) -> None:
        """As a ClientApp does."""
        loop._insert_message(Message(RecordDict(), reply_to=message), self.state, self.store)

    def _receive(self) -> tuple[Message, ObjectTree] | None:
        if not self.waiting:
            return None
        message = self.waiting.pop(0)
        self.objects = {name: one.deflate() for name, one in get_all_nested_objects(message).items()}
        return message, get_object_tree(message)

    def _confirm(self, run: int, _name: str) -> None:
        if run == ENDED:
            self.before_word_of_the_end()
            raise RunNotRunningException

    def _send(self, reply: Message, *_: Any) -> tuple[set[str], str]:
        self.sent.append(reply.metadata.reply_to_message_id)
        return set(), ""


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(loop.time, "sleep", lambda _: pytest.fail("it waits for an answer that is there"))
    TaskIdentity.task_id, TaskIdentity.node_id = 1, 1
    return Node()


def tasks(node: Node) -> list[tuple[str, bool]]:
    return [(task.type, bool(task.finished_at)) for task in node.state.get_tasks()]


def test_a_message_is_received_and_answered(node: Node) -> None:
    asked = node.ask(GOING)
    assert node.pull() == GOING
    node.answer(asked)
    node.push()
    assert node.sent == [asked.metadata.message_id] and node.pull() is None


def test_nothing_stays_of_a_message_whose_run_ended_meanwhile(node: Node) -> None:
    node.ask(ENDED)
    assert node.pull() is None
    assert tasks(node) == [(TaskType.CLIENT_APP, True)]
    assert not node.state.get_messages_legacy() and not len(node.store)


def test_an_answer_for_a_run_that_ended_does_not_pass_for_the_next_runs(node: Node) -> None:
    left = node.ask(ENDED)
    node.before_word_of_the_end = lambda: node.answer(left)
    assert node.pull() is None
    asked = node.ask(GOING)
    assert node.pull() == GOING
    stock, late = node.turns._push, [asked]

    def push(**given: Any) -> None:
        stock(**given)
        while late:  # the ClientApp is done only now
            node.answer(late.pop())

    node.turns._push = push
    node.push()
    assert node.sent == [left.metadata.message_id, asked.metadata.message_id]
