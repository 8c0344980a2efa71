"""Conditions by the Kubernetes API conventions, computed whole from facts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from fedwright_crds.meta import Condition, Truth


@dataclass(frozen=True)
class Fact:
    """A condition without its times."""

    type: str
    holds: bool | None
    reason: str
    message: str = ""

    @property
    def status(self) -> Truth:
        return Truth.UNKNOWN if self.holds is None else Truth.TRUE if self.holds else Truth.FALSE


def stamp(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def conditions(
    before: tuple[Condition, ...], facts: Iterable[Fact], now: datetime, generation: int
) -> tuple[Condition, ...]:
    """Facts as conditions; the transition time moves only when the status does."""
    known = {condition.type: condition for condition in before}
    return tuple(_condition(known.get(fact.type), fact, now, generation) for fact in facts)


def _condition(old: Condition | None, fact: Fact, now: datetime, generation: int) -> Condition:
    kept = old.last_transition_time if old and old.status is fact.status else stamp(now)
    return Condition(
        type=fact.type,
        status=fact.status,
        reason=fact.reason,
        message=fact.message[:16000],
        last_transition_time=kept,
        observed_generation=generation,
    )


def condition(of: tuple[Condition, ...], type: str) -> Condition | None:
    return next((one for one in of if one.type == type), None)
