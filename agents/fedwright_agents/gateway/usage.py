"""What an attempt may cost and what it has cost, in the ledger's units."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Protocol

from fedwright_agents.gateway.chat import Json, prompt_bytes
from fedwright_agents.gateway.ledger import MOST, NANO
from fedwright_crds.profiles import ModelProfile
from fedwright_crds.transcript import Charge, Measured

TEMPLATE_TOKENS = 512
"""What a provider's chat template adds to a prompt as such: a default system prompt, dates, a preamble for tools (346 tokens
where it is longest among those that are published, Anthropic's)."""

MOST_BYTES_A_TOKEN = 128
"""The longest token of the vocabularies in use (128 blanks, in o200k_base)."""

MILLION = 10**6


@dataclass(frozen=True)
class Usage:
    """Tokens of one attempt."""

    prompt: int
    completion: int


def worst_case(profile: ModelProfile, body: Json, seconds: float) -> Charge:
    """Of one attempt: no tokenizer counts more for the prompt, and the provider writes at most `max_tokens` for each of n."""
    most = Usage(prompt_bytes(body) + TEMPLATE_TOKENS, body["max_tokens"] * body.get("n", 1))
    return charge(profile, most, seconds)


def charge(profile: ModelProfile, usage: Usage, seconds: float) -> Charge:
    return Charge(
        tokens=min(usage.prompt + usage.completion, MOST),
        nano_usd=min(_nano_usd(profile, usage), MOST),
        calls=1,
        milliseconds=milliseconds(seconds),
    )


class Result(Protocol):
    """What is known of an attempt that has ended."""

    @property
    def usage(self) -> Usage | None:
        """As the provider reported it, where that can be true."""

    @property
    def processed(self) -> bool:
        """Whether the provider may have worked on it, and so may charge for it."""


def spent(profile: ModelProfile, reserved: Charge, result: Result, seconds: float) -> tuple[Charge, Measured]:
    """What an attempt has cost that took so many seconds.

    Without a count that can be believed the whole reservation is charged: a bound by the answer's length would miss the
    reasoning that providers charge and do not show.
    """
    took = min(milliseconds(seconds), reserved.milliseconds)
    if not result.processed:
        return Charge(calls=1, milliseconds=took), Measured.NOTHING
    if result.usage is None:
        return reserved.model_copy(update={"milliseconds": took}), Measured.BOUNDED
    return charge(profile, result.usage, took / 1000), Measured.REPORTED


def believable(prompt: object, completion: object, answer_bytes: int) -> Usage | None:
    """A provider's report, unless it cannot be true.

    Many servers that do not count say 0, and no prompt has 0 tokens; an answer has at least a token for as many bytes as the
    longest token. A report that is merely low is the provider's own count and is charged as such, and so is one that is
    merely high; the ledger never goes past a limit for it.
    """
    if type(prompt) is not int or type(completion) is not int:
        return None
    if prompt < 1 or completion < 0 or completion * MOST_BYTES_A_TOKEN < answer_bytes:
        return None
    return Usage(prompt, completion)


def _nano_usd(profile: ModelProfile, usage: Usage) -> int:
    """Rounded up, from the price as it was written: 0.1 is a tenth."""
    if profile.price is None:
        return 0
    per_million = (
        Decimal(repr(profile.price.input_usd)) * usage.prompt
        + Decimal(repr(profile.price.output_usd)) * usage.completion
    )
    return int((per_million * NANO / MILLION).to_integral_value(ROUND_CEILING))


def milliseconds(seconds: float) -> int:
    """In the ledger's unit, rounded up."""
    return int(-(-seconds * 1000 // 1))
