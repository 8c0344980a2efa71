"""Requests per minute: turns to call an endpoint, given out in order."""

import asyncio
from collections import deque
from time import monotonic

MINUTE = 60.0


class Pace:
    """At most so many turns in any minute. None: as many as are asked for."""

    def __init__(self, per_minute: int | None) -> None:
        self._turns: deque[float] | None = deque(maxlen=per_minute) if per_minute else None

    async def turn(self, deadline: float) -> bool:
        """Wait for a turn; False at once where none comes before the deadline (`monotonic` seconds)."""
        if self._turns is None:
            return True
        now = monotonic()
        full = len(self._turns) == self._turns.maxlen
        at = max(now, self._turns[0] + MINUTE) if full else now
        if at >= deadline:
            return False
        self._turns.append(at)
        await asyncio.sleep(at - now)
        return True
