"""A reply whose node no longer sends it is given up, in a SuperLink's own state."""

from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message, RecordDict
from flwr.common.constant import NOOP_ACCOUNT_NAME, NOOP_FLWR_AID, SUPERLINK_NODE_ID
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import ActivateNodeRequest, DeactivateNodeRequest, PullMessagesRequest, PushMessagesRequest
from flwr.proto.node_pb2 import Node
from flwr.server.superlink.linkstate import LinkStateFactory
from flwr.supercore.constant import NOOP_FEDERATION_ID, TaskType
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.federation import NoOpFederationManager
from flwr.superlink.servicer.fleet import fleet_handlers as stock

from fedwright_federation.flower.sendings import Sendings

pytestmark = pytest.mark.filterwarnings("ignore:No path_separator found:DeprecationWarning")  # Flower 1.41 and alembic
KEY = b"a public key"


class Link:
    """A SuperLink's state with one run and one node, which has been asked something."""

    def __init__(self, database: Path) -> None:
        objects = ObjectStoreFactory(str(database))
        self.state: Any = LinkStateFactory(str(database), NoOpFederationManager(), objects).state()
        self.fleet = Sendings(stock.push_messages, stock.pull_messages, stock.activate_node, stock.deactivate_node)
        self.node = self.state.create_node(NOOP_FLWR_AID, NOOP_ACCOUNT_NAME, KEY, 30)
        self.run = self.state.create_run(
            None, None, "", {}, NOOP_FEDERATION_ID, None, NOOP_FLWR_AID, TaskType.SERVER_APP
        )
        task = self.state.get_run_info(run_ids=[self.run])[0].primary_task_id
        assert self.state.claim_task(task) and self.state.activate_task(task)
        self.activate()
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, self.run, SUPERLINK_NODE_ID
        self.asked = self._named(Message(RecordDict(), dst_node_id=self.node, message_type="query"))
        assert self.state.store_message_ins(self.asked)
        TaskIdentity.node_id = self.node
        self.reply = self._named(Message(RecordDict(), reply_to=self.asked))
        TaskIdentity.node_id = SUPERLINK_NODE_ID

    def activate(self) -> None:
        self.fleet.activate(ActivateNodeRequest(public_key=KEY, heartbeat_interval=30), self.state)

    def ask_for_more(self) -> None:
        self.fleet.pull(PullMessagesRequest(node=Node(node_id=self.node)), self.state, self.state.object_store)

    def deactivate(self) -> None:
        self.fleet.deactivate(DeactivateNodeRequest(node_id=self.node), self.state)

    def send(self, whole: bool) -> None:
        """The reply, and of its objects all or all but the last."""
        request = PushMessagesRequest(
            node=Node(node_id=self.node),
            messages_list=[message_to_proto(self.reply)],
            message_object_trees=[get_object_tree(self.reply)],
        )
        answer = self.fleet.push(request, self.state)
        for name in list(answer.objects_to_push)[: None if whole else -1]:
            content = get_all_nested_objects(self.reply)[name].deflate()
            assert self.state.store_object(self.run, answer.session_id, name, content)

    def taken(self) -> bytes | None:
        """The reply's own object once its ServerApp has taken it: empty while it is on its way, None where it will not come."""
        self.state.get_message_res({self.asked.metadata.message_id}, self.run)
        content: bytes | None = self.state.get_object(self.run, self.reply.metadata.message_id)
        return content

    @staticmethod
    def _named(message: Message) -> Message:
        message.metadata.__dict__["_message_id"] = message.object_id
        return message


@pytest.fixture
def link(tmp_path: Path) -> Link:
    return Link(tmp_path / "state.db")


def test_a_reply_on_its_way_is_waited_for(link: Link) -> None:
    link.send(whole=False)
    assert link.taken() == b""


@pytest.mark.parametrize("takes_it_first", [True, False])
def test_a_reply_of_a_former_life_is_given_up(link: Link, takes_it_first: bool) -> None:
    link.send(whole=False)
    if takes_it_first:
        assert link.taken() == b""
    link.deactivate()
    assert link.taken() is None
    link.activate()
    assert link.taken() is None


def test_a_reply_is_given_up_when_its_node_asks_for_the_next_message(link: Link) -> None:
    link.send(whole=False)
    link.ask_for_more()
    assert link.taken() is None


def test_a_reply_that_is_whole_outlives_its_node(link: Link) -> None:
    link.send(whole=True)
    link.ask_for_more()
    link.deactivate()
    link.activate()
    assert link.taken()
