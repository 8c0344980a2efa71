"""What a mind asks: the part of OpenAI's chat completions that the gateway takes, checked before anything is spent.

Only what is named here reaches a provider. So a body cannot name an endpoint, a header or a callback, and holds nothing
whose tokens could not be bounded by its bytes, such as an image.
"""

import json
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedwright_agents.gateway.errors import Code, GatewayError
from fedwright_agents.gateway.redaction import Redactor
from fedwright_crds.yaml_text import spelled

MOST_BYTES = 4 * 1024 * 1024

MOST_DEPTH = 64
"""Of lists and maps in one another; a schema of a tool is the deepest thing that is asked."""

Json = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class TextPart(_Part):
    type: Literal["text"]
    text: str


class CalledFunction(_Part):
    name: str = Field(min_length=1, max_length=256)
    arguments: str


class ToolCall(_Part):
    id: str = Field(max_length=256)
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(_Part):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = Field(default=None, max_length=256)
    tool_calls: list[ToolCall] | None = Field(default=None, max_length=128)
    tool_call_id: str | None = Field(default=None, max_length=256)
    refusal: str | None = None


class Function(_Part):
    name: str = Field(min_length=1, max_length=256)
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class Tool(_Part):
    type: Literal["function"]
    function: Function


class FunctionName(_Part):
    name: str = Field(min_length=1, max_length=256)


class NamedTool(_Part):
    type: Literal["function"]
    function: FunctionName


class ResponseFormat(_Part):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: Json | None = None


class Asked(_Part):
    """The body of a call."""

    model: str = Field(max_length=256)
    messages: list[Message] = Field(min_length=1, max_length=2000)
    tools: list[Tool] | None = Field(default=None, min_length=1, max_length=128)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    response_format: ResponseFormat | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, le=10**6)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: str | list[str] | None = Field(default=None, max_length=64)
    n: int | None = Field(default=None, ge=1, le=32)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    stream: bool | None = None

    @model_validator(mode="after")
    def _whole_answers(self) -> "Asked":
        if self.stream:
            raise ValueError("stream is true, and answers come whole; remove it")
        return self

    def body(self) -> Json:
        """What is sent, recorded and digested; the profile says which model."""
        return self.model_dump(exclude_none=True, exclude={"model", "stream"})


B = TypeVar("B", bound=BaseModel)


def parse(data: bytes, redactor: Redactor) -> Asked:
    """The body of a call, secrets redacted. GatewayError bad_request names the field, the reason and the mend."""
    return read(Asked, data, redactor, "model and messages")


def read(kind: type[B], data: bytes, redactor: Redactor, needed: str) -> B:
    """A body of this kind, secrets redacted; `needed` are the fields that it has to have. GatewayError bad_request."""
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise _bad(f"the body is not JSON in UTF-8; send an object with {needed}") from None
    if not isinstance(value, dict):
        raise _bad(f"the body is no object; send one with {needed}")
    if too_deep(value):
        raise _bad(f"the body has more than {MOST_DEPTH} lists and maps in one another; flatten it")
    try:
        return kind.model_validate(redactor.value(value))
    except ValidationError as problem:
        raise _bad(_mended(problem, kind)) from None


def too_deep(value: Any) -> bool:
    """Whether a JSON value is nested deeper than what reads it later can follow. Level by level, so it needs no depth itself."""
    level, depth = [value], 0
    while level and depth <= MOST_DEPTH:
        children = [
            list(one.values()) if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)
        ]
        level, depth = [child for some in children for child in some], depth + 1
    return bool(level)


def prompt_bytes(body: Json) -> int:
    """Bytes of all that a provider may count as prompt, as compact JSON.

    A byte-level tokenizer (byte-level BPE; SentencePiece with byte fallback) cuts UTF-8 into pieces of at least one byte,
    so text of b bytes is at most b tokens. Each text stands in the JSON whole, each of its bytes as one byte or as a longer
    escape. The marks that a chat template puts around a message or a tool are fewer than the bytes of JSON syntax, names of
    fields included, that are counted here around the same message; what a template adds to a prompt as such is counted by
    `usage.TEMPLATE_TOKENS`.
    """
    counted = {name: body[name] for name in ("messages", "tools", "tool_choice", "response_format") if name in body}
    return len(json.dumps(counted, ensure_ascii=False, separators=(",", ":")).encode())


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _bad(message: str) -> GatewayError:
    return GatewayError(Code.BAD_REQUEST, message)


def _mended(problem: ValidationError, kind: type[BaseModel]) -> str:
    """The first thing that is wrong; values are not repeated, since they are a conversation's."""
    error = problem.errors(include_url=False, include_input=False)[0]
    where = spelled(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            near = get_close_matches(where, kind.model_fields, n=1)
            return f"{where} is not taken; {f'write {near[0]}' if near else 'remove it'}"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            return f"{where}: {error['msg'][:1].lower()}{error['msg'][1:]}"
