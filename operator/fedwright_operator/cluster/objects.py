"""A bucket, or a folder of one: Amazon S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

A put there is whole or not at all, whatever becomes of who puts. It knows names and bytes, and nothing of what they mean.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore, from_url

SCHEMES = frozenset({"s3", "s3a", "gs", "gcs", "az", "azure", "abfs", "abfss", "adl"})
PIECE_BYTES = 1024 * 1024
_CLIENT = {"timeout": "45s", "connect_timeout": "5s"}
_RETRY = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=2), "base": 2},
}
"""A pass that waits holds up others, and must end long before it counts as stuck; it comes again anyway."""


class Objects:
    """Safe to use from many threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def names(self) -> Iterator[str]:
        for page in self._store.list():
            yield from (one["path"] for one in page)

    def pieces(self, name: str) -> Iterator[bytes]:
        """Raises FileNotFoundError if it is not there."""
        yield from map(bytes, self._store.get(name).stream(min_chunk_size=PIECE_BYTES))

    def put_new(self, name: str, data: bytes) -> None:
        """Unless something has that name already, which then stays."""
        with suppress(AlreadyExistsError):
            try:
                self._store.put(name, data, mode="create", use_multipart=False)
            except NotImplementedError:  # by the option conditional_put: disabled
                self._put_unless_there(name, data)

    def _put_unless_there(self, name: str, data: bytes) -> None:
        """Of two at once the later one overwrites the other, with the same bytes."""
        try:
            self._store.head(name)
        except FileNotFoundError:
            self._store.put(name, data, use_multipart=False)

    def remove(self, name: str) -> None:
        """It may be gone already."""
        with suppress(FileNotFoundError):
            self._store.delete(name)

    def probe(self) -> None:
        """Raises where the bucket cannot be asked for what it holds."""
        next(iter(self._store.list(chunk_size=1)), None)


def opened(url: str, options: Mapping[str, Any]) -> Objects:
    """Nothing is asked of it yet. Credentials are the environment's. Raises where the URL or an option cannot be."""
    given: dict[str, Any] = dict(options)
    client = {**_CLIENT, **(given.pop("client_options", None) or {})}
    retry = {**_RETRY, **(given.pop("retry_config", None) or {})}
    make: Any = from_url  # its overloads know each store's options, and these are the administrator's
    try:
        return Objects(make(url, client_options=client, retry_config=retry, **given))
    except BaseException as problem:
        if type(problem).__module__ != "pyo3_runtime":
            raise
        # A panic, which is no Exception: what it takes for the connection it does not expect among the store's own.
        raise ValueError("options of the connection, such as allow_http, stand under client_options") from None
