"""What a failed attempt may have cost, by what was seen of it on the wire."""

import asyncio

import pytest
from scripted_provider import ScriptedProvider

from fedwright_agents.gateway import wire
from fedwright_agents.gateway.errors import Code
from fedwright_agents.gateway.faults import fault
from fedwright_agents.gateway.quiet import litellm
from fedwright_agents.gateway.wire import BrokenOffError, Wire

UNSEEN = Wire()
REACHED = Wire(endpoint="host")
SENT = Wire(endpoint="host", sent=True)


def bad() -> Exception:
    return litellm.BadRequestError("no such parameter", "m", "p")


@pytest.mark.parametrize(
    ("problem", "seen", "code", "processed", "again"),
    [
        (TimeoutError(), UNSEEN, Code.TIMEOUT, True, True),
        (RuntimeError(), UNSEEN, Code.PROVIDER_ERROR, True, False),
        (bad(), UNSEEN, Code.BAD_REQUEST, False, False),
        (TimeoutError(), REACHED, Code.TIMEOUT, False, True),
        (RuntimeError(), REACHED, Code.PROVIDER_ERROR, False, True),
        (TimeoutError(), SENT, Code.TIMEOUT, True, True),
        (RuntimeError(), SENT, Code.PROVIDER_ERROR, True, True),
    ],
)
def test_only_what_certainly_did_no_work_is_free(
    problem: Exception, seen: Wire, code: Code, processed: bool, again: bool
) -> None:
    found = fault(problem, seen, 1.0)
    assert (found.code, found.processed, found.again) == (code, processed, again)


REFUSED = {400: False, 401: False, 302: False, 429: True}
WORKED = {408: True, 409: True, 500: True, 503: True}


@pytest.mark.parametrize(
    ("status", "processed", "again"),
    [(status, worked, again) for worked, some in ((False, REFUSED), (True, WORKED)) for status, again in some.items()],
)
def test_a_status_says_whether_there_was_work(status: int, processed: bool, again: bool) -> None:
    found = fault(RuntimeError(), Wire(endpoint="host", sent=True, status=status), 1.0)
    assert (found.processed, found.again) == (processed, again)


def test_one_attempt_is_one_request(provider: ScriptedProvider) -> None:
    """litellm asks some providers again by itself, which nobody has reserved."""
    body = {"model": "m", "messages": [], "max_tokens": 1}

    async def run() -> str | None:
        with wire.attempt() as seen:
            async with wire.client() as client:
                await client.post(f"{provider.url}/token", json=body)
                await client.post(provider.url, json=body)
                with pytest.raises(BrokenOffError):
                    await client.post(provider.url, json=body)
            return seen.broken_off

    provider.received.clear()
    assert asyncio.run(run()) == "a second request within one attempt was stopped, since only one was reserved"
    assert len(provider.received) == 2
