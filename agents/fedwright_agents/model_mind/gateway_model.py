"""A model behind the gateway. The box holds the gateway's address and an allowance for this work; keys are elsewhere."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from fedwright_agents.model_mind.model import GATEWAY_AWAY, Call, Message, ModelError, Reply, Token
from fedwright_crds.box import Box

CONNECT_SECONDS = 10.0
"""The answer itself is waited for: the gateway bounds every call, and the box this work."""
ALTERNATIVES = 20
AWAY_SECONDS = 180.0
"""So long one that cannot be reached is waited for: its pod is moved with its volume, or a network is still closed."""
ASKED_AGAIN = 2
"""So often a call is asked again whose answer broke off. The gateway that died has charged it whole, and each more is charged
by itself, so no budget is passed."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0


@dataclass(frozen=True)
class GatewayModel:
    """One profile's model. `url` is the gateway's, `token` the signed allowance."""

    profile: str
    url: str
    token: str
    patience: float = AWAY_SECONDS

    @classmethod
    def here(cls, profile: str) -> "GatewayModel":
        """As this box was given it. Raises ModelError where it was given none."""
        file = Box.here().secret("gateway.json")
        try:
            said = json.loads(file.read_text())
            return cls(profile, said["url"], said["token"], AWAY_SECONDS)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError("no_gateway", f"this box was given no model gateway for profile {profile}") from error

    @cached_property
    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=httpx.Timeout(None, connect=CONNECT_SECONDS), trust_env=False)

    def ask(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        probabilities: bool = False,
        sample: int = 0,
    ) -> Reply:
        body: dict[str, Any] = {"model": self.profile, "messages": list(messages)}
        if tools:
            body["tools"] = list(tools)
        if probabilities:
            body |= {"logprobs": True, "top_logprobs": ALTERNATIVES}
        if sample:
            body["seed"] = sample
        return _reply(self._post(body))

    def _post(self, body: Mapping[str, Any]) -> bytes:
        broken, pause, end = 0, _FIRST_PAUSE, 0.0
        while True:
            try:
                answer = self._asked(body)
                break
            except httpx.HTTPError as error:
                reached = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                broken += reached
                if reached or not end:  # what reached it began a wait of its own
                    pause, end = _FIRST_PAUSE, time.monotonic() + self.patience
                if broken > ASKED_AGAIN or time.monotonic() + pause > end:
                    words = f"the model gateway does not answer: {type(error).__name__}"
                    raise ModelError(GATEWAY_AWAY, words) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        if answer.status_code != httpx.codes.OK:
            raise _refusal(answer)
        return answer.content

    def _asked(self, body: Mapping[str, Any]) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        return self._client.post("/v1/chat/completions", json=body, headers=headers)


def _refusal(answer: httpx.Response) -> ModelError:
    try:
        said = answer.json()["error"]
        return ModelError(str(said.get("code") or answer.status_code), str(said.get("message", ""))[:1000])
    except (ValueError, KeyError, TypeError, AttributeError):
        return ModelError(str(answer.status_code), "the model gateway refused without a reason")


# -- the answer's form; whatever else is in it is ignored -------------------------------------------------------------
class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Function(_Lenient):
    name: str
    arguments: str = "{}"


class _ToolCall(_Lenient):
    id: str
    function: _Function


class _Said(_Lenient):
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Alternative(_Lenient):
    token: str
    logprob: float


class _Token(_Alternative):
    top_logprobs: list[_Alternative] = []


class _Logprobs(_Lenient):
    content: list[_Token] | None = None


class _Choice(_Lenient):
    message: _Said
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Usage(_Lenient):
    total_tokens: int = 0


class _Completion(_Lenient):
    choices: list[_Choice]
    usage: _Usage | None = None


def _reply(body: bytes) -> Reply:
    """Raises ModelError where the body is no chat completion."""
    try:
        completion = _Completion.model_validate_json(body)
        choice = completion.choices[0]
    except (ValidationError, IndexError) as error:
        raise ModelError("bad_answer", "the model's answer is no chat completion") from error
    said, logprobs = choice.message, choice.logprobs
    return Reply(
        text=said.content or "",
        calls=tuple(Call(one.id, one.function.name, one.function.arguments) for one in said.tool_calls or ()),
        tokens=tuple(_token(one) for one in (logprobs.content or ())) if logprobs else (),
        cut=choice.finish_reason == "length",
        spent=completion.usage.total_tokens if completion.usage else 0,
    )


def _token(one: _Token) -> Token:
    seen = one.top_logprobs or [one]
    return Token(one.token, tuple((other.token, exp(min(0.0, other.logprob))) for other in seen))
