"""A provider's answer as an OpenAI chat completion of plain fields, and what it says of its own tokens."""

import json
import re
from dataclasses import dataclass
from typing import Any

from fedwright_agents.gateway.chat import Json, too_deep
from fedwright_agents.gateway.errors import Code
from fedwright_agents.gateway.faults import Fault
from fedwright_agents.gateway.usage import Usage, believable
from fedwright_agents.gateway.wire import Wire

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


def answered(response: Json, seen: Wire) -> Answered:
    """From litellm's form of it. Fault where it is empty; ValueError, or whatever its shape leads to, where it is none."""
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
