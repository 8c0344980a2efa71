"""Transcripts: one call of a mind to a model, or one search of the web, as it was asked and answered.

Also the recording that a replay answers from.

Written by the model gateway, secrets redacted; read by whoever shows or replays a conversation.
"""

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from fedwright_crds.allowance import Limits, Role, WorkId
from fedwright_crds.base import Digest, Line, Name, Strict, Text, Word, canonical, digest_of

TRANSCRIPT = "fedwright.dev/transcript/v1"


class Measured(StrEnum):
    """Where the figures of a charge come from."""

    REPORTED = "reported"
    """The provider's own count."""
    BOUNDED = "bounded"
    """The whole reservation: the provider said nothing, or nothing that can be true, or may have charged what was lost."""
    NOTHING = "nothing"
    """The provider was not reached, or refused before it did any work."""


class Charge(Strict):
    """What the ledger charges. Money in whole nano-dollars and time in whole milliseconds, so that sums are exact."""

    tokens: Annotated[int, Field(ge=0)] = 0
    nano_usd: Annotated[int, Field(ge=0)] = 0
    calls: Annotated[int, Field(ge=0)] = 0
    milliseconds: Annotated[int, Field(ge=0)] = 0

    def __add__(self, other: "Charge") -> "Charge":
        return Charge(
            tokens=self.tokens + other.tokens,
            nano_usd=self.nano_usd + other.nano_usd,
            calls=self.calls + other.calls,
            milliseconds=self.milliseconds + other.milliseconds,
        )


class Account(Strict):
    """What was charged so far, open reservations included, beside what may be."""

    charged: Charge
    limits: Limits


class Usage(Strict):
    """The gateway's answer to whoever asks what a request has been charged."""

    request: Account
    role: Account
    """Of the allowance that asked."""
    roles: dict[Role, Charge]
    """Of the request, in the order of the roles; a role that asked no model is not in it."""


class Problem(Strict):
    """Why a call or an attempt has no answer."""

    code: Word
    message: Text


class Attempt(Strict):
    """One request to one endpoint."""

    profile: Word
    endpoint: Line
    """Host, and port where it is not the scheme's own."""
    status: int | None = None
    """Of HTTP; absent where none came."""
    problem: Problem | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    measured: Measured
    reserved: Charge
    charged: Charge


class Transcript(Strict):
    """A call. `digest` is over what was asked alone, so that the same question has the same one in every run."""

    kind: str = TRANSCRIPT
    number: Annotated[int, Field(ge=1)]
    """Within the request, in the order of asking."""
    digest: Digest
    request_uid: Word
    namespace: Name
    name: Name
    role: Role
    candidate: Name | None = None
    work_id: WorkId
    profile: Word
    """The one that was asked for."""
    answered_by: Word | None = None
    """The profile that answered: that one or a fallback."""
    model: Line | None = None
    """As the provider named it."""
    endpoint: Line | None = None
    date: Line
    """When it was asked, UTC, ISO 8601. Of a replayed call: when it was recorded."""
    replayed: bool = False
    asked: dict[str, Any]
    """The body: messages, tools, parameters; of a search, its `query`."""
    answer: dict[str, Any] | None = None
    """An OpenAI chat completion, or what a search found (`findings.Findings`); absent where `problem` is there."""
    problem: Problem | None = None
    attempts: tuple[Attempt, ...]
    charged: Charge
    """Of all attempts."""
    cost_usd: float
    latency_seconds: float


_FIGURE = re.compile(r"\d+\.\d+(?:e[-+]?\d+)?|\d+e[-+]?\d+")


def call_digest(role: Role, profile: str, asked: dict[str, Any]) -> str:
    """Of a role's question to a profile: messages, tools, format and sampling parameters, whatever the run.

    Figures in messages do not count, words and whole numbers do: what a simulation measures differs in its last digits from
    one kind of processor to another, and a recording should be good on all of them.
    """
    messages = _FIGURE.sub("#", canonical(asked.get("messages", [])).decode())
    return digest_of(canonical({"role": role, "profile": profile, "asked": {**asked, "messages": messages}}))
