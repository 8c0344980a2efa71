"""The only way between the members of a fleet: the parent carries their messages and counts them.

A star: clients speak with the server alone. A frame is a header (peer, round, payload length) and the payload; a member
names the receiver, and receives the sender. What a member claims of itself is never read.
"""

import socket
import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from fedwright_boxes.watch import Cell
from fedwright_crds.work import MIB, Reason

FRAME = struct.Struct("<IIQ")
SERVER = 0xFFFFFFFF
FRAME_BYTES = 64 * MIB
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
    outgoing: deque[memoryview] = field(default_factory=deque)
    queued: int = 0
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

    def sockets(self) -> Mapping[int, bool]:
        return {
            descriptor: bool(member.outgoing)
            for descriptor, member in self._by_descriptor.items()
            if member.speaks or member.outgoing
        }

    def serve(self, descriptor: int) -> None:
        member = self._by_descriptor[descriptor]
        self._write(member)
        self._read(member)

    def _write(self, member: _Member) -> None:
        try:
            while member.outgoing:
                sent = member.channel.send(member.outgoing[0])
                member.queued -= sent
                member.outgoing[0] = member.outgoing[0][sent:]
                if not member.outgoing[0]:
                    member.outgoing.popleft()
            if not member.hears:
                member.channel.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:  # it has ended
            member.outgoing.clear()
            member.queued = 0
            member.hears = False

    def _read(self, member: _Member) -> None:
        try:
            while member.speaks:
                chunk = member.channel.recv(_CHUNK)
                member.incoming += chunk
                if self._held() > HELD_BYTES:
                    self._refuse(member, Reason.OUTPUT_FLOOD)
                self._carry(member)
                if not chunk:
                    self._fall_silent(member)
        except BlockingIOError:
            return
        except OSError:
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
            if receiver is None or (member.name == SERVER) == (to == SERVER):
                self._refuse(member, Reason.BAD_OUTPUT)
            elif size > FRAME_BYTES:
                self._refuse(member, Reason.OUTPUT_FLOOD)
            elif len(member.incoming) < FRAME.size + size:
                return
            else:
                with memoryview(member.incoming) as view:
                    frame = FRAME.pack(member.name, round_, size) + view[FRAME.size : FRAME.size + size]
                del member.incoming[: len(frame)]
                self._deliver(receiver, round_, frame)

    def _held(self) -> int:
        return sum(len(member.incoming) + member.queued for member in self._members.values())

    def _refuse(self, member: _Member, why: Reason) -> None:
        member.speaks = False
        member.incoming.clear()
        member.cell.kill(why)

    def _deliver(self, receiver: _Member, round_: int, frame: bytes) -> None:
        self._rounds.add(round_)
        if receiver.name == SERVER:
            self.bytes_up += len(frame) - FRAME.size
        else:
            self.bytes_down += len(frame) - FRAME.size
        if receiver.hears:
            receiver.outgoing.append(memoryview(frame))
            receiver.queued += len(frame)
            self._write(receiver)
