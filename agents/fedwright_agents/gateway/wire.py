"""The HTTP side of one attempt: the client that every provider is called with, and what happened on the wire.

litellm and the providers' clients beneath it wrap, rename and hide what a server did. Whether a request was sent and which
status came back decides what the attempt may have cost, so it is noted here, at the socket. Here too an answer is bounded:
by bytes, and to the host that was asked, since a redirect would carry the key along.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

MOST_ANSWER_BYTES = 16 * 1024 * 1024
"""Of one answer's body. 8 answers of 8,000 tokens with 20 log-probabilities each are about as large."""


class BrokenOffError(Exception):
    """An exchange that the gateway itself ended, and why."""


@dataclass
class Wire:
    """What is known of one attempt."""

    endpoint: str = ""
    """Host and port; empty until a request was made."""
    sent: bool = False
    """Whether any byte of a request may have left."""
    status: int | None = None
    retry_after: float | None = None
    """Seconds, where the server named them."""
    content_type: str = ""
    body: bytearray = field(default_factory=bytearray)
    broken_off: str | None = None
    posted: set[str] = field(default_factory=set)
    host: str | None = None
    """Host and port that alone may be asked; None: what the client chooses."""

    def break_off(self, reason: str) -> BrokenOffError:
        self.broken_off = reason
        return BrokenOffError(reason)


_current: ContextVar[Wire] = ContextVar("wire")


@contextmanager
def attempt(host: str | None = None) -> Iterator[Wire]:
    """Note what every client of `client()` does in this context; with a host it is asked alone."""
    wire = Wire(host=host)
    token = _current.set(wire)
    try:
        yield wire
    finally:
        _current.reset(token)


def client() -> httpx.AsyncClient:
    """It may be used inside `attempt()` alone. Proxies of the environment are honoured."""
    return httpx.AsyncClient(
        follow_redirects=False,
        timeout=httpx.Timeout(3600, connect=30),
        event_hooks={"request": [_before], "response": [_after]},
    )


async def _before(request: httpx.Request) -> None:
    wire = _current.get()
    url = str(request.url)
    if wire.host is not None and request.url.netloc.decode() != wire.host:
        raise wire.break_off(
            f"the request was made for {request.url.host}, which is not the host that the profile names"
        )
    # Another try after one of which no byte left is none: a client that found no connection may look for one again.
    if request.method == "POST" and url in wire.posted and wire.sent:
        raise wire.break_off("a second request within one attempt was stopped, since only one was reserved")
    wire.posted.add(url)
    wire.endpoint = request.url.netloc.decode()
    # A compressed answer could be a thousand times its size on the wire.
    request.headers["accept-encoding"] = "identity"
    request.extensions["trace"] = _trace(wire)


def _trace(wire: Wire) -> Any:
    async def note(event: str, _info: Mapping[str, Any]) -> None:
        if event.endswith("send_request_headers.started"):
            wire.sent = True

    return note


async def _after(response: httpx.Response) -> None:
    wire = _current.get()
    wire.status = response.status_code
    wire.retry_after = retry_after(response.headers, datetime.now(UTC))
    wire.content_type = response.headers.get("content-type", "")[:100]
    wire.body.clear()
    if response.is_redirect:
        raise wire.break_off(f"it redirects to {httpx.URL(response.headers.get('location', '')).host or 'nowhere'}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise wire.break_off("its answer is compressed, which was not asked for")
    assert isinstance(response.stream, httpx.AsyncByteStream)
    response.stream = _Bounded(response.stream, wire)


class _Bounded(httpx.AsyncByteStream):
    """A body that ends the exchange when it grows too large; a copy of it is kept."""

    def __init__(self, stream: httpx.AsyncByteStream, wire: Wire) -> None:
        self._stream, self._wire = stream, wire

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._wire.body += chunk
            if len(self._wire.body) > MOST_ANSWER_BYTES:
                raise self._wire.break_off(f"its answer does not end: more than {MOST_ANSWER_BYTES // 2**20} MiB")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after`, a number or a date (RFC 9110, section 10.2.3)."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if value.replace(".", "", 1).isdecimal():
            return float(value) * unit
    try:
        return max(0.0, (parsedate_to_datetime(headers.get("retry-after", "")) - now).total_seconds())
    except (ValueError, TypeError):
        return None
