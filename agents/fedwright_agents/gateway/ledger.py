"""The ledger: what each request and each role in it has been charged, durable across kills of the gateway.

An attempt at a provider is reserved at its worst case before it begins and settled at what it cost when it has ended. What
is charged is the sum of all settled charges and all reservations that were not settled; a reservation that would take it
past a limit is refused. So nothing that a provider counts can pass a limit, whenever the process dies: an attempt that
nobody settles stays charged whole.

It must not know models, prices or HTTP.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from threading import Lock
from typing import Final

from fedwright_crds.allowance import Allowance, Limits, Role
from fedwright_crds.transcript import Charge

NANO: Final = 10**9
MOST: Final = 10**15
"""Of any one charge: sums of thousands stay whole numbers of 64 bits."""

DIMENSIONS = ("tokens", "nano_usd", "calls", "milliseconds")
WORDS = {"tokens": "tokens", "nano_usd": "money_usd", "calls": "calls", "milliseconds": "seconds"}
UNITS = {"tokens": 1, "nano_usd": NANO, "calls": 1, "milliseconds": 1000}
"""How many of ours make one of a limit's."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS last_call (request TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS searches (request TEXT PRIMARY KEY, begun INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS attempt (
  id INTEGER PRIMARY KEY,
  request TEXT NOT NULL,
  role TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'abandoned')),
  tokens INTEGER NOT NULL CHECK (tokens >= 0),
  nano_usd INTEGER NOT NULL CHECK (nano_usd >= 0),
  calls INTEGER NOT NULL CHECK (calls >= 0),
  milliseconds INTEGER NOT NULL CHECK (milliseconds >= 0)
) STRICT;
CREATE INDEX IF NOT EXISTS attempt_of_role ON attempt (request, role);
"""

# Columns of `attempt` hold the reservation while it is open or abandoned, and what it cost once it is settled.
_ADDED = ", ".join(f"COALESCE(SUM({one}), 0)" for one in DIMENSIONS)
SUMS = f"SELECT {_ADDED} FROM attempt WHERE request = ? AND (? IS NULL OR role = ?) AND (? IS NULL OR state = ?)"
SUMS_BY_ROLE = f"SELECT role, {_ADDED} FROM attempt WHERE request = ? GROUP BY role"


class Exhausted(Exception):  # noqa: N818 - it is no fault: the budget did its work
    """A reservation that would pass a limit. Amounts are in the limit's own unit."""

    def __init__(self, budget: str, scope: str, left: float, needed: float, limit: float, may_free: bool) -> None:
        super().__init__(
            f"{budget} of the {scope}: {_figure(max(left, 0))} left of {_figure(limit)},"
            f" and this call may need up to {_figure(needed)}"
        )
        self.budget, self.scope, self.left, self.needed, self.limit = budget, scope, max(left, 0), needed, limit
        self.may_free = may_free
        """Whether it would fit if every open attempt turned out to cost nothing."""


class LedgerError(Exception):
    """A use of the ledger that makes no sense, such as to settle twice."""


@dataclass(frozen=True)
class _Scope:
    """A budget that a reservation counts against."""

    name: str
    limits: Limits
    charged: Charge
    open: Charge

    def cap(self, dimension: str) -> int | None:
        limit = getattr(self.limits, WORDS[dimension])
        return None if limit is None else int(Decimal(repr(limit)) * UNITS[dimension])

    def room(self, dimension: str) -> int:
        """What may still be charged."""
        cap = self.cap(dimension)
        return MOST if cap is None else cap - int(getattr(self.charged, dimension))


