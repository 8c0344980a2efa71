"""What a role needs of a language model: messages go in, a reply comes out. Knows nothing of roles or prompts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Message = Mapping[str, Any]
"""`role` and `content` as in OpenAI's chat completions, with `tool_calls` or `tool_call_id` where they belong."""


GATEWAY_AWAY = "gateway_away"
"""The code where no gateway answers, for longer than is waited."""


class ModelError(Exception):
    """The model cannot be asked. `code` is the gateway's, such as budget_exhausted or timeout."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True)
class Call:
    """A tool that the model wants to be called; `arguments` is its text, not yet read."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Token:
    """One token of the reply, and the probability of each alternative that the model reports for its place."""

    text: str
    alternatives: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Reply:
    text: str
    calls: tuple[Call, ...] = ()
    tokens: tuple[Token, ...] = ()
    """Empty where the model gives no probabilities."""
    cut: bool = False
    """Whether it ended at the greatest length rather than by itself."""
    spent: int = 0
    """Tokens of prompt and answer."""


class Model(Protocol):
    def ask(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        probabilities: bool = False,
        sample: int = 0,
    ) -> Reply:
        """`sample` numbers independent answers to the same messages. Raises ModelError."""
        ...
