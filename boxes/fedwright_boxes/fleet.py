"""The only way between the members of a fleet: the parent carries their messages and counts them.

A star: clients speak with the server alone. A frame is a header (peer, round, payload length) and the payload; a member
names the receiver, and receives the sender. What a member claims of itself is never read.
"""

import select
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from fedwright_boxes.watch import Cell
from fedwright_crds.work import MIB, Reason

FRAME = struct.Struct("<IIQ")
SERVER = 0xFFFFFFFF
FRAME_BYTES = 64 * MIB
ROUNDS = 1 << 16
"""Rounds have numbers below this."""
HELD_BYTES = 512 * MIB
"""Most that the parent holds of frames that are not whole or not taken yet."""
_CHUNK = MIB


@dataclass
class _Member:
    """One end of a channel. `incoming` holds at most one unfinished frame and a chunk; a frame it hears waits in `outgoing`."""

    name: int
    channel: socket.socket
    cell: Cell
    incoming: bytearray = field(default_factory=bytearray)
    outgoing: bytearray = field(default_factory=bytearray)
    hears: bool = True
    speaks: bool = True


class Switchboard:
    """Carries the frames of one server and its clients. Sizes are of payloads, in bytes."""

    def __init__(self, members: Mapping[int, tuple[socket.socket, Cell]]) -> None:
        """`members` by name: a client's number, or `SERVER`. The sockets are the parent's ends."""
        self._members = {name: _Member(name, channel, cell) for name, (channel, cell) in members.items()}
        self._by_descriptor = {member.channel.fileno(): member for member in self._members.values()}
        self.bytes_up = 0
        self.bytes_down = 0
        self._rounds: set[int] = set()
        for member in self._members.values():
            member.channel.setblocking(False)

    @property
    def rounds(self) -> int:
        """How many rounds a payload was sent for."""
        return len(self._rounds)

    def sockets(self) -> Mapping[int, int]:
        """A member that has said its last word is always readable, so it is not asked."""
        return {
            descriptor: select.POLLIN * member.speaks | select.POLLOUT * bool(member.outgoing)
            for descriptor, member in self._by_descriptor.items()
            if member.speaks or member.outgoing
        }

    def serve(self, descriptor: int) -> None:
        """One chunk at a time: whoever never stops speaking keeps neither the clock nor the others waiting."""
        member = self._by_descriptor[descriptor]
        self._write(member)
        self._read(member)

    def _write(self, member: _Member) -> None:
        try:
            while member.outgoing:
                del member.outgoing[: member.channel.send(member.outgoing)]
            if not member.hears:
                member.channel.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:  # it has ended
            member.outgoing.clear()
            member.hears = False

    def _read(self, member: _Member) -> None:
        if not member.speaks:
            return
        try:
            chunk = member.channel.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        member.incoming += chunk
        self._carry(member)
        if self._held() > HELD_BYTES:
            self._refuse(member, Reason.OUTPUT_FLOOD)
        if not chunk:
            self._fall_silent(member)

    def _fall_silent(self, member: _Member) -> None:
        """After the server's last word the clients read an end of stream instead of waiting."""
        member.speaks = False
        if member.name == SERVER:
            for client in self._members.values():
                if client is not member:
                    client.hears = False
                    self._write(client)

    def _carry(self, member: _Member) -> None:
        while len(member.incoming) >= FRAME.size and member.speaks:
            to, round_, size = FRAME.unpack_from(member.incoming)
            receiver = self._members.get(to)
            if receiver is None or (member.name == SERVER) == (to == SERVER) or round_ >= ROUNDS:
                self._refuse(member, Reason.BAD_OUTPUT)
            elif size > FRAME_BYTES:
                self._refuse(member, Reason.OUTPUT_FLOOD)
            elif len(member.incoming) < FRAME.size + size:
                return
            else:
                with memoryview(member.incoming) as view:
                    self._deliver(member.name, receiver, round_, view[FRAME.size : FRAME.size + size])
                del member.incoming[: FRAME.size + size]

    def _held(self) -> int:
        return sum(len(member.incoming) + len(member.outgoing) for member in self._members.values())

    def _refuse(self, member: _Member, why: Reason) -> None:
        member.speaks = False
        member.incoming.clear()
        member.cell.kill(why)

    def _deliver(self, sender: int, receiver: _Member, round_: int, payload: memoryview) -> None:
        self._rounds.add(round_)
        if receiver.name == SERVER:
            self.bytes_up += len(payload)
        else:
            self.bytes_down += len(payload)
        if receiver.hears:
            waits = bool(receiver.outgoing)
            receiver.outgoing += FRAME.pack(sender, round_, len(payload))
            receiver.outgoing += payload
            if not waits:
                self._write(receiver)
