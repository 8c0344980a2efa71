"""The zygote: imports once, then forks a cell for each request. Started inside bubblewrap or a container, it has one
thread, runs nothing that is not ours, and reads no item: it passes descriptors on.

Bubblewrap is the outer wall (a read-only root that holds an allow-list, no network, no environment); each cell puts
itself behind an inner one (`cell`). The zygote is not the first process of its PID namespace, while each cell is:
libraries notice a fork by a changed getpid(). In a container there is one PID namespace for all.
"""

import contextlib
import gc
import json
import os
import platform
import select
import socket
import sys
import tempfile
from typing import Any

from fedwright_boxes import hugepages, seccomp, syscalls, warmup
from fedwright_boxes.cell import Walls, live
from fedwright_boxes.limits import Limits
from fedwright_boxes.protocol import END, MESSAGE_BYTES, Enclosure, Item, Sight

_MOST_DESCRIPTORS = 16


def main(connection: int, proc: int) -> None:
    """Serve until the keeper hangs up. `proc` is the host's /proc, so that none has to exist inside."""
    keeper = socket.socket(fileno=connection)
    settings = json.loads(keeper.recv(MESSAGE_BYTES))
    if settings["enclosure"] != Enclosure.NAMESPACES:
        syscalls.die_with_parent()
    syscalls.set_dumpable(False)
    os.environ.update(settings["environment"])
    tempfile.tempdir = "/box/scratch"  # some libraries ask for it when imported, and nothing is writable here
    warmup.import_all(settings["imports"], settings["programs"])
    walls = _walls(settings, proc)
    _demand_one_thread(proc)
    gc.collect()
    gc.freeze()
    gc.disable()  # it would write into pages that all cells share
    hugepages.collapse(proc)
    keeper.send(json.dumps({"inheritedBytes": walls.data_bytes // 2}).encode())
    _Server(keeper, walls, proc).serve()


def _walls(settings: dict[str, Any], proc: int) -> Walls:
    enclosure = Enclosure(settings["enclosure"])
    if enclosure != Enclosure.NONE and platform.machine() != "x86_64":
        raise SystemExit(f"the system call filter is written for x86_64, this is {platform.machine()}")
    statm = os.open("self/statm", os.O_RDONLY, dir_fd=proc)
    data_pages = int(os.read(statm, 256).split()[5])
    os.close(statm)
    return Walls(
        enclosure=enclosure,
        as_root=settings["as_root"],
        network=settings["network"],
        hostile=settings["hostile"],
        sight=Sight(**settings["sight"]) if settings["sight"] else None,
        filter=seccomp.program(settings["network"], settings["hostile"], enclosure == Enclosure.CONTAINER),
        data_bytes=data_pages * os.sysconf("SC_PAGE_SIZE"),
        environment=settings["environment"],
    )


def _demand_one_thread(proc: int) -> None:
    tasks = os.open("self/task", os.O_RDONLY, dir_fd=proc)
    count = len(os.listdir(tasks))  # noqa: PTH208 (a descriptor has no path here)
    os.close(tasks)
    if count != 1:
        raise SystemExit(f"{count} threads after the imports: a fork would copy their locks, not them")


class _Server:
    def __init__(self, keeper: socket.socket, walls: Walls, proc: int) -> None:
        self._keeper, self._walls, self._proc = keeper, walls, proc
        self._own_namespace = os.open("self/ns/pid", os.O_RDONLY, dir_fd=proc)
        self._cells: dict[int, tuple[int, int]] = {}
        self._poll = select.poll()
        self._poll.register(keeper, select.POLLIN)

    def serve(self) -> None:
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._cells:
                    self._bury(descriptor)
                else:
                    self._bear()

    def _bear(self) -> None:
        message, given, _, _ = socket.recv_fds(self._keeper, MESSAGE_BYTES, _MOST_DESCRIPTORS)
        if not message:
            os._exit(0)
        *given, status = given
        process = self._fork(message, given)
        handle = os.pidfd_open(process)
        self._cells[handle] = (process, status)
        self._poll.register(handle, select.POLLIN)
        socket.send_fds(self._keeper, [b"k"], [handle])
        for descriptor in given:
            os.close(descriptor)

    def _fork(self, message: bytes, given: list[int]) -> int:
        request = json.loads(message)
        item = Item(Limits(**request.pop("limits")), **request)
        apart = self._walls.enclosure == Enclosure.NAMESPACES
        if apart:
            syscalls.unshare(syscalls.NEWPID)
        process = os.fork()
        if process == 0:
            live(item, self._walls, given, self._proc)
        if apart:
            syscalls.enter_namespace(self._own_namespace, syscalls.NEWPID)  # the next unshare is EINVAL otherwise
        return process

    def _bury(self, handle: int) -> None:
        """A PID namespace is dead as a whole once its first process can be waited for."""
        process, status = self._cells.pop(handle)
        _, ended, usage = os.wait4(process, 0)
        self._poll.unregister(handle)
        os.close(handle)
        with contextlib.suppress(OSError):  # the keeper may have given the item up
            os.write(status, END.pack(ended, usage.ru_utime + usage.ru_stime, usage.ru_maxrss))
        os.close(status)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
