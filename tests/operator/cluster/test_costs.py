"""What the gateway charged, asked over HTTP: of the real gateway, and of servers that are none."""

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from gateways import SECRET, allowance, prepare
from world import wish

from fedwright_crds.allowance import Limits, Role, verify
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.transcript import Charge, Transcript, call_digest
from fedwright_operator.cluster import costs
from fedwright_operator.cluster.config import ModelSettings
from fedwright_operator.cluster.costs import PATIENCE_SECONDS, Bills
from fedwright_operator.shell.allowances import allowance_to_ask

PROFILE = {"name": "fast", "model": "openai/m"}
ASKED = {"messages": [{"role": "user", "content": "Is it so?"}]}
CHARGE = Charge(tokens=7, nano_usd=3, calls=1, milliseconds=5)
NOTHING = Charge().to_wire()
ACCOUNT = {"charged": NOTHING, "limits": {}}
GOOD = {"request": ACCOUNT, "role": ACCOUNT, "roles": {"plan": CHARGE.to_wire()}}


def by_model(name: str = "wish") -> FLStrategyRequest:
    return wish(name, minds={"planner": "fast"}, budgets={"tokens": 1000})


def settings(folder: Path, url: str) -> ModelSettings:
    (folder / "secret").write_bytes(SECRET + b"\n")
    return ModelSettings(url=url, profiles=folder / "profiles.yaml", secret=folder / "secret")


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# -- the gateway itself ---------------------------------------------------------------------------
def recording(role: Role) -> Transcript:
    return Transcript(
        number=1,
        digest=call_digest(role, "fast", ASKED),
        request_uid="r",
        namespace="default",
        name="wish",
        role=role,
        work_id="w",
        profile="fast",
        date="2026-01-01T00:00:00+00:00",
        asked=ASKED,
        answer={"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": []},
        attempts=(),
        charged=CHARGE,
        cost_usd=0.0,
        latency_seconds=0.1,
    )


def test_the_gateway_tells_each_roles_share_of_this_request_alone(tmp_path: Path) -> None:
    recorded = tmp_path / "recorded" / "r"
    recorded.mkdir(parents=True)
    for role in (Role.PLAN, Role.CODE):
        (recorded / f"000001-{role}.json").write_text(json.dumps(recording(role).to_wire()))
    place = prepare(tmp_path, [PROFILE])
    with place.gateway("--replay", str(tmp_path / "recorded")) as gateway:
        for uid, role in (("uid-wish", "plan"), ("uid-wish", "code"), ("uid-other", "plan"), ("uid-wish", "plan")):
            gateway.ask(allowance("fast", request_uid=uid, role=role), "Is it so?")
        bills = Bills(settings(tmp_path, gateway.url))
        assert bills.of(by_model()) == {Role.PLAN: CHARGE + CHARGE, Role.CODE: CHARGE}
        assert bills.of(by_model("other")) == {Role.PLAN: CHARGE}
        assert bills.of(by_model("asked-nothing")) == {}


def test_what_asks_may_spend_nothing(tmp_path: Path) -> None:
    asks = allowance_to_ask(by_model())
    nothing = Limits(tokens=0, money_usd=0, calls=0, seconds=0)
    assert asks.request_limits == asks.role_limits == nothing
    assert asks.expires_at < time.time() + 120


def test_without_a_model_nobody_is_asked(tmp_path: Path) -> None:
    assert Bills(settings(tmp_path, "http://127.0.0.1:9")).of(wish()) == {}


# -- a gateway that is away -----------------------------------------------------------------------
def test_one_that_is_away_is_waited_for_and_then_done_without(tmp_path: Path) -> None:
    clock = Clock()
    bills = Bills(settings(tmp_path, "http://127.0.0.1:9"), clock)
    assert bills.of(by_model()) is None
    clock.now = PATIENCE_SECONDS - 1
    assert bills.of(by_model()) is None
    assert bills.of(by_model("later")) is None
    clock.now = PATIENCE_SECONDS
    assert bills.of(by_model()) == {}
    assert bills.of(by_model("later")) is None, "each request waits from when it asked first"


def test_one_that_comes_back_is_heard(tmp_path: Path) -> None:
    clock = Clock()
    with served(lambda handler: None) as url:
        bills = Bills(settings(tmp_path, url), clock)
        assert bills.of(by_model()) is None
    port = int(url.rpartition(":")[2])
    with served(answers(GOOD), port) as _:
        assert bills.of(by_model()) == {Role.PLAN: CHARGE}
    clock.now = 10 * PATIENCE_SECONDS
    assert bills.of(by_model()) is None, "a second absence is waited for as the first was"


def test_a_secret_that_is_gone_is_as_good_as_a_gateway_that_is(tmp_path: Path) -> None:
    given = settings(tmp_path, "http://127.0.0.1:9")
    given.secret.unlink()
    assert Bills(given).of(by_model()) is None


# -- servers that are none ------------------------------------------------------------------------
class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.answer(self)  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave early are part of the stories."""


Answer = Callable[[BaseHTTPRequestHandler], None]


class served:  # noqa: N801 - read as a verb
    """A server on loopback while this is open; its URL."""

    def __init__(self, answer: Answer, port: int = 0) -> None:
        self._server = Server(("127.0.0.1", port), Handler)
        self._server.answer = answer  # type: ignore[attr-defined]

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def answers(body: object, status: int = 200, **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def endless(piece: bytes, pause: float) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(piece)
            time.sleep(pause)

    return answer


def silent(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(30)


def wrong(**changes: object) -> dict[str, object]:
    return {**GOOD, **changes}


@pytest.mark.parametrize(
    "answer",
    [
        answers(b""),
        answers(b"no json"),
        answers(b"[" * 60_000),
        answers(wrong(roles={"president": NOTHING})),
        answers(wrong(roles={"plan": {**NOTHING, "tokens": -1}})),
        answers(wrong(roles={"plan": {**NOTHING, "tokens": 1e400}})),
        answers(wrong(more=1)),
        answers(GOOD, status=500),
        answers(GOOD, status=302, location="http://127.0.0.1:9/"),
        answers(GOOD, **{"content-length": "9999"}),
        endless(b" " * 4096, 0),
        endless(b" ", 0.02),
        silent,
    ],
    ids=[
        *("nothing", "no json", "deep", "unknown role", "negative", "infinite", "unknown field", "error", "redirect"),
        *("cut short", "endless", "drip", "silent"),
    ],
)
def test_what_is_no_account_is_no_bill_and_costs_the_pass_seconds_alone(
    answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "ASK_SECONDS", 0.5)
    with served(answer) as url:
        began = time.monotonic()
        found = Bills(settings(tmp_path, url)).of(by_model())
    assert time.monotonic() - began < 5
    assert found is None


def test_the_bearer_is_for_this_request_and_no_proxy_of_the_environment_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        heard.append(handler.headers["authorization"].removeprefix("Bearer "))
        answers(GOOD)(handler)

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with served(answer) as url:
            assert Bills(settings(tmp_path, url)).of(by_model()) == {Role.PLAN: CHARGE}
    (bearer,) = heard
    assert verify(bearer, SECRET, time.time()).request_uid == "uid-wish"
