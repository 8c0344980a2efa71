"""A mind and its gateway, over HTTP: one that is away is waited for, a call that breaks off is asked again, but not for ever."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scripted_provider import Script, ScriptedProvider, answer, cut, first, refuse

from fedwright_agents.model_mind.gateway_model import ASKED_AGAIN, GatewayModel
from fedwright_agents.model_mind.model import ModelError

QUESTION = [{"role": "user", "content": "Is it so?"}]


@contextmanager
def mind(url: str, patience: float = 3.0) -> Iterator[GatewayModel]:
    model = GatewayModel("fast", url, "an-allowance", patience)
    with model._client:
        yield model


@contextmanager
def asked(script: Script) -> Iterator[tuple[ScriptedProvider, GatewayModel]]:
    server = ScriptedProvider({"fast": script})
    try:
        with mind(server.url.removesuffix("/v1")) as model:
            yield server, model
    finally:
        server.close()


def test_a_call_that_breaks_off_is_asked_again() -> None:
    with asked(first(cut, answer("Yes."))) as (server, model):
        assert model.ask(QUESTION).text == "Yes."
        bodies = [one.body for one in server.asked("fast")]
        assert len(bodies) == 2 and bodies[0] == bodies[1]


def test_one_that_breaks_off_again_and_again_is_given_up() -> None:
    with asked(cut) as (server, model), pytest.raises(ModelError, match="the model gateway does not answer"):
        model.ask(QUESTION)
    assert len(server.asked("fast")) == 1 + ASKED_AGAIN


def test_a_refusal_is_an_answer() -> None:
    with asked(refuse(402, "budget exhausted", "budget_exhausted")) as (server, model):
        with pytest.raises(ModelError) as refusal:
            model.ask(QUESTION)
        assert refusal.value.code == "budget_exhausted" and len(server.asked("fast")) == 1


def test_a_gateway_that_is_not_there_yet_is_waited_for() -> None:
    server = ScriptedProvider({"fast": answer("Yes.")})
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))  # and listens later: until then it is refused
        threading.Thread(target=_open, args=(door, 1.5, server.server_port), daemon=True).start()
        began = time.monotonic()
        with mind(f"http://127.0.0.1:{door.getsockname()[1]}", patience=30.0) as model:
            assert model.ask(QUESTION).text == "Yes."
    assert time.monotonic() - began > 1.4
    assert len(server.asked("fast")) == 1
    server.close()


def _open(door: socket.socket, seconds: float, port: int) -> None:
    """Let one connection through to the server's port, after a while."""
    time.sleep(seconds)
    door.listen()
    outside, _ = door.accept()
    with outside, socket.create_connection(("127.0.0.1", port)) as inside:
        for source, target in ((outside, inside), (inside, outside)):
            target.sendall(_message(source))


def _message(source: socket.socket) -> bytes:
    """Head and body of one, by its length."""
    said = b""
    source.settimeout(30)
    while b"\r\n\r\n" not in said:
        said += _more(source)
    head, _, body = said.partition(b"\r\n\r\n")
    (length,) = [int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length")]
    while len(body) < length:
        body += _more(source)
    return head + b"\r\n\r\n" + body


def _more(source: socket.socket) -> bytes:
    part = source.recv(65536)
    assert part, "it ends before its message does"
    return part


def test_one_that_stays_away_is_not_waited_for_for_ever() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        began = time.monotonic()
        with (
            mind(f"http://127.0.0.1:{door.getsockname()[1]}", patience=1.0) as model,
            pytest.raises(ModelError) as refusal,
        ):
            model.ask(QUESTION)
    assert refusal.value.code == "gateway_away" and 0.5 < time.monotonic() - began < 5
