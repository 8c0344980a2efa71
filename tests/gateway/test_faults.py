"""What a provider may do wrong, each over HTTP and each ending in time, inside the budget, with the code that is stated."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
import scripted_provider as scripted
from gateways import SECRET, Gateway, allowance, prepare
from scripted_provider import Script, ScriptedProvider, answer, first, raw, refuse

from fedwright_crds.allowance import sign

KEY = "sentinel-key-0123456789"
TIMEOUT = 2.0
BUDGET = 40_000
PROMPT = "Is it so?"
JSON_OF_PROMPT = len(json.dumps({"messages": [{"role": "user", "content": PROMPT}]}, separators=(",", ":")))
WORST = JSON_OF_PROMPT + 512 + 100
"""Of an attempt with max_tokens 100."""
COUNTED = len(PROMPT) + scripted.TEMPLATE + 100
"""What the server counts for it, and reports."""


@dataclass(frozen=True)
class Fault:
    """A script, and how a call ends: the code (None: an answer), the attempts that the server sees, the tokens charged."""

    script: Script
    code: str | None
    seen: int
    tokens: int
    retries: int = 0
    fallbacks: tuple[str, ...] = ()
    says: str = ""
    most_seconds: float = 5.0


FAULTS = {
    "silent": Fault(scripted.hang, "timeout", 2, 2 * WORST, retries=1, says="no whole answer in"),
    "drip": Fault(scripted.drip, "timeout", 1, WORST, says="no whole answer in"),
    "endless": Fault(scripted.endless, "provider_error", 1, WORST, retries=1, says="does not end: more than 16 MiB", most_seconds=30),
    "cut": Fault(scripted.cut, "provider_error", 2, 2 * WORST, retries=1, says="cannot be read"),
    "cut-then-good": Fault(first(scripted.cut, answer()), None, 2, WORST + COUNTED, retries=1),
    "half-json": Fault(raw(b'{"choices": [{"mess'), "provider_error", 1, WORST, says="cannot be read"),
    "empty-body": Fault(raw(b""), "provider_error", 1, WORST, says="cannot be read"),
    "null-body": Fault(raw(b"null"), "provider_error", 1, WORST, says="cannot be read"),
    "list-body": Fault(raw(b"[1]"), "provider_error", 1, WORST, says="cannot be read"),
    "not-utf8": Fault(raw(b'{"choices": "\xff\xfe"}'), "provider_error", 1, WORST, says="cannot be read"),
    "nested": Fault(raw(b"[" * 100_000), "provider_error", 1, WORST, says="cannot be read"),
    "choices-text": Fault(answer(choices="none"), "provider_error", 1, WORST, says="cannot be read"),
    "nan-logprobs": Fault(
        answer(choices=[{"index": 0, "message": {"role": "assistant", "content": "Y"}, "finish_reason": "stop",
                         "logprobs": {"content": [{"token": "Y", "logprob": float("nan"), "top_logprobs": []}]}}]),
        "provider_error", 1, WORST, says="cannot be read",
    ),
    "half-a-character": Fault(answer("Yes \ud83d"), "provider_error", 1, WORST, says="cannot be read"),
    "html": Fault(raw(b"<html>welcome</html>", "text/html"), "provider_error", 1, WORST, says="cannot be read as a completion (text/html"),
    "no-choices": Fault(answer(choices=[]), "provider_error", 2, 2 * COUNTED, retries=1, says="an empty answer"),
    "empty-choice": Fault(answer(""), "provider_error", 1, COUNTED, says="an empty answer"),
    "empty-then-good": Fault(first(answer(""), answer()), None, 2, 2 * COUNTED, retries=1),
    "compressed": Fault(raw(b"x", content_encoding="gzip"), "provider_error", 1, WORST, says="compressed"),
    "limited": Fault(refuse(429), "rate_limited", 2, 0, retries=1, says="HTTP 429: boom"),
    "limited-for-long": Fault(refuse(429, retry_after="600"), "rate_limited", 1, 0, retries=3, says="HTTP 429"),
    "limited-then-good": Fault(first(refuse(429, retry_after="1"), answer()), None, 2, COUNTED, retries=1),
    "broken-then-good": Fault(first(refuse(500), answer()), None, 2, WORST + COUNTED, retries=1),
    "broken": Fault(refuse(503), None, 2, 2 * WORST + COUNTED, retries=1, fallbacks=("spare",)),
    "all-broken": Fault(refuse(500), "provider_error", 1, 2 * WORST, fallbacks=("spare-broken",), says="HTTP 500: boom"),
    "denied": Fault(refuse(401, f"Incorrect API key provided: {KEY}"), "provider_error", 1, 0, retries=2, says="HTTP 401"),
    "no-such-model": Fault(refuse(404, "no such model"), "provider_error", 1, 0, retries=2, says="no such model"),
    "bad": Fault(refuse(400, "tools are not supported"), "bad_request", 1, 0, retries=2, says="tools are not supported"),
    "too-long": Fault(
        refuse(400, "This model's maximum context length is 100 tokens", "context_length_exceeded"),
        "context_too_long", 1, 0, retries=2, says="maximum context length",
    ),
    "no-usage": Fault(answer(usage=None), None, 1, WORST),
    "zero-usage": Fault(answer(usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}), None, 1, WORST),
    "low-usage": Fault(answer(usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}), None, 1, 2),
    "too-low-usage": Fault(
        answer("word " * 100, usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}), None, 1, WORST
    ),
    "high-usage": Fault(
        answer(usage={"prompt_tokens": 30_000, "completion_tokens": 9, "total_tokens": 9}), None, 1, 30_009
    ),
    "absurd-usage": Fault(
        answer(usage={"prompt_tokens": 10**30, "completion_tokens": 10**30, "total_tokens": 1}), None, 1, BUDGET
    ),
    "negative-usage": Fault(
        answer(usage={"prompt_tokens": -5, "completion_tokens": -5, "total_tokens": -10}), None, 1, WORST
    ),
}  # fmt: skip


class Thief(BaseHTTPRequestHandler):
    """Where a redirect would lead: keeps what it is sent."""

    def do_POST(self) -> None:
        self.server.stolen.append(dict(self.headers))  # type: ignore[attr-defined]
        self.send_error(500)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def thief() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.2", 0), Thief)
    server.stolen = []  # type: ignore[attr-defined]
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def gateway(
    provider: ScriptedProvider, thief: HTTPServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    provider.scripts |= {name: fault.script for name, fault in FAULTS.items()}
    away = f"http://127.0.0.2:{thief.server_port}/v1/chat/completions"
    provider.scripts |= {"spare-broken": refuse(500), "away": raw(b"", status=307, location=away)}
    # Anthropic's client adds a path of its own and is none of OpenAI's.
    provider.scripts |= {"counted": scripted.ollama(prompt_eval_count=7, eval_count=5), "uncounted": scripted.ollama()}
    provider.scripts |= {"elsewhere": raw(b"", status=308, location=away), "flood": scripted.endless}
    usual = {"apiBase": provider.url, "key": {"environment": "SOME_KEY"}, "timeoutSeconds": TIMEOUT, "retries": 0}
    profiles = [
        usual | {"name": name, "model": f"openai/{name}", "retries": one.retries, "fallbacks": list(one.fallbacks), "logprobs": True}
        for name, one in FAULTS.items()
    ]  # fmt: skip
    profiles += [
        usual | {"name": name, "model": f"openai/{name}"} for name in ("spare", "spare-broken", "away", "late")
    ]
    profiles += [usual | {"name": name, "model": f"anthropic/{name}"} for name in ("elsewhere", "flood")]
    profiles += [usual | {"name": "nobody", "model": "openai/x", "apiBase": "http://127.0.0.1:9/v1", "retries": 1}]
    profiles += [usual | {"name": "keyless", "model": "openai/keyless", "key": None}]
    profiles += [usual | {"name": "telling", "model": "openai/telling", "logprobs": True}]
    profiles += [usual | {"name": name, "model": f"ollama_chat/{name}"} for name in ("counted", "uncounted")]
    profiles += [usual | {"name": "mute", "model": "openai/mute", "temperature": 1.0}]
    profiles += [usual | {"name": "paced", "model": "openai/paced", "requestsPerMinute": 2}]
    next(one for one in profiles if one["name"] == "endless")["timeoutSeconds"] = 60
    next(one for one in profiles if one["name"] == "flood")["timeoutSeconds"] = 60
    profiles = [{name: value for name, value in one.items() if value is not None} for one in profiles]
    environment = {"SOME_KEY": KEY, "OPENAI_API_KEY": "another-sentinel-key"}
    place = prepare(tmp_path_factory.mktemp("faults"), profiles, environment)
    with place.gateway() as running:
        yield running
    for file in place.folder.rglob("*"):
        if file.is_file() and file.name != "profiles.yaml":
            content = file.read_bytes()
            assert KEY.encode() not in content, file
            assert b"another-sentinel-key" not in content, file


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_ends_with_its_code_in_time_and_at_its_price(
    name: str, gateway: Gateway, provider: ScriptedProvider
) -> None:
    fault = FAULTS[name]
    holder = allowance(name, request_limits={"tokens": BUDGET})
    started = time.monotonic()
    response = gateway.ask(holder, PROMPT, max_tokens=100)
    assert time.monotonic() - started < max(fault.most_seconds, TIMEOUT * (1 + fault.retries) + 3)
    assert KEY not in response.text
    error = response.json().get("error", {})
    assert error.get("code") == fault.code, response.text
    assert fault.says in error.get("message", "")
    assert len(provider.asked(name)) == fault.seen
    assert gateway.charged(holder)["tokens"] == fault.tokens
    (transcript,) = gateway.place.transcripts(holder.request_uid)
    assert transcript["charged"]["tokens"] == fault.tokens
    assert transcript.get("problem", {}).get("code") == fault.code
    assert transcript.get("answer") == (None if fault.code else response.json())
    assert sum(one["charged"]["tokens"] for one in transcript["attempts"]) == fault.tokens


def test_a_retry_waits_as_long_as_it_is_asked_to(provider: ScriptedProvider, gateway: Gateway) -> None:
    if not provider.asked("limited-then-good"):
        gateway.ask(allowance("limited-then-good", request_uid="w"), max_tokens=100)
    before, after = provider.asked("limited-then-good")[:2]
    assert 1.0 <= after.at - before.at < 2.5


def test_a_client_is_told_how_long_to_wait_and_not_to_retry_by_itself(gateway: Gateway) -> None:
    response = gateway.ask(allowance("limited-for-long", request_uid="w"), max_tokens=100)
    assert (response.status_code, response.headers["retry-after"]) == (429, "600")
    assert response.headers["x-should-retry"] == "false"


def test_no_connection_is_free(gateway: Gateway) -> None:
    holder = allowance("nobody", request_limits={"tokens": BUDGET})
    error = gateway.ask(holder).json()["error"]
    assert (error["code"], error["message"]) == (
        "provider_error",
        "127.0.0.1:9: no connection (attempt 2 of this call)",
    )
    assert gateway.charged(holder)["tokens"] == 0
    assert gateway.charged(holder)["calls"] == 2


@pytest.mark.parametrize("name", ["away", "elsewhere"])
def test_a_redirect_carries_no_key_to_another_host(name: str, gateway: Gateway, thief: HTTPServer) -> None:
    holder = allowance(name)
    error = gateway.ask(holder, max_tokens=100).json()["error"]
    assert error["code"] == "provider_error"
    assert error["message"].endswith("it redirects to 127.0.0.2")
    assert thief.stolen == []  # type: ignore[attr-defined]
    assert gateway.charged(holder)["tokens"] == 0


def test_an_endless_answer_ends_with_every_client_that_litellm_has(gateway: Gateway) -> None:
    assert "does not end" in gateway.ask(allowance("flood"), max_tokens=100).json()["error"]["message"]


@pytest.mark.parametrize(("name", "measured", "tokens"), [("counted", "reported", 12), ("uncounted", "bounded", WORST)])
def test_an_estimate_of_litellms_is_no_report(name: str, measured: str, tokens: int, gateway: Gateway) -> None:
    holder = allowance(name)
    assert gateway.ask(holder, PROMPT, max_tokens=100).json()["choices"][0]["message"]["content"] == "Yes."
    (transcript,) = gateway.place.transcripts(holder.request_uid)
    assert (transcript["attempts"][0]["measured"], transcript["charged"]["tokens"]) == (measured, tokens)


def test_a_profile_without_a_key_sends_none_that_is_meant_for_others(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    assert gateway.ask(allowance("keyless"), max_tokens=100).status_code == 200
    assert "sentinel" not in json.dumps(provider.asked("keyless")[0].headers)
    assert gateway.ask(allowance("spare"), max_tokens=100).status_code == 200
    assert provider.asked("spare")[-1].headers["Authorization"] == f"Bearer {KEY}"


def test_a_key_that_a_server_echoes_reaches_nobody(gateway: Gateway, provider: ScriptedProvider) -> None:
    logprobs = {"content": [{"token": KEY, "logprob": -0.1, "bytes": None, "top_logprobs": []}], "refusal": None}
    message = {"role": "assistant", "content": f"the key is {KEY}!"}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": logprobs}
    provider.scripts["spare"] = answer(choices=[choice])
    response = gateway.ask(allowance("spare", request_uid="echo"), f"say {KEY}", max_tokens=100)
    provider.scripts["spare"] = answer()
    assert response.json()["choices"][0] == {
        "index": 0,
        "message": message | {"content": "the key is [redacted]!"},
        "finish_reason": "stop",
    }
    assert provider.asked("spare")[-1].body["messages"][0]["content"] == "say [redacted]"


def test_the_pace_of_a_profile_is_kept(gateway: Gateway, provider: ScriptedProvider) -> None:
    codes = [gateway.ask(allowance("paced"), max_tokens=1).json().get("error", {}).get("code") for _ in range(3)]
    assert codes == [None, None, "rate_limited"]
    assert len(provider.asked("paced")) == 2


def test_a_client_that_leaves_costs_what_its_call_costs(gateway: Gateway, provider: ScriptedProvider) -> None:
    provider.scripts["late"] = scripted.late(1.0)
    holder = allowance("late")
    with pytest.raises(httpx.ReadTimeout):
        gateway.ask(holder, PROMPT, max_tokens=100, seconds=0.3)
    assert gateway.charged(holder)["tokens"] == WORST
    for _ in range(100):
        if gateway.charged(holder)["tokens"] == COUNTED:
            break
        time.sleep(0.1)
    assert gateway.charged(holder)["tokens"] == COUNTED
    assert len(gateway.place.transcripts(holder.request_uid)) == 1


FUNCTION = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
EVERYTHING = {
    "tools": [FUNCTION],
    "tool_choice": "auto",
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    "temperature": 0.5,
    "top_p": 0.9,
    "max_tokens": 50,
    "seed": 7,
    "stop": ["END"],
    "n": 2,
    "logprobs": True,
    "top_logprobs": 5,
}


def test_what_is_asked_is_what_is_sent(gateway: Gateway, provider: ScriptedProvider) -> None:
    """With logprobs, and a model that gives none all the same."""
    holder = allowance("telling")
    response = gateway.ask(holder, PROMPT, **EVERYTHING)
    assert "logprobs" not in response.json()["choices"][0]
    sent = provider.asked("telling")[-1].body
    assert sent == EVERYTHING | {"model": "telling", "messages": [{"role": "user", "content": PROMPT}]}
    (transcript,) = gateway.place.transcripts(holder.request_uid)
    assert transcript["asked"] == {name: part for name, part in sent.items() if name != "model"}


def test_a_profile_keeps_back_what_its_model_cannot_take(gateway: Gateway, provider: ScriptedProvider) -> None:
    assert gateway.ask(allowance("mute"), PROMPT, **EVERYTHING).status_code == 200
    sent = provider.asked("mute")[-1].body
    assert sent["temperature"] == 1.0
    assert not {"logprobs", "top_logprobs"} & set(sent)


def test_logprobs_and_calls_of_tools_come_through(gateway: Gateway, provider: ScriptedProvider) -> None:
    logprobs = {"content": [{"token": "Y", "logprob": -0.1, "bytes": [89], "top_logprobs": []}]}
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "x"}'}}
    choices = [
        {"index": 0, "message": {"role": "assistant", "content": "Y"}, "finish_reason": "stop", "logprobs": logprobs},
        {
            "index": 1,
            "message": {"role": "assistant", "content": None, "tool_calls": [call]},
            "finish_reason": "tool_calls",
        },
    ]
    provider.scripts["telling"] = answer(choices=choices)
    response = gateway.ask(allowance("telling", request_uid="t"), PROMPT, **EVERYTHING)
    provider.scripts["telling"] = answer()
    assert response.json()["choices"] == choices


def test_what_a_provider_has_no_word_for_is_refused_unasked(gateway: Gateway, provider: ScriptedProvider) -> None:
    """Rather than dropped: an answer without it would be none."""
    holder = allowance("elsewhere", request_uid="n")
    before = len(provider.received)
    error = gateway.ask(holder, n=2).json()["error"]
    assert error["code"] == "bad_request"
    assert "does not support parameters: ['n']" in error["message"]
    assert len(provider.received) == before
    assert gateway.charged(holder)["tokens"] == 0


def test_a_refusal_is_an_answer(gateway: Gateway, provider: ScriptedProvider) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I will not."}
    provider.scripts["telling"] = answer(choices=[{"index": 0, "message": message, "finish_reason": "stop"}])
    response = gateway.ask(allowance("telling", request_uid="r"), PROMPT)
    provider.scripts["telling"] = answer()
    assert response.json()["choices"][0]["message"] == message


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"{", "bad_request", "the body is not JSON in UTF-8; send an object with model and messages"),
        (b"[]", "bad_request", "the body is no object; send one with model and messages"),
        (b"[" * 10**5, "bad_request", "the body is not JSON in UTF-8; send an object with model and messages"),
        (
            b'{"model": "\\ud800"}',
            "bad_request",
            "the body is not JSON in UTF-8; send an object with model and messages",
        ),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "f", "parameters": json.loads('{"a":' * 80 + "{}" + "}" * 80)},
                    }
                ]
            },
            "bad_request",
            "the body has more than 64 lists and maps in one another; flatten it",
        ),
        (b" " * (4 * 2**20 + 1), "bad_request", "the body has more than 4 MiB; shorten it"),
        ({"model": "spare"}, "bad_request", "messages: field required"),
        ({"messages": []}, "bad_request", "messages: list should have at least 1 item after validation, not 0"),
        ({"stream": True}, "bad_request", "stream is true, and answers come whole; remove it"),
        ({"max_token": 5}, "bad_request", "max_token is not taken; write max_tokens"),
        ({"api_base": "http://127.0.0.2"}, "bad_request", "api_base is not taken; remove it"),
        ({"extra_headers": {"a": "b"}}, "bad_request", "extra_headers is not taken; remove it"),
        ({"mock_response": "x"}, "bad_request", "mock_response is not taken; remove it"),
        (
            {"temperature": float("nan")},
            "bad_request",
            "the body is not JSON in UTF-8; send an object with model and messages",
        ),
        ({"n": 33}, "bad_request", "n: input should be less than or equal to 32"),
        ({"max_tokens": 5000}, "bad_request", "max_tokens is 5,000, more than spare allows; lower it to 4,096"),
        ({"model": "late"}, "unknown_profile", "model is another than the allowance's profile spare; write that"),
        (
            {"messages": [{"role": "user", "content": "x" * 600_000}]},
            "context_too_long",
            "the prompt has 600,043 bytes, more than 32,768 tokens of context can hold; shorten it",
        ),
    ],
)
def test_a_bad_body_is_refused_before_anything_is_spent(
    body: Any, code: str, message: str, gateway: Gateway, provider: ScriptedProvider
) -> None:
    before = len(provider.received)
    if isinstance(body, dict) and body != {"model": "spare"}:
        body = {"model": "spare", "messages": [{"role": "user", "content": "?"}]} | body
    error = gateway.post(body, sign(allowance("spare", request_uid="bad"), SECRET)).json()["error"]
    assert (error["code"], error["message"]) == (code, message)
    assert len(provider.received) == before
    assert gateway.place.transcripts("bad") == []


def test_pictures_are_refused_since_their_tokens_have_no_bound(gateway: Gateway) -> None:
    picture = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}
    messages = [{"role": "user", "content": [picture]}]
    body = {"model": "spare", "messages": messages}
    assert gateway.post(body, sign(allowance("spare"), SECRET)).json()["error"]["code"] == "bad_request"


@pytest.mark.parametrize(
    "bearer",
    ["x", sign(allowance("spare"), b"0" * 32), sign(allowance("spare", expires_at=1), SECRET)],
    ids=["text", "forged", "expired"],
)
def test_nothing_is_done_without_an_allowance(bearer: str, gateway: Gateway) -> None:
    response = gateway.post({"model": "spare"}, bearer)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorized")
    for path in ("/v1/models", "/v1/usage"):
        assert httpx.get(gateway.url + path).status_code == 401


def test_an_unknown_profile_and_an_unknown_path_say_what_there_is(gateway: Gateway) -> None:
    response = gateway.ask(allowance("ghost"))
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_profile")
    response = httpx.get(f"{gateway.url}/v1/embeddings")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "bad_request")
    assert httpx.get(f"{gateway.url}/healthz").json() == {"ok": True}


def test_a_mind_learns_what_its_profile_can_do(gateway: Gateway) -> None:
    (model,) = gateway.get("/v1/models", allowance("broken"))["data"]
    assert model["id"] == "broken"
    assert model["call_seconds"] == 3 * TIMEOUT
    assert (model["logprobs"], model["max_output_tokens"], model["context_tokens"]) == (True, 4096, 32768)


def test_openais_own_client_reads_the_answers(gateway: Gateway) -> None:
    """Its types are checked, its errors have our codes, and it does not retry on top of the gateway."""
    code = f"""
import openai, warnings
def client(token):
    return openai.OpenAI(base_url={gateway.url + "/v1"!r}, api_key=token, _strict_response_validation=True)
def ask(profile, token, **more):
    messages = [{{"role": "user", "content": "?"}}]
    return client(token).chat.completions.create(model=profile, messages=messages, max_tokens=100, **more)
tokens = { ({name: sign(allowance(name, request_uid="sdk"), SECRET) for name in ("spare", "all-broken")})!r}
print(ask("spare", tokens["spare"]).choices[0].message.content)
print(client(tokens["spare"]).models.list().data[0].id)
try:
    ask("all-broken", tokens["all-broken"])
except openai.APIStatusError as problem:
    print(problem.status_code, problem.code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["Yes.", "spare", "502 provider_error"], done.stderr
    assert len(gateway.place.transcripts("sdk")) == 2
