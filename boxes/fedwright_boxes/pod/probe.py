"""Whether the network of this container is closed: found out by trying to get out before anything hostile runs."""

import queue
import socket
import threading
import time
from collections.abc import Iterable

from fedwright_boxes.pod.contract import PROBE_SECONDS


def target_of(text: str) -> tuple[str, int]:
    """`HOST:PORT` or `[ADDRESS]:PORT`; raises `ValueError`."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise ValueError(f"a probe is HOST:PORT, not {text!r}")
    return host, int(port)


def first_open(targets: Iterable[tuple[str, int]], seconds: float = PROBE_SECONDS) -> tuple[str, int] | None:
    """The first that takes a connection within that time; None if none does. A refusal is not a connection."""
    answers: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()
    waiting = list(targets)
    for target in waiting:  # names are looked up with no bound on time, so each has a thread that nobody waits for
        threading.Thread(target=_try, args=(target, seconds, answers), daemon=True).start()
    end = time.monotonic() + seconds
    for _ in waiting:
        try:
            answer = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            return None
        if answer:
            return answer
    return None


def _try(target: tuple[str, int], seconds: float, answers: "queue.SimpleQueue[tuple[str, int] | None]") -> None:
    try:
        with socket.create_connection(target, timeout=seconds):
            answers.put(target)
    except OSError:
        answers.put(None)
