"""The ledger for calls that run at the same time: one whose worst case has no room now waits for the others to settle.

Without the wait it would depend on timing whether parallel minds near the end of a budget are refused.
"""

import asyncio
from time import monotonic

from fedwright_agents.gateway.errors import Code, GatewayError
from fedwright_agents.gateway.ledger import Exhausted, Ledger
from fedwright_crds.allowance import Allowance, Role
from fedwright_crds.transcript import Charge


class Purse:
    """Of one event loop. The ledger works in threads, since it waits for the disk."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._settled = asyncio.Condition()
        self._settlements = 0

    async def next_number(self, request: str) -> int:
        return await asyncio.to_thread(self._ledger.next_number, request)

    async def begin_search(self, request: str, most: int) -> bool:
        return await asyncio.to_thread(self._ledger.begin_search, request, most)

    async def reserve(self, holder: Allowance, worst: Charge, deadline: float) -> int:
        """As `Ledger.reserve`, at the latest at the deadline (`monotonic` seconds). GatewayError budget_exhausted."""
        while True:
            seen = self._settlements
            try:
                return await asyncio.to_thread(self._ledger.reserve, holder, worst)
            except Exhausted as problem:
                if not problem.may_free or not await self._changes(seen, deadline):
                    raise _refusal(problem) from None

    async def settle(self, reservation: int, holder: Allowance, spent: Charge) -> Charge:
        charged = await asyncio.to_thread(self._ledger.settle, reservation, holder, spent)
        async with self._settled:
            self._settlements += 1
            self._settled.notify_all()
        return charged

    async def charged_by_role(self, request: str) -> dict[Role, Charge]:
        return await asyncio.to_thread(self._ledger.charged_by_role, request)

    async def _changes(self, seen: int, deadline: float) -> bool:
        """Wait until something settled after `seen`; False at the deadline."""
        try:
            async with asyncio.timeout(deadline - monotonic()), self._settled:
                await self._settled.wait_for(lambda: self._settlements != seen)
        except TimeoutError:
            return False
        return True


def _refusal(problem: Exhausted) -> GatewayError:
    return GatewayError(
        Code.BUDGET_EXHAUSTED,
        f"budget exhausted: {problem}; ask for less, or raise the budget",
        budget=problem.budget,
        scope=problem.scope.partition(" ")[0],
        left=problem.left,
        needed=problem.needed,
        limit=problem.limit,
    )
