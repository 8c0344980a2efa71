"""One attempt at a provider, by litellm: a question out, an answer with its usage back, or a fault that says what it cost.

litellm translates between OpenAI's form and each provider's. Nothing else of it is used: no callbacks, caches, fallbacks or
retries, since each attempt has to be reserved by itself.
"""

import asyncio
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

os.environ |= {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no download at import
    "LITELLM_MODE": "PRODUCTION",  # reads no .env
    "LITELLM_LOG": "ERROR",
}

import litellm
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
from litellm.utils import _should_retry

from fedwright_agents.gateway import wire
from fedwright_agents.gateway.chat import Json, too_deep
from fedwright_agents.gateway.errors import Code
from fedwright_agents.gateway.usage import Usage, believable
from fedwright_agents.gateway.wire import Wire
from fedwright_crds.profiles import ModelProfile, Profiles

DROPPED = ("seed", "logprobs", "top_logprobs")
"""Left out for a provider that does not know them: without them the answer is still one to the question. All else that it
does not know is an error, since an answer without, say, its tools is none."""

UNPROCESSED = {400, 401, 402, 403, 404, 405, 413, 415, 422, 429}
"""Statuses of a provider that has refused a request before any work on it, and so charges nothing. A 5xx may hide an answer
that was made and lost on its way."""

MOST_WORDS = 300
"""Characters of what a provider says of its fault."""

NO_KEY = "none"

COUNTS = re.compile(rb'"\w*(usage|tokens|eval_count)\w*"\s*:', re.IGNORECASE)
"""A count of tokens in a server's own words: OpenAI's and Anthropic's `usage`, Google's `usageMetadata`, Cohere's `tokens`,
Ollama's `eval_count`."""


@dataclass(frozen=True)
class Answered:
    answer: Json
    """An OpenAI chat completion."""
    usage: Usage | None
    """None: the provider reported none that can be true."""
    processed: bool = True


@dataclass
class Fault(Exception):  # noqa: N818 - a provider's, in the field's own word
    """An attempt without a usable answer."""

    code: Code
    message: str
    again: bool
    """Whether another attempt at the same profile may go better."""
    processed: bool
    """Whether the provider may have worked on it, and so may charge for it."""
    usage: Usage | None = None
    retry_after: float | None = None
    """Seconds, where the provider named them."""


class Provider:
    """All profiles' endpoints. Made once in a process, inside its event loop."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys
        litellm.suppress_debug_info = True
        litellm.drop_params = False
        litellm.modify_params = False
        # Whatever the provider, it is called with a client that notes and bounds.
        litellm.aclient_session = wire.client()
        AsyncHTTPHandler.create_client = lambda *_arguments, **_named: wire.client()
        for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
            logging.getLogger(name).handlers.clear()

    async def ask(self, profile: ModelProfile, body: Json, seconds: float, seen: Wire) -> Answered:
        """Within so many seconds of the wall clock, whatever the server does. Fault."""
        started = monotonic()
        try:
            async with asyncio.timeout(seconds):
                response = await litellm.acompletion(**self._arguments(profile, body, seconds))
            return _answered(response.model_dump(), seen)
        except Fault:
            raise
        except Exception as problem:  # whatever litellm makes of it: `fault` goes by what was seen on the wire
            raise fault(problem, seen, monotonic() - started) from None

    def _arguments(self, profile: ModelProfile, body: Json, seconds: float) -> Json:
        given = body | {"model": profile.model, "timeout": seconds, "num_retries": 0, "max_retries": 0}
        # Tools of ours are functions; litellm looks for MCP servers among them and wants a package for that.
        given["_skip_mcp_handler"] = True
        for name in _unsupported(profile, body):
            del given[name]
        if profile.temperature is not None:
            given["temperature"] = profile.temperature
        if profile.api_base is not None:
            # Else litellm would send to this endpoint the key that it finds in the environment for another.
            given |= {"api_base": profile.api_base, "api_key": NO_KEY}
        if profile.name in self._keys:
            given["api_key"] = self._keys[profile.name]
        return given


def unknown_providers(profiles: Profiles) -> list[str]:
    """What is wrong with each profile whose model litellm does not know how to call."""
    return [
        f"profile {one.name}: model is {one.model}, and {one.model.partition('/')[0]} is no provider that litellm knows;"
        " write openai/ before a model behind an OpenAI-compatible endpoint"
        for one in profiles.profiles
        if not _known(one)
    ]


def _known(profile: ModelProfile) -> bool:
    return profile.model.partition("/")[0] in {str(one.value) for one in litellm.LlmProviders}


def _unsupported(profile: ModelProfile, body: Json) -> list[str]:
    provider, _, model = profile.model.partition("/")
    known = litellm.get_supported_openai_params(model=model, custom_llm_provider=provider) or []
    mute = () if profile.logprobs else ("logprobs", "top_logprobs")
    return [name for name in DROPPED if name in body and (name in mute or name not in known)]


def fault(problem: Exception, seen: Wire, seconds: float) -> Fault:
    """From what was seen on the wire; litellm's exception is asked only where that does not say enough."""
    where = seen.endpoint or "the provider"
    processed = _may_have_worked(problem, seen)
    if seen.broken_off:
        return Fault(Code.PROVIDER_ERROR, f"{where}: {seen.broken_off}", again=False, processed=processed)
    if isinstance(problem, TimeoutError | litellm.Timeout) and seen.status in {None, 200}:
        return Fault(Code.TIMEOUT, f"{where}: no whole answer in {seconds:,.1f} s", again=True, processed=processed)
    if seen.status is None:
        return _unanswered(problem, where, seen, processed)
    if seen.status < 300:
        kind = seen.content_type or "no content type"
        words = f"{where}: its answer cannot be read as a completion ({kind}, {len(seen.body):,} bytes)"
        return Fault(Code.PROVIDER_ERROR, words, again=True, processed=True)
    return _refused(problem, where, seen, seen.status, processed)


