"""Orders to clients and answers back over a Flower Grid, as often as it takes.

Flower knows nodes by random ids and gives error replies in the SuperLink's name; here clients are known by their partition,
and an order is sent again when its node was lost, came back, or failed. A message that a node took with it when it was
killed never gets any reply: that the node has been activated anew tells.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from flwr.app import Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from fedwright_federation.algorithm.parts import ClientInfo

from . import wire
from .logs import log

PULL_SECONDS = 0.2
LOOK_SECONDS = 1.0
"""How often the nodes are looked at while answers are missing."""
QUERY_SECONDS = 30.0
"""A node that has not said who it is for so long is asked again; to say it, it loads its data."""
ATTEMPTS = 3
"""How often a client's own code may fail in one round."""
OWN_FAULTS = frozenset(
    {ErrorCode.CLIENT_APP_RAISED_EXCEPTION, ErrorCode.LOAD_CLIENT_APP_EXCEPTION, ErrorCode.INVALID_FAB}
)


class ClientFailedError(RuntimeError):
    """A client's own code fails again and again."""


class NobodyAnsweredError(RuntimeError):
    """No answer for longer than the run waits."""


@dataclass(frozen=True)
class _Sent:
    client: int
    node: int
    life: str


@dataclass(frozen=True)
class _Question:
    node: int
    life: str
    at: float
    """When it was asked, by the monotonic clock."""


@dataclass
class Exchange:
    """What came back. `failures` counts orders that had to be sent again."""

    answers: dict[int, RecordDict] = field(default_factory=dict)
    failures: int = 0


class Courier:
    """`round_seconds` > 0: who has not answered by then is left out; 0: all are waited for, `give_up_seconds` at most."""

    def __init__(self, grid: Grid, round_seconds: float = 0.0, give_up_seconds: float = 1800.0) -> None:
        self._grid, self._round_seconds, self._give_up_seconds = grid, round_seconds, give_up_seconds
        self._home: dict[int, int] = {}
        self._met: set[int] = set()
        self._faults = Counter[str]()
        self._asked: dict[str, _Question] = {}

    def gather(self, clients: int) -> list[ClientInfo]:
        """Wait until that many clients are there, numbered from 0; what they say of themselves."""
        known: dict[int, ClientInfo] = {}
        until = time.monotonic() + self._give_up_seconds
        while set(range(clients)) - known.keys():
            known |= self._acquaint(self._nodes())
            if time.monotonic() > until:
                missing = sorted(set(range(clients)) - known.keys())
                raise NobodyAnsweredError(f"clients {missing} did not appear; start their nodes")
            if set(range(clients)) - known.keys():
                time.sleep(PULL_SECONDS)
        return [known[client] for client in range(clients)]

    def exchange(self, kind: str, orders: Mapping[int, RecordDict], round_number: int) -> Exchange:
        """Send each client its order and wait for the answers.

        Raises ClientFailedError, or NobodyAnsweredError after `give_up_seconds` without any answer.
        """
        done, faults = Exchange(), Counter[str]()
        sent: dict[str, _Sent] = {}
        begin = last = time.monotonic()
        nodes, looked = self._nodes(), begin
        while orders.keys() - done.answers.keys():
            if time.monotonic() - looked > LOOK_SECONDS:
                nodes, looked = self._nodes(), time.monotonic()
                self._acquaint(nodes)
                done.failures += _forget_lost(sent, nodes)
            missing = orders.keys() - done.answers.keys() - {one.client for one in sent.values()}
            sent |= self._push(kind, {client: orders[client] for client in sorted(missing)}, nodes, round_number)
            for client, reply in self._pull(sent):
                if reply.has_error():
                    done.failures += 1
                    _judge(f"client {client}", reply, faults, round_number)
                elif client not in done.answers:
                    done.answers[client], last = reply.content, time.monotonic()
            now = time.monotonic()
            if self._round_seconds and now - begin > self._round_seconds:
                break
            if now - last > self._give_up_seconds:
                raise NobodyAnsweredError(f"round {round_number}: no answer for {self._give_up_seconds:.0f} s")
            if orders.keys() - done.answers.keys():
                time.sleep(PULL_SECONDS)
        return done

    def _nodes(self) -> dict[int, str]:
        """The ids of nodes that are online, each with when it was last activated."""
        return {node.node_id: node.last_activated_at for node in self._grid.get_nodes()}

    def _push(
        self, kind: str, orders: Mapping[int, RecordDict], nodes: Mapping[int, str], round_number: int
    ) -> dict[str, _Sent]:
        there = {client: node for client in orders if (node := self._home.get(client)) in nodes and node is not None}
        if not there:
            return {}
        messages = [
            Message(orders[client], dst_node_id=node, message_type=kind, group_id=str(round_number))
            for client, node in there.items()
        ]
        ids = self._grid.push_messages(messages)
        sent = (_Sent(client, node, nodes[node]) for client, node in there.items())
        return {name: one for name, one in zip(ids, sent, strict=False) if name}

    def _pull(self, sent: dict[str, _Sent]) -> Iterator[tuple[int, Message]]:
        if sent:
            for reply in self._grid.pull_messages(list(sent)):
                yield sent.pop(reply.metadata.reply_to_message_id).client, reply

    def _acquaint(self, nodes: Mapping[int, str]) -> dict[int, ClientInfo]:
        """Ask nodes that have not said yet which client they are, and hear those that have; nobody is waited for."""
        self._ask(nodes)
        known: dict[int, ClientInfo] = {}
        for reply in self._grid.pull_messages(list(self._asked)) if self._asked else ():
            self._asked.pop(reply.metadata.reply_to_message_id, None)
            if reply.has_error():
                _judge(f"node {reply.metadata.src_node_id}", reply, self._faults, 0)
                continue
            client, samples, capability = wire.unpack_about(reply.content)
            self._home[client] = reply.metadata.src_node_id
            self._met.add(reply.metadata.src_node_id)
            known[client] = ClientInfo(client, samples, capability=capability)
        return known

    def _ask(self, nodes: Mapping[int, str]) -> None:
        """Each stranger once, and again when it has begun a new life or is silent for long; a late answer counts as well."""
        now = time.monotonic()
        self._asked = {
            name: one
            for name, one in self._asked.items()
            if nodes.get(one.node) == one.life and one.node not in self._met
        }
        asked_lately = {one.node for one in self._asked.values() if now - one.at < QUERY_SECONDS}
        strangers = sorted(nodes.keys() - self._met - asked_lately)
        if strangers:
            messages = [Message(RecordDict(), dst_node_id=node, message_type=wire.QUERY) for node in strangers]
            names = self._grid.push_messages(messages)
            questions = (_Question(node, nodes[node], now) for node in strangers)
            self._asked |= {name: one for name, one in zip(names, questions, strict=False) if name}


def _forget_lost(sent: dict[str, _Sent], nodes: Mapping[int, str]) -> int:
    """Messages whose node is gone, or has begun a new life since."""
    lost = [name for name, one in sent.items() if nodes.get(one.node) != one.life]
    for name in lost:
        log("node-lost", client=sent.pop(name).client)
    return len(lost)


def _judge(who: str, reply: Message, faults: Counter[str], round_number: int) -> None:
    """Count it; raises ClientFailedError where it is the client's own fault once too often."""
    log("error-reply", who=who, round=round_number, code=reply.error.code, reason=reply.error.reason)
    faults[who] += reply.error.code in OWN_FAULTS
    if faults[who] >= ATTEMPTS:
        raise ClientFailedError(f"{who} failed {ATTEMPTS} times in round {round_number}: {reply.error.reason}")
