"""One cell as its keeper sees it, and the loop that watches cells until all have ended.

What became of a cell is judged by wait status, byte counts, clocks and memory counters; nothing that it said goes in,
and what it handed on counts only after a clean end. Not known here: what a step or a handover is.
"""

import contextlib
import fcntl
import os
import secrets
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fedwright_boxes import folders, memory, parcel
from fedwright_boxes.groups import Group, KillCount
from fedwright_boxes.keeper import Zygote, ZygoteError
from fedwright_boxes.limits import Limits
from fedwright_boxes.protocol import END, READY, START, Enclosure, Item
from fedwright_crds.work import MIB, Reason

_TEXT_KEPT = 4096
_TEXT_FLOOD = 8 * MIB
_NOTE_KEPT = 2000
_TICK_SECONDS = 0.05
_WATCHDOG_SECONDS = 0.02
_LOOKED_AT_IN_A_TICK = 4
"""To look at the memory of a cell takes a millisecond; of many, each is looked at less often."""
_DYING_SECONDS = 15.0
_PIPE_BYTES = MIB
_FIRST_USER = 300_000
_USERS = 100_000_000
_BOX = "/box"


@dataclass(frozen=True)
class Trust:
    """What a program of ours is granted, and generated code never is."""

    hear: Callable[[bytes], None] | None = None
    """Is given what the program prints while it runs, in pieces as they come; it must not wait."""
    grace_seconds: float = 0.0
    """How long the program has to end by itself once it is told to, by SIGTERM; with none it is killed."""


NO_TRUST = Trust()


@dataclass(frozen=True)
class Order:
    """What a cell is to do and how much it may send back, in bytes."""

    program: parcel.Program
    files: Mapping[str, parcel.Content]
    limits: Limits
    result_bytes: int
    trust: Trust = NO_TRUST


class Exchange(Protocol):
    """Carries messages between cells while they are watched. Descriptors are those of the parent's ends."""

    def sockets(self) -> Mapping[int, int]:
        """Each descriptor to watch, and the events of poll(2) to wait for."""

    def serve(self, descriptor: int) -> None:
        """Read and write what can be; ends the cell whose end it is if it breaks the rules."""


class _Inlet:
    """The reading end of a pipe from a cell, with a bound on what is kept."""

    def __init__(self, kept: int, flood: int, tail: bool = False, hear: Callable[[bytes], None] | None = None) -> None:
        self.descriptor, self.writing = os.pipe()
        os.set_blocking(self.descriptor, False)
        self.data = bytearray()
        self.size = 0
        self.open = True
        self._kept, self._flood, self._tail, self._hear = kept, flood, tail, hear

    @property
    def flooded(self) -> bool:
        return self.size > self._flood

    def read(self) -> None:
        """Take what is there; at the end of the stream `open` turns false."""
        while self.open and not self.flooded:
            try:
                chunk = os.read(self.descriptor, _PIPE_BYTES)
            except BlockingIOError:
                return
            self.open = bool(chunk)
            self.size += len(chunk)
            if self._hear:
                self._hear(chunk)
            if self._tail or len(self.data) < self._kept:
                self.data += chunk
            if self._tail and len(self.data) > 2 * self._kept:
                del self.data[: -self._kept]

    def close(self) -> None:
        os.close(self.descriptor)


