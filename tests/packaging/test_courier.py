"""Orders reach their clients through lost nodes, error replies and new lives, and a client's own fault ends the run."""

import math
import time
from collections.abc import Iterable
from functools import cached_property

import pytest
from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.proto.node_pb2 import NodeInfo
from flwr.supercore.task_identity import TaskIdentity

from fedwright_federation.packaging.fedwright_app import courier as subject
from fedwright_federation.packaging.fedwright_app import wire
from fedwright_federation.packaging.fedwright_app.courier import ClientFailedError, Courier, NobodyAnsweredError
from fedwright_federation.packaging.fedwright_app.wire import Answer, Order
from fedwright_federation.packaging.grid import FIRST_NODE, LocalGrid

FAST = 0.01


class Client:
    """Answers with its number and how often it was asked; fails where it is told to."""

    def __init__(self) -> None:
        self.app, self.asked, self.faulty = ClientApp(), 0, False
        self.app.query()(self.about)
        self.app.train()(self.train)

    def about(self, message: Message, context: Context) -> Message:
        if self.faulty:
            raise FileNotFoundError("its data")
        return Message(wire.pack_about(int(str(context.node_config["partition-id"])), 7, 0.5), reply_to=message)

    def train(self, message: Message, context: Context) -> Message:
        self.asked += 1
        if self.faulty:
            raise ZeroDivisionError("a client's own fault")
        order = Order.unpack(message.content)
        upload = order.download + str(context.node_config["partition-id"]).encode()
        return Message(Answer(upload, {"rows": 1.0}).pack(), reply_to=message)


class LossyGrid(LocalGrid):
    """Swallows the next so many messages, or answers them as a SuperLink does whose node is gone."""

    swallow = refuse = 0
    away: frozenset[int] = frozenset()
    life = 1

    def get_nodes(self) -> Iterable[NodeInfo]:
        ids = [node for node in self.get_node_ids() if node not in self.away]
        return [NodeInfo(node_id=node, last_activated_at=str(self.life)) for node in ids]

    def _deliver(self, message: Message) -> str:
        name = super()._deliver(message)
        if self.swallow:
            self.swallow -= 1
            self.life += 1
            del self._replies[name]
        elif self.refuse:
            self.refuse -= 1
            reply = Message(Error(ErrorCode.NODE_UNAVAILABLE, "Node Unavailable"), reply_to=message)
            reply.metadata.__dict__["_src_node_id"] = SUPERLINK_NODE_ID
            self._replies[name] = reply
        return name


class SlowGrid(LossyGrid):
    """Its nodes take a while to answer, or never do."""

    seconds = 0.0
    silent: frozenset[int] = frozenset()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        ready = time.monotonic() + self.seconds
        names = []
        for message in messages:
            name = self._deliver(message)
            self.ready[name] = math.inf if message.metadata.dst_node_id in self.silent else ready
            names.append(name)
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return super().pull_messages([name for name in message_ids if self.ready[name] < time.monotonic()])

    @cached_property
    def ready(self) -> dict[str, float]:
        return {}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "PULL_SECONDS", FAST)
    monkeypatch.setattr(subject, "LOOK_SECONDS", FAST)
    monkeypatch.setattr(subject, "QUERY_SECONDS", FAST * 5)
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, SUPERLINK_NODE_ID


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def grid(client: Client) -> LossyGrid:
    return LossyGrid(client.app, [{}, {}, {}], {})


def order(client: int) -> Order:
    return Order("job", 1, 3, 3, 0, f"to {client} from ".encode())


def send(courier: Courier, clients: Iterable[int] = range(3)) -> tuple[dict[int, bytes], int]:
    done = courier.exchange(wire.TRAIN, {client: order(client).pack() for client in clients}, 1)
    return {client: Answer.unpack(content).upload for client, content in done.answers.items()}, done.failures


EVERYONE = {client: f"to {client} from {client}".encode() for client in range(3)}


def test_clients_are_known_by_their_partition(grid: LossyGrid) -> None:
    courier = Courier(grid)
    assert [(one.id, one.samples, one.capability) for one in courier.gather(3)] == [
        (0, 7, 0.5),
        (1, 7, 0.5),
        (2, 7, 0.5),
    ]
    assert send(courier) == (EVERYONE, 0)


def test_a_node_that_was_lost_with_its_message_gets_another(grid: LossyGrid, client: Client) -> None:
    courier = Courier(grid)
    courier.gather(3)
    grid.swallow = 1
    assert send(courier) == (EVERYONE, 1)
    assert client.asked == 4


def test_an_error_reply_in_the_superlinks_name_is_no_answer(grid: LossyGrid) -> None:
    courier = Courier(grid)
    courier.gather(3)
    grid.refuse = 2
    assert send(courier) == (EVERYONE, 2)


def test_a_query_that_is_lost_is_asked_again(grid: LossyGrid) -> None:
    grid.swallow, grid.refuse = 1, 1
    assert len(Courier(grid).gather(3)) == 3


def test_a_node_that_takes_long_to_say_who_it_is_is_heard(client: Client) -> None:
    grid = SlowGrid(client.app, [{}, {}], {})
    grid.seconds = 3 * subject.QUERY_SECONDS
    assert len(Courier(grid, give_up_seconds=20 * subject.QUERY_SECONDS).gather(2)) == 2


def test_a_node_that_never_says_who_it_is_holds_nobody_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "QUERY_SECONDS", 5.0)
    grid = SlowGrid(client.app, [{}, {}, {}], {})
    grid.silent = frozenset({FIRST_NODE + 2})
    courier, begin = Courier(grid), time.monotonic()
    courier.gather(2)
    assert send(courier, range(2))[0].keys() == {0, 1}
    assert time.monotonic() - begin < subject.QUERY_SECONDS / 2


def test_a_clients_own_fault_ends_the_run_after_three(grid: LossyGrid, client: Client) -> None:
    courier = Courier(grid)
    courier.gather(3)
    client.faulty = True
    with pytest.raises(ClientFailedError, match=r"client 0 failed 3 times in round 1: .*ZeroDivisionError"):
        send(courier)


def test_a_node_that_cannot_say_who_it_is_ends_the_run(grid: LossyGrid, client: Client) -> None:
    client.faulty = True
    with pytest.raises(ClientFailedError, match=r"node 100\d failed 3 times in round 0: .*its data"):
        Courier(grid).gather(3)


def test_with_a_time_for_the_round_who_is_away_is_left_out(grid: LossyGrid) -> None:
    courier = Courier(grid, round_seconds=0.1)
    courier.gather(3)
    grid.away = frozenset({FIRST_NODE + 1})
    assert send(courier)[0].keys() == {0, 2}


def test_without_one_they_are_waited_for_but_not_for_ever(grid: LossyGrid) -> None:
    courier = Courier(grid, give_up_seconds=0.1)
    courier.gather(3)
    grid.away = frozenset({FIRST_NODE + 1})
    with pytest.raises(NobodyAnsweredError, match="round 1: no answer"):
        send(courier)
    with pytest.raises(NobodyAnsweredError, match=r"clients \[1\] did not appear"):
        Courier(grid, give_up_seconds=0.1).gather(3)


@pytest.mark.parametrize("size", [0, wire.INLINE_BYTES, wire.INLINE_BYTES + 1])
def test_messages_of_any_size_come_through(size: int) -> None:
    asked = Order("job", 2, 3, 4, 1, bytes(size), b"judged")
    assert Order.unpack(asked.pack()) == asked
    given = Answer(bytes(size), {"rows": 3.0, "accuracy": 0.5})
    assert Answer.unpack(given.pack()) == given
