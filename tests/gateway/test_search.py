"""Searches of the web, over HTTP to a real server: within their bounds, at their price, with their reason, and never with a key."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import scripted_search as scripted
from gateways import SECRET, Gateway, Place, allowance, prepare
from scripted_search import FOUND, Script, ScriptedSearch, first, of_provider, raw, refuse, results

from fedwright_agents.gateway import wire
from fedwright_agents.gateway.quiet import litellm
from fedwright_agents.gateway.search.engines import WANT_MORE
from fedwright_crds.allowance import Allowance, sign
from fedwright_crds.findings import Findings

KEY = "sentinel:key/of=searches 0123".replace(" ", "+")
PRICE = 5_000_000
"""Nano-dollars."""
TIMEOUT = 2.0
QUERY = "clustering of clients by their gradients"
PROVIDERS = [one.value for one in litellm.types.utils.SearchProviders if one.value not in WANT_MORE]


@dataclass(frozen=True)
class Fault:
    """A script, and how a search ends: the code (None: findings), the attempts that the server sees, how many cost their price."""

    script: Script
    code: str | None
    seen: int
    paid: int
    retries: int = 0
    says: str = ""
    most_seconds: float = 6.0


FAULTS = {
    "good": Fault(results(), None, 1, 1),
    "nothing": Fault(raw(b'{"results": []}'), None, 1, 1),
    "silent": Fault(scripted.hang, "timeout", 2, 2, retries=1, says="no whole answer in"),
    "drip": Fault(scripted.drip, "timeout", 1, 1, says="no whole answer in"),
    "endless": Fault(scripted.endless, "provider_error", 1, 1, retries=1, says="does not end: more than 16 MiB", most_seconds=30),
    "huge": Fault(raw(b" " * (17 * 2**20)), "provider_error", 1, 1, retries=1, says="does not end", most_seconds=30),
    "cut": Fault(scripted.cut, "provider_error", 2, 2, retries=1, says="cannot be read as search results"),
    "cut-then-good": Fault(first(scripted.cut, results()), None, 2, 2, retries=1),
    "half-json": Fault(raw(b'{"results": [{"tit'), "provider_error", 1, 1, says="cannot be read as search results"),
    "empty": Fault(raw(b""), "provider_error", 1, 1, says="cannot be read"),
    "null": Fault(raw(b"null"), "provider_error", 1, 1, says="cannot be read"),
    "list": Fault(raw(b"[1]"), "provider_error", 1, 1, says="cannot be read"),
    "no-list": Fault(raw(b'{"results": {"a": 1}}'), "provider_error", 1, 1, says="cannot be read"),
    "nested": Fault(raw(b"[" * 100_000), "provider_error", 1, 1, says="cannot be read"),
    "not-utf8": Fault(raw(b'{"results": "\xff\xfe"}'), "provider_error", 1, 1, says="cannot be read"),
    "html": Fault(raw(b"<html>", "text/html"), "provider_error", 1, 1, says="cannot be read as search results (text/html"),
    "compressed": Fault(raw(b"x", content_encoding="gzip"), "provider_error", 1, 1, says="compressed"),
    "limited": Fault(refuse(429), "rate_limited", 2, 0, retries=1, says="HTTP 429: boom"),
    "limited-for-long": Fault(refuse(429, retry_after="600"), "rate_limited", 1, 0, retries=3, says="HTTP 429"),
    "limited-then-good": Fault(first(refuse(429, retry_after="1"), results()), None, 2, 1, retries=1),
    "broken": Fault(refuse(503), "provider_error", 2, 2, retries=1, says="HTTP 503: boom"),
    "denied": Fault(refuse(401, f"bad key {KEY}"), "provider_error", 1, 0, retries=2, says="HTTP 401"),
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedSearch]:
    found = ScriptedSearch()
    yield found
    found.close()


@pytest.fixture(scope="module")
def thief() -> Iterator[ScriptedSearch]:
    """Another host, where a redirect would lead."""
    found = ScriptedSearch("127.0.0.2")
    yield found
    found.close()


MODEL = {"name": "fast", "model": "openai/x", "apiBase": "http://127.0.0.1:9/v1"}


def profile(server: ScriptedSearch, name: str, **changes: Any) -> dict[str, Any]:
    """An endpoint of one's own, or with a provider one of litellm's."""
    where = {"apiBase": server.url(name)} if "provider" in changes else {"endpoint": {"url": server.url(name)}}
    usual = {
        "name": name,
        "key": {"environment": "SEARCH_KEY"},
        "priceUsd": 0.005,
        "timeoutSeconds": TIMEOUT,
        "retries": 0,
    }
    return {key: value for key, value in {**usual, **where, **changes}.items() if value is not None}


def search_profiles(server: ScriptedSearch) -> list[dict[str, Any]]:
    named = {"url": server.url("named"), "query": "text", "parameters": {"lang": "en"}, "keyHeader": "X-Key",
             "results": "web.results", "title": "name", "link": "link", "snippet": "description"}  # fmt: skip
    return [
        *(profile(server, name, retries=one.retries) for name, one in FAULTS.items()),
        *(profile(server, one.replace("_", "-"), provider=one, timeoutSeconds=10) for one in PROVIDERS),
        profile(server, "named", endpoint=named),
        profile(server, "keyless", key=None),
        profile(server, "few", mostSearches=2),
        profile(server, "away"),
        profile(server, "away-by-litellm", provider="tavily"),
        profile(server, "endless-by-litellm", provider="brave", timeoutSeconds=60),
        profile(server, "nobody", endpoint={"url": "http://127.0.0.1:9/search"}, retries=1),
        profile(server, "nobody-by-litellm", provider="tavily", apiBase="http://127.0.0.1:9"),
        profile(server, "paced", requestsPerMinute=1),
        profile(server, "echo"),
    ]


@pytest.fixture(scope="module")
def gateway(
    server: ScriptedSearch, thief: ScriptedSearch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    server.scripts |= {name: fault.script for name, fault in FAULTS.items()}
    server.scripts |= {one.replace("_", "-"): of_provider(one) for one in PROVIDERS}
    away = raw(b"", status=307, location=thief.url("stolen"))
    server.scripts |= {"away": away, "away-by-litellm": away, "endless-by-litellm": scripted.endless}
    server.scripts["echo"] = results({"title": KEY, "url": "https://example.org/k", "snippet": f"the key is {KEY}."})
    environment = {"SEARCH_KEY": KEY, "TAVILY_API_KEY": "another-sentinel-key"}
    place = prepare(tmp_path_factory.mktemp("search"), [MODEL], environment, search_profiles(server))
    with place.gateway() as running:
        yield running
    require_no_key(place)


def require_no_key(place: Place) -> None:
    """In no transcript, ledger or line of the log, however a URL or a header may spell it."""
    spelled = [KEY, "sentinel%3Akey%2Fof%3Dsearches%2B0123", "another-sentinel-key"]
    for file in place.folder.rglob("*"):
        if file.is_file() and file.name != "profiles.yaml":
            content = file.read_bytes()
            assert not [one for one in spelled if one.encode() in content], file


def holder(search: str, **changes: Any) -> Allowance:
    return allowance("fast", **{"role": "plan", "search": search, "request_uid": f"uid-{search}", **changes})


@pytest.mark.parametrize("name", FAULTS)
def test_every_search_ends_with_its_reason_in_time_and_at_its_price(
    name: str, gateway: Gateway, server: ScriptedSearch
) -> None:
    fault, asks = FAULTS[name], holder(name, request_limits={"money_usd": 1.0})
    started = time.monotonic()
    response = gateway.search(asks, QUERY)
    assert time.monotonic() - started < max(fault.most_seconds, TIMEOUT * (1 + fault.retries) + 4)
    assert KEY not in response.text
    error = response.json().get("error", {})
    assert error.get("code") == fault.code, response.text
    assert fault.says in error.get("message", "")
    assert len(server.asked(name)) == fault.seen
    charged = gateway.charged(asks)
    assert (charged["nanoUsd"], charged["calls"], charged["tokens"]) == (fault.paid * PRICE, fault.seen, 0)
    (transcript,) = gateway.place.transcripts(asks.request_uid)
    assert (transcript["asked"], transcript["profile"], transcript["role"]) == ({"query": QUERY}, name, "plan")
    assert transcript.get("problem", {}).get("code") == fault.code
    assert transcript.get("answer") == (None if fault.code else response.json())
    assert transcript["charged"] == charged and transcript["costUsd"] == pytest.approx(fault.paid * 0.005)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_of_litellms_that_one_key_reaches_is_asked_once_where_the_profile_says(
    provider: str, gateway: Gateway, server: ScriptedSearch
) -> None:
    name = provider.replace("_", "-")
    response = gateway.search(holder(name), QUERY)
    assert response.status_code == 200, response.text
    assert response.json() == {"results": list(FOUND)}
    (asked,) = server.asked(name)
    assert QUERY in json.dumps([asked.body, dict(asked.parameters)])
    assert asked.headers["accept-encoding"] == "identity"


def test_an_endpoint_is_asked_and_read_by_the_names_that_the_profile_gives(
    gateway: Gateway, server: ScriptedSearch
) -> None:
    assert gateway.search(holder("named"), QUERY).json() == {"results": list(FOUND)}
    (asked,) = server.asked("named")
    assert (asked.method, asked.parameters) == ("GET", {"text": [QUERY], "lang": ["en"]})
    assert (asked.headers["x-key"], asked.headers.get("authorization")) == (KEY, None)


def test_a_key_is_a_bearer_unless_a_header_is_named_and_nobody_gets_one_that_is_not_his(
    gateway: Gateway, server: ScriptedSearch
) -> None:
    gateway.search(holder("good", request_uid="k"))
    assert server.asked("good")[-1].headers["authorization"] == f"Bearer {KEY}"
    assert gateway.search(holder("keyless")).status_code == 200
    assert "sentinel" not in json.dumps(dict(server.asked("keyless")[0].headers))


@pytest.mark.parametrize("name", ["away", "away-by-litellm"])
def test_a_redirect_is_not_followed(name: str, gateway: Gateway, thief: ScriptedSearch) -> None:
    error = gateway.search(holder(name)).json()["error"]
    assert error["code"] == "provider_error" and error["message"].endswith("it redirects to 127.0.0.2")
    assert thief.sought == []
    assert gateway.charged(holder(name))["nanoUsd"] == 0


def test_an_endless_answer_ends_with_litellms_clients_too(gateway: Gateway) -> None:
    assert "does not end" in gateway.search(holder("endless-by-litellm")).json()["error"]["message"]


@pytest.mark.parametrize("name", ["nobody", "nobody-by-litellm"])
def test_no_connection_is_free(name: str, gateway: Gateway) -> None:
    error = gateway.search(holder(name)).json()["error"]
    assert error["code"] == "provider_error" and "127.0.0.1:9: no connection" in error["message"]
    assert gateway.charged(holder(name))["nanoUsd"] == 0


def test_a_request_has_as_many_searches_as_the_administrator_says_in_all_its_works(
    gateway: Gateway, server: ScriptedSearch
) -> None:
    asks = [holder("few", work_id=f"plan-{number}") for number in range(3)]
    codes = [gateway.search(one).json().get("error", {}).get("code") for one in asks]
    assert codes == [None, None, "budget_exhausted"]
    error = gateway.search(asks[0]).json()["error"]
    assert error["message"].startswith("budget exhausted: searches of the request: 0 left of 2; go on without")
    assert (error["budget"], error["scope"], error["limit"]) == ("searches", "request", 2)
    assert len(server.asked("few")) == 2
    assert gateway.search(holder("few", request_uid="another")).status_code == 200
    assert [one.get("problem", {}).get("code") for one in gateway.place.transcripts("uid-few")] == [
        *(None, None, "budget_exhausted", "budget_exhausted")
    ]


@pytest.mark.parametrize(
    ("limits", "budget"),
    [({"money_usd": 0.004}, "money_usd"), ({"calls": 0}, "calls"), ({"seconds": 1}, "seconds")],
    ids=lambda one: str(one),
)
@pytest.mark.parametrize("scope", ["request", "role"])
def test_a_search_that_would_pass_a_limit_is_not_made(
    scope: str, limits: dict[str, float], budget: str, gateway: Gateway, server: ScriptedSearch
) -> None:
    before, uid = len(server.sought), f"limit-{scope}-{budget}"
    error = gateway.search(holder("good", request_uid=uid, **{f"{scope}_limits": limits})).json()["error"]
    assert (error["code"], error["budget"], error["scope"]) == ("budget_exhausted", budget, scope)
    assert len(server.sought) == before
    assert gateway.charged(holder("good", request_uid=uid))["calls"] == 0


def test_the_pace_of_a_profile_is_kept(gateway: Gateway, server: ScriptedSearch) -> None:
    codes = [gateway.search(holder("paced")).json().get("error", {}).get("code") for _ in range(2)]
    assert (codes, len(server.asked("paced"))) == ([None, "rate_limited"], 1)


def test_a_key_that_results_or_a_question_repeat_reaches_nobody(gateway: Gateway, server: ScriptedSearch) -> None:
    (one,) = gateway.search(holder("echo"), f"what is {KEY}").json()["results"]
    assert (one["title"], one["snippet"]) == ("[redacted]", "the key is [redacted].")
    assert server.asked("echo")[0].parameters["q"] == ["what is [redacted]"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not JSON in UTF-8; send an object with query"),
        ([], "the body is no object; send one with query"),
        ({}, "query: field required"),
        ({"query": "ab"}, "query: string should have at least 3 characters"),
        ({"query": "x" * 301}, "query: string should have at most 300 characters"),
        ({"query": "abc", "url": "http://127.0.0.1"}, "url is not taken; remove it"),
        ({"query": "abc", "max_results": 50}, "max_results is not taken; remove it"),
    ],
)
def test_a_bad_body_is_refused_before_anything_is_spent(
    body: Any, message: str, gateway: Gateway, server: ScriptedSearch
) -> None:
    before, asks = len(server.sought), holder("good", request_uid="bad")
    error = gateway.post(body, sign(asks, SECRET), path="/v1/search").json()["error"]
    assert (error["code"], error["message"]) == ("bad_request", message)
    assert len(server.sought) == before and gateway.place.transcripts("bad") == []


def test_who_may_ask_a_model_may_not_search_unless_the_allowance_says_so(gateway: Gateway) -> None:
    response = gateway.search(allowance("fast", role="plan"))
    assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorized")
    assert response.json()["error"]["message"].startswith("the allowance is for no search of the web")
    response = gateway.search(holder("ghost"))
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_profile")
    for bearer in ("x", sign(holder("good"), b"0" * 32), sign(holder("good", expires_at=1), SECRET)):
        assert gateway.post({"query": QUERY}, bearer, path="/v1/search").status_code == 401


@pytest.fixture(scope="module")
def replay(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Of a search and of one that failed; where the server was, nothing listens."""
    for _ in range(2):
        gateway.search(holder("good", request_uid="recorded"), "recorded")
    gateway.search(holder("broken", request_uid="recorded"), "recorded")
    endpoint = {"url": "http://127.0.0.1:9/search"}
    gone = [{"name": one, "endpoint": endpoint, "key": {"environment": "NOWHERE"}} for one in ("good", "broken")]
    place = prepare(tmp_path_factory.mktemp("replay"), [MODEL], {}, gone)
    folder = gateway.place.state / "transcripts"
    with place.gateway("--replay", str(folder)) as running:
        yield running


