"""The promise: parallel minds, one budget, deaths on both sides, and the provider's own count never passes the budget."""

import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from gateways import SECRET, Gateway, Place, allowance, prepare
from scripted_provider import Handler, Json, ScriptedProvider, answer

from fedwright_agents.gateway.ledger import Ledger
from fedwright_crds.allowance import Allowance, sign

BUDGET = 20_000
CLIENTS = 8
ROLES = ("plan", "code", "code", "debug", "reflect", "review", "review", "review")

CLIENT = """
import http.client, json, sys, time
port, token = int(sys.argv[1]), sys.argv[2]
content = "What would you try next, and why? " * 3
body = json.dumps({"model": "fast", "messages": [{"role": "user", "content": content}], "max_tokens": 150})
while True:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {token}"})
        response = connection.getresponse()
        response.read()
    except OSError:
        time.sleep(0.1)
        continue
    except http.client.HTTPException:
        continue
    if response.status != 200:
        sys.exit(0 if response.status == 402 else 1)
"""


def holder(role: str) -> Allowance:
    return allowance("fast", request_uid="shared", role=role, request_limits={"tokens": BUDGET})


def slow(handler: Handler, body: Json, before: int) -> None:
    time.sleep(random.uniform(0.05, 0.4))
    answer()(handler, body, before)


def until(holds: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def place(provider: ScriptedProvider, tmp_path: Path) -> Place:
    provider.scripts["fast"] = slow
    provider.counted = 0
    provider.received.clear()
    profile: Json = {
        "name": "fast",
        "model": "openai/fast",
        "apiBase": provider.url,
        "timeoutSeconds": 20,
        "retries": 1,
    }
    return prepare(tmp_path, [profile])


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def clients(port: int) -> list[subprocess.Popen[bytes]]:
    return [subprocess.Popen([sys.executable, "-c", CLIENT, str(port), sign(holder(role), SECRET)]) for role in ROLES]


def exhausted(gateway: Gateway) -> bool:
    """For a question that is somewhat longer than those of the clients."""
    return (
        gateway.ask(holder("plan"), "x" * 200, max_tokens=150).json().get("error", {}).get("code") == "budget_exhausted"
    )


@pytest.mark.slow
def test_a_gateway_that_is_killed_midway_and_started_again(provider: ScriptedProvider, place: Place, port: int) -> None:
    minds: list[subprocess.Popen[bytes]] = []
    try:
        with place.gateway("--port", str(port)) as first:
            minds = clients(port)
            until(lambda: provider.counted > BUDGET / 4)
            first.process.send_signal(signal.SIGKILL)
        at_death = len(provider.received)
        assert provider.counted < BUDGET / 2
        with place.gateway("--port", str(port)) as second:
            assert [mind.wait(240) for mind in minds] == [0] * CLIENTS
            assert exhausted(second)
            charged = second.charged(holder("plan"))["tokens"]
    finally:
        for mind in minds:
            mind.kill()
            mind.wait()
    assert len(provider.received) > at_death
    assert BUDGET / 2 < provider.counted <= charged <= BUDGET
    ledger = Ledger(place.state / "ledger.sqlite")
    assert ledger.settled("shared").tokens < charged, "the kill met no call in flight"
    ledger.close()


@pytest.mark.slow
def test_minds_that_are_killed_midway(provider: ScriptedProvider, place: Place, port: int) -> None:
    with place.gateway("--port", str(port)) as gateway:
        minds = clients(port)
        try:
            until(lambda: provider.counted > BUDGET / 4)
            for mind in minds[::2]:
                mind.kill()
            assert [mind.wait(240) for mind in minds[1::2]] == [0] * (CLIENTS // 2)
            assert exhausted(gateway)
        finally:
            for mind in minds:
                mind.kill()
                mind.wait()
        charged = gateway.charged(holder("plan"))["tokens"]
        assert BUDGET / 2 < provider.counted <= charged <= BUDGET
        assert len(gateway.place.transcripts("shared")) >= len(provider.received)
