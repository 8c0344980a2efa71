"""Live answers: attempts at a profile and then at its fallbacks, each one paced, reserved, made and settled.

An attempt is reserved by itself just before it is made, so that retries that never happen reserve nothing and each that does
is inside the budget.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import TypeVar

from fedwright_agents.gateway import wire
from fedwright_agents.gateway.answers import Answered
from fedwright_agents.gateway.call import Call, Outcome
from fedwright_agents.gateway.chat import Json
from fedwright_agents.gateway.errors import Code, GatewayError
from fedwright_agents.gateway.faults import Fault
from fedwright_agents.gateway.pace import Pace
from fedwright_agents.gateway.provider import Provider
from fedwright_agents.gateway.purse import Purse
from fedwright_agents.gateway.usage import spent, worst_case
from fedwright_crds.profiles import ModelProfile, Profiles
from fedwright_crds.transcript import Attempt, Charge, Measured, Problem

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds between attempts where the provider names none; each is twice the one before."""


class Live:
    def __init__(self, profiles: Profiles, provider: Provider, purse: Purse) -> None:
        self._profiles, self._provider, self._purse = profiles, provider, purse
        self._paces = {one.name: Pace(one.requests_per_minute) for one in profiles.profiles}

    async def answer(self, call: Call) -> Outcome:
        date = datetime.now(UTC).isoformat(timespec="milliseconds")
        trail: list[Attempt] = []
        problem: GatewayError | None = None
        try:
            for profile in self._profiles.chain(call.allowance.profile):
                answered, problem = await self._at(profile, call, trail)
                if answered is not None:
                    return outcome(date, trail, answer=answered.answer)
        except GatewayError as refusal:
            problem = refusal
        return outcome(date, trail, problem=problem)

    async def _at(
        self, profile: ModelProfile, call: Call, trail: list[Attempt]
    ) -> tuple[Answered | None, GatewayError | None]:
        """An answer of this profile, or why there is none however often it is tried. GatewayError ends the call."""
        return await tried(lambda: self._attempt(profile, call, trail), profile.attempts, call, trail)

    async def _attempt(self, profile: ModelProfile, call: Call, trail: list[Attempt]) -> Answered:
        """One, within the budgets and the call's time. Fault; GatewayError budget_exhausted."""
        seconds = await turn(self._paces[profile.name], profile.name, profile.timeout_seconds, call)
        body = _bounded(profile, call.body)
        worst = worst_case(profile, body, seconds)
        reservation = await self._purse.reserve(call.allowance, worst, call.deadline)
        started = monotonic()
        with wire.attempt() as seen:
            result = await self._result(profile, body, min(seconds, call.left), seen)
        cost, measured = spent(profile, worst, result, monotonic() - started)
        charged = await self._purse.settle(reservation, call.allowance, cost)
        trail.append(_noted(profile, seen, result, measured, worst, charged))
        if isinstance(result, Fault):
            raise result
        return result

    async def _result(self, profile: ModelProfile, body: Json, seconds: float, seen: wire.Wire) -> Answered | Fault:
        try:
            return await self._provider.ask(profile, body, seconds, seen)
        except Fault as fault:
            return fault


async def turn(pace: Pace, profile: str, most: float, call: Call) -> float:
    """Wait for a turn; the seconds that an attempt of at most so many then has. Fault where it comes too late."""
    if not await pace.turn(call.deadline):
        raise Fault(Code.RATE_LIMITED, f"{profile}: requestsPerMinute leaves no turn in time", False, False)
    seconds = min(most, call.left)
    if seconds <= 0:
        raise Fault(Code.TIMEOUT, f"{profile}: the time of the call is over", again=False, processed=False)
    return seconds


async def tried(
    attempt: Callable[[], Awaitable[T]], attempts: int, call: Call, trail: Sequence[Attempt]
) -> tuple[T | None, GatewayError | None]:
    """What an attempt brings, or why none of so many did. GatewayError of an attempt ends the call."""
    for number in range(attempts):
        try:
            return await attempt(), None
        except Fault as fault:
            if number + 1 == attempts or not fault.again or not await _pause(number, fault, call):
                return None, _told(fault, trail)
    raise AssertionError("a profile has at least one attempt")


def _bounded(profile: ModelProfile, body: Json) -> Json:
    """With a bound of the answer, which the reservation counts on; a fallback may allow less than was asked for."""
    most = profile.max_output_tokens
    return body | {"max_tokens": min(body.get("max_tokens", most), most)}


async def _pause(number: int, fault: Fault, call: Call) -> bool:
    """As long as the provider asked for, else twice as long each time. False, at once, where that is past the deadline."""
    seconds = fault.retry_after
    if seconds is None:
        seconds = min(FIRST_PAUSE * 2.0**number, LONGEST_PAUSE) * random.uniform(0.75, 1.25)
    if seconds >= call.left:
        return False
    await asyncio.sleep(seconds)
    return True


def _noted(
    profile: ModelProfile, seen: wire.Wire, result: Answered | Fault, measured: Measured, worst: Charge, charged: Charge
) -> Attempt:
    return Attempt(
        profile=profile.name,
        endpoint=seen.endpoint,
        status=seen.status,
        problem=Problem(code=result.code, message=result.message) if isinstance(result, Fault) else None,
        prompt_tokens=result.usage.prompt if result.usage else None,
        completion_tokens=result.usage.completion if result.usage else None,
        measured=measured,
        reserved=worst,
        charged=charged,
    )


def _told(fault: Fault, trail: Sequence[Attempt]) -> GatewayError:
    """As the mind is told: the last fault, and how often it was tried."""
    tried = f" (attempt {len(trail)} of this call)" if len(trail) > 1 else ""
    details = {} if fault.retry_after is None else {"retry_after": fault.retry_after}
    return GatewayError(fault.code, f"{fault.message}{tried}", **details)


def outcome(
    date: str, trail: Sequence[Attempt], answer: Json | None = None, problem: GatewayError | None = None
) -> Outcome:
    """Of a call that was asked at this date and tried like that."""
    last = trail[-1] if trail else None
    return Outcome(
        attempts=tuple(trail),
        charged=sum((one.charged for one in trail), Charge()),
        date=date,
        answer=answer,
        problem=problem,
        answered_by=last.profile if last and answer else None,
        endpoint=last.endpoint if last else None,
    )
