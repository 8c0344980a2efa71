"""Artifacts that are kept in memory once they have been checked: small documents are read in every pass."""

from collections import OrderedDict
from threading import Lock


class Remembered:
    """Bytes by digest, those read last, up to so many bytes in all. Safe to use from many threads."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._held = 0
        self._lock = Lock()

    def get(self, digest: str) -> bytes | None:
        with self._lock:
            if digest in self._memory:
                self._memory.move_to_end(digest)
            return self._memory.get(digest)

    def put(self, digest: str, data: bytes) -> None:
        """Unless it is so large that it would drive out too many others."""
        if len(data) > self._most // 16:
            return
        with self._lock:
            self._held += len(data) - len(self._memory.pop(digest, b""))
            self._memory[digest] = data
            while self._held > self._most:
                self._held -= len(self._memory.popitem(last=False)[1])

    def drop(self, digest: str) -> None:
        with self._lock:
            self._held -= len(self._memory.pop(digest, b""))
