"""Searches at a live server: each attempt paced, reserved, made and settled, as with models."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from time import monotonic

from fedwright_agents.gateway import wire
from fedwright_agents.gateway.call import Call, Outcome
from fedwright_agents.gateway.errors import GatewayError
from fedwright_agents.gateway.faults import Fault
from fedwright_agents.gateway.ledger import MOST, NANO
from fedwright_agents.gateway.live import outcome, tried, turn
from fedwright_agents.gateway.pace import Pace
from fedwright_agents.gateway.purse import Purse
from fedwright_agents.gateway.search.engines import Engines, host_of
from fedwright_agents.gateway.usage import milliseconds
from fedwright_crds.findings import Findings
from fedwright_crds.search_profiles import SearchProfile
from fedwright_crds.transcript import Attempt, Charge, Measured, Problem


class LiveSearch:
    def __init__(self, profiles: Mapping[str, SearchProfile], engines: Engines, purse: Purse) -> None:
        self._profiles, self._engines, self._purse = profiles, engines, purse
        self._paces = {name: Pace(one.requests_per_minute) for name, one in profiles.items()}

    async def answer(self, call: Call) -> Outcome:
        date = datetime.now(UTC).isoformat(timespec="milliseconds")
        profile, trail = self._profiles[call.profile], list[Attempt]()
        found: Findings | None = None
        problem: GatewayError | None
        try:
            found, problem = await tried(lambda: self._attempt(profile, call, trail), profile.attempts, call, trail)
        except GatewayError as refusal:
            problem = refusal
        return outcome(date, trail, answer=None if found is None else found.to_wire(), problem=problem)

    async def _attempt(self, profile: SearchProfile, call: Call, trail: list[Attempt]) -> Findings:
        """One, within the budgets and the call's time. Fault; GatewayError budget_exhausted."""
        seconds = await turn(self._paces[profile.name], profile.name, profile.timeout_seconds, call)
        worst = _charge(profile, seconds)
        reservation = await self._purse.reserve(call.allowance, worst, call.deadline)
        started = monotonic()
        with wire.attempt(host_of(profile)) as seen:
            result = await self._result(profile, call, min(seconds, call.left), seen)
        cost, measured = _spent(profile, result, min(seconds, monotonic() - started))
        charged = await self._purse.settle(reservation, call.allowance, cost)
        trail.append(_noted(profile, seen, result, measured, worst, charged))
        if isinstance(result, Fault):
            raise result
        return result

    async def _result(self, profile: SearchProfile, call: Call, seconds: float, seen: wire.Wire) -> Findings | Fault:
        try:
            return await self._engines.ask(profile, call.body["query"], seconds, seen)
        except Fault as fault:
            return fault


def _charge(profile: SearchProfile, seconds: float) -> Charge:
    """Of an attempt that the provider works on: its price, rounded up, from how it was written: 0.1 is a tenth."""
    price = (Decimal(repr(profile.price_usd)) * NANO).to_integral_value(ROUND_CEILING)
    return Charge(nano_usd=min(int(price), MOST), calls=1, milliseconds=milliseconds(seconds))


def _spent(profile: SearchProfile, result: Findings | Fault, seconds: float) -> tuple[Charge, Measured]:
    """The whole price where the provider may have worked on it; no provider tells what a search has cost."""
    if isinstance(result, Fault) and not result.processed:
        return Charge(calls=1, milliseconds=milliseconds(seconds)), Measured.NOTHING
    return _charge(profile, seconds), Measured.BOUNDED


def _noted(
    profile: SearchProfile,
    seen: wire.Wire,
    result: Findings | Fault,
    measured: Measured,
    worst: Charge,
    charged: Charge,
) -> Attempt:
    return Attempt(
        profile=profile.name,
        endpoint=seen.endpoint,
        status=seen.status,
        problem=Problem(code=result.code, message=result.message) if isinstance(result, Fault) else None,
        measured=measured,
        reserved=worst,
        charged=charged,
    )
