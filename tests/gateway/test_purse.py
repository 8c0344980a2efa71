"""Calls at the same time: whether one is refused depends on the budget, not on the moment."""

import asyncio
from pathlib import Path
from time import monotonic

import pytest
from gateways import allowance

from fedwright_agents.gateway.errors import Code, GatewayError
from fedwright_agents.gateway.ledger import Ledger
from fedwright_agents.gateway.pace import Pace
from fedwright_agents.gateway.purse import Purse
from fedwright_crds.transcript import Charge

HOLDER = allowance("fast", role_limits={"tokens": 100})
WORST = Charge(tokens=80, calls=1)


@pytest.fixture
def purse(tmp_path: Path) -> Purse:
    return Purse(Ledger(tmp_path / "ledger"))


def test_a_call_waits_for_those_whose_reservations_are_in_its_way(purse: Purse) -> None:
    async def run() -> list[str]:
        order = []
        first = await purse.reserve(HOLDER, WORST, monotonic() + 60)

        async def second() -> None:
            await purse.reserve(HOLDER, WORST, monotonic() + 60)
            order.append("second")

        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.2)
        order.append("first")
        await purse.settle(first, HOLDER, Charge(tokens=20, calls=1))
        await waiting
        return order

    assert asyncio.run(run()) == ["first", "second"]


def test_it_is_refused_at_once_when_nothing_that_settles_could_help(purse: Purse) -> None:
    async def run() -> GatewayError:
        first = await purse.reserve(HOLDER, WORST, monotonic() + 60)
        second = asyncio.create_task(purse.reserve(HOLDER, WORST, monotonic() + 60))
        await asyncio.sleep(0.1)
        await purse.settle(first, HOLDER, WORST)
        with pytest.raises(GatewayError) as refusal:
            await second
        return refusal.value

    started = monotonic()
    error = asyncio.run(run())
    assert monotonic() - started < 30
    assert error.code is Code.BUDGET_EXHAUSTED
    assert error.details == {"budget": "tokens", "scope": "role", "left": 20.0, "needed": 80.0, "limit": 100}
    assert error.message == (
        "budget exhausted: tokens of the role code: 20 left of 100, and this call may need up to 80;"
        " ask for less, or raise the budget"
    )


def test_it_waits_no_longer_than_its_deadline(purse: Purse) -> None:
    async def run() -> float:
        await purse.reserve(HOLDER, WORST, monotonic() + 60)
        started = monotonic()
        with pytest.raises(GatewayError):
            await purse.reserve(HOLDER, WORST, started + 0.3)
        return monotonic() - started

    assert 0.3 <= asyncio.run(run()) < 5


def test_turns_come_in_order_and_never_more_in_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedwright_agents.gateway.pace.MINUTE", 0.5)

    async def run() -> list[float]:
        pace, started = Pace(2), monotonic()
        turns: list[float] = []

        async def one() -> None:
            assert await pace.turn(started + 60)
            turns.append(monotonic() - started)

        await asyncio.gather(*(one() for _ in range(6)))
        assert not await pace.turn(monotonic() + 0.1), "a turn past the deadline is not taken"
        return turns

    turns = asyncio.run(run())
    assert [round(turn * 2) for turn in turns] == [0, 0, 1, 1, 2, 2]
