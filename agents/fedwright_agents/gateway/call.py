"""A call, and what came of it: what the ways to answer one, live and replayed, have in common."""

from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from fedwright_agents.gateway.chat import Json
from fedwright_agents.gateway.errors import GatewayError
from fedwright_crds.allowance import Allowance
from fedwright_crds.transcript import Attempt, Charge


@dataclass(frozen=True)
class Call:
    """One question, allowed and well formed."""

    allowance: Allowance
    profile: str
    """The one that is asked: of a model, or of a search."""
    body: Json
    """As it was asked, secrets redacted."""
    digest: str
    deadline: float
    """In `monotonic` seconds."""

    @property
    def left(self) -> float:
        return self.deadline - monotonic()


@dataclass(frozen=True)
class Outcome:
    """An answer or a problem, never both."""

    attempts: tuple[Attempt, ...]
    charged: Charge
    date: str
    answer: Json | None = None
    problem: GatewayError | None = None
    answered_by: str | None = None
    """The profile."""
    endpoint: str | None = None
    replayed: bool = False


class Answerer(Protocol):
    """Answers a call within its deadline and what is left of its budgets; never raises for either."""

    async def answer(self, call: Call) -> Outcome: ...


@dataclass(frozen=True)
class Answerers:
    """Who answers what."""

    chats: Answerer
    searches: Answerer
