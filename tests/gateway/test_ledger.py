"""The ledger: whatever comes when, no limit is passed, and what a death left open stays charged whole."""

import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from gateways import allowance
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from fedwright_agents.gateway.ledger import Exhausted, Ledger, LedgerError
from fedwright_crds.allowance import Allowance, Role
from fedwright_crds.transcript import Charge

TOKENS = {"request": 1000, "role": 600}
USD = {"request": 0.1, "role": 0.07}
CALLS = {"request": 12, "role": 9}
SECONDS = {"request": 30.5, "role": 20.0}

charges = st.builds(
    Charge,
    tokens=st.integers(0, 400),
    nano_usd=st.integers(0, 40_000_000),
    calls=st.just(1),
    milliseconds=st.integers(0, 9000),
)


def limits(scope: str) -> dict[str, float]:
    return {"tokens": TOKENS[scope], "money_usd": USD[scope], "calls": CALLS[scope], "seconds": SECONDS[scope]}


def holder(role: Role) -> Allowance:
    return allowance("fast", request_uid="r", role=role, request_limits=limits("request"), role_limits=limits("role"))


class AnyOrder(RuleBasedStateMachine):
    """Two gateways' worth of calls on one file, gateways that die, providers that report what they like."""

    open = Bundle("open")

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.file = Path(self.folder.name) / "ledger"
        self.ledgers = [Ledger(self.file), Ledger(self.file)]
        self.floor = 0

    @rule(target=open, role=st.sampled_from(Role), worst=charges, which=st.integers(0, 1))
    def reserve(self, role: Role, worst: Charge, which: int) -> tuple[int, Role, Charge] | None:
        try:
            return self.ledgers[which].reserve(holder(role), worst), role, worst
        except Exhausted as refusal:
            assert refusal.needed > refusal.left
            return None

    @rule(held=consumes(open), spent=charges, which=st.integers(0, 1))
    def settle(self, held: tuple[int, Role, Charge] | None, spent: Charge, which: int) -> None:
        if held is not None:
            number, role, worst = held
            charged = self.ledgers[which].settle(number, holder(role), spent)
            assert charged.tokens <= spent.tokens
            assert charged.tokens == spent.tokens or charged.tokens >= worst.tokens

    @rule(held=consumes(open))
    def forget(self, held: tuple[int, Role, Charge] | None) -> None:
        """The call died: nobody will settle it, and it stays charged whole."""
        if held is not None:
            self.floor += held[2].tokens

    @rule()
    def die(self) -> None:
        """Connections gone as a kill leaves them: with no word to the file."""
        for ledger in self.ledgers:
            ledger.close()
        self.ledgers = [Ledger(self.file), Ledger(self.file)]

    @invariant()
    def nothing_passes_a_limit(self) -> None:
        for role in (None, *Role):
            scope = "role" if role else "request"
            charged, settled = self.ledgers[0].charged("r", role), self.ledgers[1].settled("r", role)
            assert settled.tokens <= charged.tokens <= TOKENS[scope]
            assert settled.nano_usd <= charged.nano_usd <= USD[scope] * 10**9
            assert settled.calls <= charged.calls <= CALLS[scope]
            assert settled.milliseconds <= charged.milliseconds <= SECONDS[scope] * 1000
        assert self.ledgers[0].charged("r").tokens >= self.floor

    def teardown(self) -> None:
        for ledger in getattr(self, "ledgers", ()):
            ledger.close()
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def test_zero_allows_nothing_and_absent_is_no_limit(ledger: Ledger) -> None:
    with pytest.raises(Exhausted, match="calls of the request: 0 left of 0, and this call may need up to 1"):
        ledger.reserve(allowance("fast", request_limits={"calls": 0}), Charge(calls=1))
    ledger.reserve(allowance("fast"), Charge(tokens=10**12, calls=1))


def test_an_open_attempt_may_free_what_an_abandoned_one_never_will(ledger: Ledger) -> None:
    few = allowance("fast", role_limits={"tokens": 100})
    ledger.reserve(few, Charge(tokens=80))
    with pytest.raises(Exhausted) as refusal:
        ledger.reserve(few, Charge(tokens=21))
    assert refusal.value.may_free
    assert ledger.abandon_open() == 1
    with pytest.raises(Exhausted) as refusal:
        ledger.reserve(few, Charge(tokens=21))
    assert not refusal.value.may_free
    assert ledger.charged(few.request_uid).tokens == 80


def test_a_bill_above_the_reservation_is_charged_as_far_as_there_is_room(ledger: Ledger) -> None:
    few = allowance("fast", request_limits={"tokens": 100})
    first, second = ledger.reserve(few, Charge(tokens=10)), ledger.reserve(few, Charge(tokens=30))
    assert ledger.settle(first, few, Charge(tokens=25)).tokens == 25
    assert ledger.settle(second, few, Charge(tokens=10**14)).tokens == 75


def test_a_role_that_is_shrunk_below_what_it_spent_can_still_settle(ledger: Ledger) -> None:
    many, few = allowance("fast"), allowance("fast", role_limits={"tokens": 5})
    reservation = ledger.reserve(many, Charge(tokens=10))
    assert ledger.settle(reservation, few, Charge(tokens=20)).tokens == 10


def test_money_is_exact(ledger: Ledger) -> None:
    """Ten dimes are a dollar, and 0.1 USD of budget is not a nano-dollar less."""
    dime = allowance("fast", request_limits={"money_usd": 0.3})
    for _ in range(3):
        ledger.reserve(dime, Charge(nano_usd=100_000_000))
    with pytest.raises(Exhausted, match=r"money_usd of the request: 0 left of 0\.3"):
        ledger.reserve(dime, Charge(nano_usd=1))


def test_requests_and_roles_are_apart(ledger: Ledger) -> None:
    for uid in ("a", "b"):
        for role in ("code", "plan"):
            ledger.reserve(allowance("fast", request_uid=uid, role=role, role_limits={"calls": 1}), Charge(calls=1))
    assert ledger.charged("a").calls == 2
    assert ledger.charged("a", Role.CODE).calls == 1
    assert ledger.charged("c") == Charge()
    assert ledger.charged_by_role("a") == {Role.PLAN: Charge(calls=1), Role.CODE: Charge(calls=1)}
    assert ledger.charged_by_role("c") == {}


def test_numbers_are_given_once_and_outlive_the_process(ledger: Ledger, tmp_path: Path) -> None:
    assert [ledger.next_number("a"), ledger.next_number("a"), ledger.next_number("b")] == [1, 2, 1]
    assert Ledger(tmp_path / "ledger").next_number("a") == 3


def test_settling_twice_is_an_error(ledger: Ledger) -> None:
    reservation = ledger.reserve(allowance("fast"), Charge(tokens=1))
    ledger.settle(reservation, allowance("fast"), Charge())
    with pytest.raises(LedgerError):
        ledger.settle(reservation, allowance("fast"), Charge())


def test_a_file_of_another_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        Ledger(tmp_path / "ledger")


def test_searches_are_counted_for_a_request_and_stay_counted_when_the_gateway_dies(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "ledger")
    assert [first.begin_search("r", 3) for _ in range(2)] == [True, True]
    second = Ledger(tmp_path / "ledger")  # beside the first, as while one is replaced
    assert [second.begin_search("r", 3), first.begin_search("r", 3), second.begin_search("s", 3)] == [True, False, True]
    first.close()
    second.close()
    third = Ledger(tmp_path / "ledger")
    assert (third.begin_search("r", 3), third.begin_search("r", 4)) == (False, True)
    third.close()