class Cell:
    """From the request to the last byte. Use as a context manager: leaving kills what still lives."""

    def __init__(self, zygote: Zygote, order: Order, root: Path | None = None, channel: socket.socket | None = None):
        """`root` is the folder of a box without a root of its own; `channel` the cell's end of a message channel, closed here."""
        limits = order.limits
        contained = zygote.enclosure == Enclosure.CONTAINER
        self._group = None if contained else Group.make(limits.memory_bytes, limits.processes + 8)
        self._kills = KillCount() if contained else None
        self._limits = limits if self._group else limits.without_group()
        self._root = root
        self._why: Reason | None = None
        self._status: tuple[int, float, int] | None = None
        self._handle: int | None = None
        self._process = -1
        self._peak = 0
        self._inherited = zygote.inherited_bytes
        self._started = time.monotonic()
        self._seconds = 0.0
        self._grace = order.trust.grace_seconds
        self._ends_by = self._dies_by = float("inf")
        self.result = _Inlet(order.result_bytes + 1, order.result_bytes)
        self.text = _Inlet(_TEXT_KEPT, _TEXT_FLOOD, tail=True, hear=order.trust.hear)
        self._note = _Inlet(_NOTE_KEPT, _TEXT_FLOOD)
        self._ended = _Inlet(END.size, _TEXT_FLOOD)
        self._start(zygote, order, channel)

    def __enter__(self) -> "Cell":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(Reason.PLATFORM)
        for inlet in self._inlets():
            inlet.close()
        if self._handle is not None:
            os.close(self._handle)
        if self._root:
            folders.remove(self._root)
        if self._group:
            self._group.close()

    def _inlets(self) -> tuple[_Inlet, ...]:
        return self.result, self.text, self._note, self._ended

    def _start(self, zygote: Zygote, order: Order, channel: socket.socket | None) -> None:
        go, start = os.pipe()
        given = [self.result.writing, self.text.writing, go, self._note.writing]
        given += [channel.fileno()] if channel else []
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.result.writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        doors: list[int] = []
        try:
            given.insert(0, parcel.pack(order.program, order.files))
            doors = self._group.doors() if self._group else []
            item = self._item(zygote.profile.hostile, channel is not None, len(doors))
            self._handle = zygote.spawn(item, [*given, *doors, self._ended.writing])
            self._process = _process_of(self._handle)
            os.write(start, START)
        except (ZygoteError, OSError) as error:
            self._note.data += str(error).encode()
            self.kill(Reason.PLATFORM)
        finally:
            for descriptor in {*given, *doors, *(inlet.writing for inlet in self._inlets()), start} - _numbers(channel):
                os.close(descriptor)
            if channel:
                channel.close()

    def _item(self, hostile: bool, has_channel: bool, groups: int) -> Item:
        user = _FIRST_USER + secrets.randbelow(_USERS) if hostile else os.getuid()
        return Item(self._limits, str(self._root or _BOX), user, has_channel, groups)

    @property
    def alive(self) -> bool:
        """False once its tree is dead and all that it sent has been read, or it could never start."""
        return self._handle is not None and self._ended.open

    def end(self, why: Reason) -> None:
        """Tell it to end, and kill it once its grace is over. Reasons count as in `kill`."""
        if not self._grace:
            self.kill(why)
        elif not self._why and not self._status:
            self._why = why
            self._ends_by = time.monotonic() + self._grace
            if self.alive:
                self._send(signal.SIGTERM)

    def kill(self, why: Reason) -> None:
        """Only the first reason counts, and none after a cell has ended by itself."""
        if self._dying or self._status:
            return
        self._why = self._why or why
        self._dies_by = time.monotonic() + _DYING_SECONDS
        if self.alive:
            self._signal()

    @property
    def _dying(self) -> bool:
        return self._dies_by < float("inf")

    def _send(self, number: signal.Signals) -> None:
        assert self._handle is not None
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def _signal(self) -> None:
        self._send(signal.SIGKILL)
        if self._root and self._process > 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process, signal.SIGKILL)

    def descriptors(self) -> list[int]:
        """Where something may come from; none once it has ended."""
        return [inlet.descriptor for inlet in self._inlets() if self.alive and inlet.open and not inlet.flooded]

    def read(self) -> None:
        """Take all that is there; may find that the cell has ended or sends too much."""
        if not self.alive:
            return
        self._ended.read()  # first: what the others hold after the end is all that comes
        for inlet in (self.result, self.text, self._note):
            inlet.read()
        if self.result.flooded or self.text.flooded:
            self.kill(Reason.OUTPUT_FLOOD)
        if not self._ended.open:
            self._seconds = time.monotonic() - self._started
            if len(self._ended.data) == END.size:
                self._status = END.unpack(self._ended.data)
            if self._root:
                self._signal()

    def check(self, now: float) -> None:
        """Clock and memory."""
        if not self.alive:
            return
        if now - self._started > self._limits.wall_seconds:
            self.end(Reason.DEADLINE_EXCEEDED)
        if now > self._ends_by:
            self.kill(Reason.PLATFORM)
        if self._out_of_memory():
            self.kill(Reason.OUT_OF_MEMORY)
        if (
            not self._group and not self._dying and self._note.data
        ):  # before its note it is ours, and may look like the zygote
            self._weigh()
        if now > self._dies_by:
            self._ended.open = False

    def _out_of_memory(self) -> bool:
        counter = self._group or self._kills
        return counter is not None and counter.out_of_memory()

    def _weigh(self) -> None:
        used = memory.tree_bytes(self._process)
        self._peak = max(self._peak, used)
        if used > self._limits.memory_bytes + self._inherited:
            self.kill(Reason.OUT_OF_MEMORY)

    @property
    def tick_seconds(self) -> float:
        return _TICK_SECONDS if self._group else _WATCHDOG_SECONDS

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal."""
        return None if self._status is None else os.waitstatus_to_exitcode(self._status[0])

    @property
    def reason(self) -> Reason:
        """Of a cell that has ended; whether its result is whole is not looked at."""
        if self._out_of_memory():
            return Reason.OUT_OF_MEMORY
        if self._why:
            return self._why
        if self.exit_code is None or bytes(self._note.data) != READY:
            return Reason.PLATFORM
        if self.exit_code < 0:
            return Reason.KILLED_BY_SIGNAL
        return Reason.CRASHED if self.exit_code else Reason.COMPLETED

    @property
    def failed(self) -> bool:
        return not self.alive and self.reason != Reason.COMPLETED

    @property
    def platform_error(self) -> str:
        """What a cell said before anything hostile ran in it, or why it could not start."""
        note = bytes(self._note.data[:_NOTE_KEPT]).decode("ascii", "replace")
        return note if note.encode() != READY else "the zygote died while it ran"

    @property
    def printed(self) -> str:
        """The end of what it printed, as printable ASCII; a box has one name, wherever it is."""
        text = bytes(self.text.data).decode("ascii", "replace").replace("\ufffd", "?")
        if self._root:
            text = text.replace(str(self._root), _BOX)
        return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text[-_TEXT_KEPT:])

    @property
    def wall_seconds(self) -> float:
        return self._seconds or time.monotonic() - self._started

    @property
    def cpu_seconds(self) -> float:
        return self._status[1] if self._status else 0.0

    @property
    def peak_memory_mib(self) -> float | None:
        peak = self._group.peak_bytes() if self._group else self._peak
        return None if not peak else round(peak / MIB, 2)


def _process_of(handle: int) -> int:
    facts = Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines()
    return next(int(line.split()[1]) for line in facts if line.startswith("Pid:"))


def _numbers(channel: socket.socket | None) -> set[int]:
    return {channel.fileno()} if channel else set()


def supervise(cells: Sequence[Cell], cancelled: Callable[[], bool], exchange: Exchange | None = None) -> Cell | None:
    """Return when all have ended. The first that fails ends the others and is the answer; None if none failed."""
    culprit = None
    next_look = 0.0
    tick = min(cell.tick_seconds for cell in cells)
    while any(cell.alive for cell in cells):
        ready = _wait(cells, exchange, tick)
        for cell in cells:
            if not ready.isdisjoint(cell.descriptors()):
                cell.read()
        now = time.monotonic()
        if now >= next_look:
            for cell in cells:
                cell.check(now)
            next_look = now + tick * max(1.0, len(cells) / _LOOKED_AT_IN_A_TICK)
        culprit = culprit or next((cell for cell in cells if cell.failed), None)
        if culprit or cancelled():
            for cell in cells:
                (cell.kill if culprit else cell.end)(Reason.PLATFORM)
    if exchange:
        for descriptor in exchange.sockets():
            exchange.serve(descriptor)  # what the last to end had said is counted, too
    return culprit or next((cell for cell in cells if cell.failed), None)


def _wait(cells: Sequence[Cell], exchange: Exchange | None, seconds: float) -> set[int]:
    """Descriptors of cells that have something to read; messages are carried on the way."""
    poll = select.poll()
    for cell in cells:
        for descriptor in cell.descriptors():
            poll.register(descriptor, select.POLLIN)
    sockets = exchange.sockets() if exchange else {}
    for descriptor, events in sockets.items():
        poll.register(descriptor, events)
    ready = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
    if exchange:
        for descriptor in ready & set(sockets):
            exchange.serve(descriptor)
    return ready