def _may_have_worked(problem: Exception, seen: Wire) -> bool:
    """Unless it is certain that it has not: litellm refused to ask, no byte left, or the provider refused.

    A few providers are called by clients of their own that nothing is seen of (a synchronous one, boto3); what they end in
    is charged whole.
    """
    if not seen.endpoint:
        return not isinstance(problem, litellm.BadRequestError)
    if seen.status is None:
        return seen.sent
    return seen.status not in UNPROCESSED and not 300 <= seen.status < 400


def _unanswered(problem: Exception, where: str, seen: Wire, processed: bool) -> Fault:
    if not seen.endpoint:
        code = Code.PROVIDER_ERROR if processed else Code.BAD_REQUEST
        return Fault(code, f"litellm cannot ask this: {_words(str(problem))}", again=False, processed=processed)
    reason = "the connection was lost before an answer" if seen.sent else "no connection"
    return Fault(Code.PROVIDER_ERROR, f"{where}: {reason}", again=True, processed=processed)


def _refused(problem: Exception, where: str, seen: Wire, status: int, processed: bool) -> Fault:
    words = f"{where}: HTTP {status}{_said(bytes(seen.body))}"
    if isinstance(problem, litellm.ContextWindowExceededError):
        return Fault(Code.CONTEXT_TOO_LONG, words, again=False, processed=processed)
    code = {400: Code.BAD_REQUEST, 422: Code.BAD_REQUEST, 408: Code.TIMEOUT, 429: Code.RATE_LIMITED}
    return Fault(
        code.get(status, Code.PROVIDER_ERROR),
        words,
        again=_should_retry(status),
        processed=processed,
        retry_after=seen.retry_after,
    )


def _said(body: bytes) -> str:
    """The message of an error's body, where it has OpenAI's shape or something like it."""
    try:
        said = json.loads(body)
        while isinstance(said, dict):
            said = said.get("error") or said.get("message") or said.get("detail")
    except (ValueError, RecursionError):
        return ""
    return f": {_words(said)}" if isinstance(said, str) else ""


def _words(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[:MOST_WORDS]).split())


def _answered(response: Json, seen: Wire) -> Answered:
    choices = [_choice(one) for one in response.get("choices") or ()]
    usage = _usage(response, seen, choices)
    if not choices or any(map(_is_empty, choices)):
        raise Fault(Code.PROVIDER_ERROR, f"{seen.endpoint}: an empty answer", again=True, processed=True, usage=usage)
    answer = {
        "id": str(response.get("id") or ""),
        "object": "chat.completion",
        "created": int(response.get("created") or 0),
        "model": str(response.get("model") or ""),
        "choices": choices,
    }
    if usage:
        answer["usage"] = _usage_body(usage, response["usage"])
    return Answered(_plain(answer), usage)


def _plain(answer: Json) -> Json:
    """The answer itself, where JSON can carry it. ValueError for halves of characters, numbers that are none, a maze of lists."""
    if too_deep(answer):
        raise ValueError("nested too deep")
    json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()
    return answer


def _choice(choice: Json) -> Json:
    """Without the fields of litellm's own and those that are null."""
    message = choice.get("message") or {}
    kept: Json = {"role": "assistant", "content": message.get("content")}
    if calls := message.get("tool_calls"):
        kept["tool_calls"] = [
            {"id": str(one.get("id") or ""), "type": "function", "function": _function(one.get("function") or {})}
            for one in calls
        ]
    if refusal := (message.get("provider_specific_fields") or {}).get("refusal"):
        kept["refusal"] = refusal
    found: Json = {"index": choice.get("index", 0), "message": kept, "finish_reason": choice.get("finish_reason")}
    if logprobs := choice.get("logprobs"):
        found["logprobs"] = {"content": logprobs.get("content")}
    return found


def _function(function: Json) -> Json:
    return {"name": str(function.get("name") or ""), "arguments": str(function.get("arguments") or "")}


def _is_empty(choice: Json) -> bool:
    """Nothing said, and no reason for it: an answer that was cut off or filtered before its first word is one."""
    message = choice["message"]
    said = message["content"] or message.get("tool_calls") or message.get("refusal")
    return not said and choice["finish_reason"] not in {"length", "content_filter"}


def _usage(response: Json, seen: Wire, choices: list[Json]) -> Usage | None:
    """Where the server's own words hold one: litellm writes zeros, or its own estimate, where there is none."""
    if not COUNTS.search(seen.body):
        return None
    reported = response.get("usage") or {}
    said = sum(len(str(one["message"]["content"] or "").encode()) for one in choices)
    return believable(reported.get("prompt_tokens"), reported.get("completion_tokens"), said)


def _usage_body(usage: Usage, reported: Any) -> Json:
    body: Json = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
    }
    cached = (reported.get("prompt_tokens_details") or {}).get("cached_tokens")
    return body | ({"prompt_tokens_details": {"cached_tokens": cached}} if isinstance(cached, int) else {})
