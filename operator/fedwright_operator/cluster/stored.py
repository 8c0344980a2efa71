"""Artifacts at the URL of `artifacts.url`: `<namespace>/<digest>`, written once, and checked whenever they are read.

A namespace has a folder of its own, so who names a digest finds what lies in his own namespace and nothing else. What the
store says when it fails stands in no message: it may quote what was sent.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import Protocol

from fedwright_operator.cluster.api import AwayError

AWAY, REFUSED, WRONG = "StoreAway", "StoreRefuses", "StoredWrong"
PAUSE_SECONDS = 5.0
"""A store that is away is asked nothing for so long: many passes would wait for the same time-out. One that refuses does so at
once, and may refuse one thing alone."""
OWNER = "_owner"
"""The object that says which installation may collect; no namespace is called so."""
_OWNER_BYTES = 256
_LOCKS = 64
_STATUS = re.compile(r"status code: ([1-5]\d\d [A-Za-z ]{1,40})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_LATER = ("408", "429", "5")


class StoreError(AwayError):
    """It cannot be done now; it is tried again. `reason` is AWAY, REFUSED or WRONG, of which the last two need a person."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Backend(Protocol):
    """Bytes by name. What it raises is its own, save FileNotFoundError."""

    def names(self) -> Iterator[str]: ...
    def pieces(self, name: str) -> Iterator[bytes]: ...
    def put_new(self, name: str, data: bytes) -> None: ...
    def remove(self, name: str) -> None: ...
    def probe(self) -> None: ...


class Store:
    """Safe to use from many threads."""

    def __init__(self, backend: Backend, clock: Callable[[], float] = time.monotonic) -> None:
        self._backend, self._clock = backend, clock
        self._locks = tuple(Lock() for _ in range(_LOCKS))
        self._failed: tuple[StoreError, float] | None = None

    def alone(self, digest: str) -> Lock:
        """Hold it while a record and its object must agree: of this process, no other writes or removes that digest."""
        return self._locks[int(plain(digest)[:8], 16) % _LOCKS]

    def keep(self, namespace: str, digest: str, data: bytes) -> None:
        """Raises StoreError where it is not there afterwards, whole. What had the name already is not overwritten."""
        with self._asking():
            self._backend.put_new(name_of(namespace, digest), data)
        try:
            for _ in self.pieces(namespace, digest, len(data)):
                pass
        except KeyError as problem:
            raise StoreError(WRONG, str(problem.args[0])) from None

    def pieces(self, namespace: str, digest: str, size: int) -> Iterator[bytes]:
        """The bytes, to be believed when all have come. Raises KeyError if they are gone or not what their name says."""
        name, hashed, left = name_of(namespace, digest), hashlib.sha256(), size
        for piece in self._read(name):
            hashed.update(piece)
            left -= len(piece)
            if left < 0:
                break  # however much more there may be
            yield piece
        if left or hashed.hexdigest() != plain(digest):
            raise KeyError(f"the object {name} below artifacts.url is not what its name says; delete it")

    def names(self) -> Iterator[str]:
        with self._asking():
            yield from self._backend.names()

    def remove(self, name: str) -> None:
        with self._asking():
            self._backend.remove(name)

    def owner(self, claimant: str) -> str:
        """Whose it is to collect: the claimant's, unless another was there before."""
        for first in (True, False):
            try:
                return b"".join(islice(self._read(OWNER), 1))[:_OWNER_BYTES].decode(errors="replace")
            except KeyError:
                if first:
                    with self._asking():
                        self._backend.put_new(OWNER, claimant.encode())
        raise StoreError(AWAY, f"artifacts.url: {OWNER} was put there and cannot be read")

    def check(self) -> None:
        """Raises StoreError if it failed last and still does: before much is done that it would waste."""
        if self._failed:
            self.probe()

    def probe(self) -> None:
        """Raises StoreError where it cannot be used as it is."""
        with self._asking():
            self._backend.probe()

    def _read(self, name: str) -> Iterator[bytes]:
        found = False
        try:
            with self._asking(missing=True):
                for piece in self._backend.pieces(name):
                    found = True
                    yield piece
        except FileNotFoundError:
            self.probe()  # else it is the bucket that is gone
            if not found:
                raise KeyError(f"the object {name} is not below artifacts.url any more") from None
            raise StoreError(AWAY, f"artifacts.url: {name} went while it was read") from None

    @contextmanager
    def _asking(self, *, missing: bool = False) -> Iterator[None]:
        """`missing`: that something is not there is an answer."""
        failed = self._failed
        if failed and self._clock() < failed[1]:
            raise StoreError(failed[0].reason, str(failed[0]))
        try:
            yield
            self._failed = None
        except StoreError:
            raise
        except Exception as problem:  # of any file system's own kind
            if missing and isinstance(problem, FileNotFoundError):
                raise
            error = error_of(problem)
            self._failed = error, self._clock() + (PAUSE_SECONDS if error.reason == AWAY else 0.0)
            raise error from None


def name_of(namespace: str, digest: str) -> str:
    return f"{namespace}/{plain(digest)}"


def plain(digest: str) -> str:
    """Its 64 characters. Raises KeyError for what is none."""
    found = digest.removeprefix("sha256:")
    if len(found) != 64 or not set(found) <= set("0123456789abcdef"):
        raise KeyError(f"{digest!r} is no digest")
    return found


def error_of(problem: Exception) -> StoreError:
    """What failed, in words that quote nothing of what was sent."""
    words, status = _words(problem)
    refused = isinstance(problem, (FileNotFoundError, PermissionError, NotImplementedError)) or type(
        problem
    ).__name__ in {
        "UnauthenticatedError",
        "PermissionDeniedError",
        "NotSupportedError",
    }
    if refused or (status and not status.startswith(_LATER)):
        mend = "check that the bucket or folder is there, and the rights of what artifacts.credentialsSecret holds"
        return StoreError(REFUSED, f"artifacts.url: the store refuses ({words}); {mend}")
    return StoreError(AWAY, f"artifacts.url: the store does not do what is asked ({words}); it is asked again")


def _words(problem: Exception) -> tuple[str, str]:
    """Its kind, and the HTTP status where there is one."""
    said = str(problem)
    status, code = _STATUS.search(said), _CODE.search(said)
    found = [one.group(1).strip() for one in (status, code) if one]
    if found:
        return ", ".join(found), found[0] if status else ""
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror, ""
    return "no answer" if "HTTP error" in said else type(problem).__name__, ""