def test_a_recorded_search_is_answered_and_charged_as_it_was(replay: Gateway) -> None:
    asks = holder("good", request_uid="again")
    assert replay.search(asks, "recorded").json() == {"results": list(FOUND)}
    assert replay.charged(asks)["nanoUsd"] == PRICE
    (transcript,) = replay.place.transcripts("again")
    assert transcript["replayed"] and Findings.model_validate_json(json.dumps(transcript["answer"]))
    assert "HTTP 503" in replay.search(holder("broken", request_uid="again"), "recorded").json()["error"]["message"]


def test_a_search_that_is_not_recorded_is_refused_as_a_chat_is(replay: Gateway) -> None:
    response = replay.search(holder("good", request_uid="new"), "something else")
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (424, "not_recorded")
    assert error["message"].startswith("not recorded: plan sha256:")
    assert replay.charged(holder("good", request_uid="new"))["calls"] == 0


def test_a_provider_that_cannot_be_asked_is_told_at_the_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    wrong = [{"name": "web", "provider": "gogle"}, {"name": "web2", "provider": "google_pse"}]
    place = prepare(tmp_path_factory.mktemp("wrong"), [MODEL], {}, wrong)
    process = place.spawn()
    assert process.wait(timeout=240) == 2
    said = place.log.read_text()
    assert "search profile web: provider is gogle, which litellm does not know; write one of perplexity, tavily" in said
    assert "search profile web2: provider is google_pse, which wants a search engine's id beside its key" in said
    if process.stdout:
        process.stdout.close()


def test_a_key_that_is_missing_is_told_at_the_start(
    server: ScriptedSearch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = prepare(tmp_path_factory.mktemp("missing"), [MODEL], {}, [profile(server, "web")])
    process = place.spawn()
    assert process.wait(timeout=240) == 2
    assert "profile web: the key is missing: the environment variable SEARCH_KEY is not set" in place.log.read_text()
    if process.stdout:
        process.stdout.close()


def test_a_request_for_another_host_than_the_profiles_is_not_sent(thief: ScriptedSearch) -> None:
    """Whatever a provider's client makes of an address."""

    async def ask() -> wire.Wire:
        async with wire.client() as client:
            with wire.attempt("127.0.0.1:1") as seen, pytest.raises(wire.BrokenOffError, match="not the host that the"):
                await client.get(thief.url("other"), headers={"authorization": KEY})
        return seen

    assert not asyncio.run(ask()).sent and thief.asked("other") == []