class Ledger:
    """One file. Any number of threads and processes may use it at once."""

    def __init__(self, file: Path) -> None:
        self._lock = Lock()
        self._db = sqlite3.connect(file, isolation_level=None, timeout=30, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    def abandon_open(self) -> int:
        """Charge for good what a gateway that has died left open; how many attempts. Only for the one that takes its place."""
        with self._transaction() as db:
            return db.execute("UPDATE attempt SET state = 'abandoned' WHERE state = 'open'").rowcount

    def next_number(self, request: str) -> int:
        """Of a call within its request, from 1; never given twice."""
        with self._transaction() as db:
            (number,) = db.execute(
                "INSERT INTO last_call VALUES (?, 1) ON CONFLICT DO UPDATE SET number = number + 1 RETURNING number",
                (request,),
            ).fetchone()
            return int(number)

    def begin_search(self, request: str, most: int) -> bool:
        """Count a search of the web that is about to begin; False, and nothing counted, where the request has had so many."""
        with self._transaction() as db:
            row = db.execute(
                "INSERT INTO searches VALUES (?, 1) ON CONFLICT DO UPDATE SET begun = begun + 1 WHERE begun < ?"
                " RETURNING begun",
                (request, most),
            ).fetchone()
            return row is not None

    def reserve(self, holder: Allowance, worst: Charge) -> int:
        """Charge the worst case of an attempt that is about to begin; the reservation's id. Exhausted."""
        with self._transaction() as db:
            scopes = self._scopes(db, holder)
            for scope in scopes:
                for dimension in DIMENSIONS:
                    if getattr(worst, dimension) > scope.room(dimension):
                        raise _exhausted(scope, dimension, worst, scopes)
            values = [getattr(worst, dimension) for dimension in DIMENSIONS]
            row = "INSERT INTO attempt VALUES (NULL, ?, ?, 'open', ?, ?, ?, ?)"
            return int(db.execute(row, (holder.request_uid, holder.role, *values)).lastrowid or 0)

    def settle(self, reservation: int, holder: Allowance, spent: Charge) -> Charge:
        """Put what an attempt cost in place of its reservation; what is charged for it.

        The provider's bill may pass the reservation: it may count a prompt of its own, or disregard `max_tokens`. It is
        charged in full as far as the limits have room, so that such a provider ends the request early rather than costs
        more than was allowed without a word; never past a limit.
        """
        with self._transaction() as db:
            reserved = self._open_reservation(db, reservation)
            scopes = self._scopes(db, holder)
            charged = {
                dimension: min(
                    getattr(spent, dimension),
                    getattr(reserved, dimension) + max(0, min(scope.room(dimension) for scope in scopes)),
                )
                for dimension in DIMENSIONS
            }
            columns = ", ".join(f"{dimension} = :{dimension}" for dimension in DIMENSIONS)
            db.execute(f"UPDATE attempt SET state = 'settled', {columns} WHERE id = :id", charged | {"id": reservation})
            return Charge(**charged)

    def charged(self, request: str, role: str | None = None) -> Charge:
        """So far: settled, open and abandoned attempts together."""
        with self._transaction() as db:
            return _sum(db, request, role, None)

    def charged_by_role(self, request: str) -> dict[Role, Charge]:
        """So far, in the order of the roles; one that asked no model is not in it."""
        with self._transaction() as db:
            sums = {role: _charge(rest) for role, *rest in db.execute(SUMS_BY_ROLE, (request,))}
        return {role: sums[role] for role in Role if role in sums}

    def settled(self, request: str, role: str | None = None) -> Charge:
        with self._transaction() as db:
            return _sum(db, request, role, "settled")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Holds the file's one write lock from the first read on, so that what is read stays true."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _scopes(self, db: sqlite3.Connection, holder: Allowance) -> tuple[_Scope, ...]:
        request, role = holder.request_uid, holder.role
        return (
            _Scope("request", holder.request_limits, _sum(db, request, None, None), _sum(db, request, None, "open")),
            _Scope(f"role {role}", holder.role_limits, _sum(db, request, role, None), _sum(db, request, role, "open")),
        )

    def _open_reservation(self, db: sqlite3.Connection, reservation: int) -> Charge:
        query = f"SELECT {', '.join(DIMENSIONS)} FROM attempt WHERE id = ? AND state = 'open'"
        if (row := db.execute(query, (reservation,)).fetchone()) is None:
            raise LedgerError(f"reservation {reservation} is not open; settle each once")
        return _charge(row)


def _sum(db: sqlite3.Connection, request: str, role: str | None, state: str | None) -> Charge:
    return _charge(db.execute(SUMS, (request, role, role, state, state)).fetchone())


def _charge(row: Sequence[int]) -> Charge:
    return Charge(**dict(zip(DIMENSIONS, row, strict=True)))


def _figure(amount: float) -> str:
    return f"{amount:,.6f}".rstrip("0").rstrip(".")


def _exhausted(scope: _Scope, dimension: str, worst: Charge, scopes: tuple[_Scope, ...]) -> Exhausted:
    unit = UNITS[dimension]
    return Exhausted(
        WORDS[dimension],
        scope.name,
        left=scope.room(dimension) / unit,
        needed=getattr(worst, dimension) / unit,
        limit=getattr(scope.limits, WORDS[dimension]),
        may_free=all(
            getattr(worst, one) <= each.room(one) + getattr(each.open, one) for each in scopes for one in DIMENSIONS
        ),
    )
