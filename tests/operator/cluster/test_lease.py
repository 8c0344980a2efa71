"""One leader at a time, whatever is paused, lost or late: two replicas, one clock, and a Lease that is kept in memory."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fedwright_operator.cluster.api import ApiError, AwayError, Json, Type
from fedwright_operator.cluster.lease import DURATION_SECONDS, RENEW_SECONDS, Leadership, NotLeaderError, Seat


class LeasesInMemory:
    """What a Lease needs of the API: versions, conflicts, and times of being away."""

    def __init__(self) -> None:
        self.lease: Json | None = None
        self.version = 0
        self.away = False

    def find(self, kind: Type, namespace: str, name: str) -> Json | None:
        self._answer()
        return self.lease

    def get(self, kind: Type, namespace: str, name: str) -> Json:
        self._answer()
        assert self.lease is not None
        return self.lease

    def create(self, kind: Type, body: Json) -> Json:
        self._answer()
        if self.lease is not None:
            raise ApiError(409, "AlreadyExists", "it is there")
        return self._put(body)

    def replace(self, kind: Type, body: Json) -> Json:
        self._answer()
        if self.lease is None or body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "it was changed")
        return self._put(body)

    def _put(self, body: Json) -> Json:
        self.version += 1
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return self.lease

    def _answer(self) -> None:
        if self.away:
            raise AwayError("the API server does not answer")


class World:
    def __init__(self) -> None:
        self.time = 100.0
        self.leases = LeasesInMemory()

    def replica(self, name: str) -> Leadership:
        api: Any = self.leases
        return Leadership(api, Seat("system", "fedwright-operator", name), lambda: self.time)


@pytest.fixture
def world() -> World:
    return World()


def test_the_first_leads_and_the_second_waits(world: World) -> None:
    first, second = world.replica("one"), world.replica("two")
    assert first.try_once()
    assert not second.try_once()
    first.fence()
    with pytest.raises(NotLeaderError, match="two does not hold the lease"):
        second.fence()


def test_a_dead_leader_is_followed_within_twenty_seconds(world: World) -> None:
    first, second = world.replica("one"), world.replica("two")
    first.try_once()
    waited = 0.0
    while not second.try_once():
        world.time += RENEW_SECONDS
        waited += RENEW_SECONDS
    assert waited < 20


def test_a_leader_that_was_paused_and_wakes_writes_nothing(world: World) -> None:
    first, second = world.replica("one"), world.replica("two")
    first.try_once()
    second.try_once()
    world.time += DURATION_SECONDS + 1
    with pytest.raises(NotLeaderError):
        first.fence()
    assert second.try_once()
    assert not first.try_once()


def test_a_leader_that_cannot_renew_stops_before_another_may_begin(world: World) -> None:
    first, second = world.replica("one"), world.replica("two")
    first.try_once()
    second.try_once()
    world.leases.away = True
    while first.held:
        world.time += 0.5
        first.try_once()
    world.leases.away = False
    assert not second.try_once()


def test_a_lease_that_was_given_back_is_free_at_once(world: World) -> None:
    first, second = world.replica("one"), world.replica("two")
    first.try_once()
    first.release()
    assert second.try_once()
    assert not first.held


@settings(max_examples=60, stateful_step_count=40, deadline=None)
class TwoReplicas(RuleBasedStateMachine):
    """Any order of tries, pauses and outages: never two that may write at one moment."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.replicas = [self.world.replica("one"), self.world.replica("two"), self.world.replica("three")]

    @rule(which=st.integers(0, 2))
    def tries(self, which: int) -> None:
        self.replicas[which].try_once()

    @rule(seconds=st.floats(0.1, DURATION_SECONDS * 1.5))
    def time_passes(self, seconds: float) -> None:
        self.world.time += seconds

    @rule(away=st.booleans())
    def the_api_goes_or_comes(self, away: bool) -> None:
        self.world.leases.away = away

    @invariant()
    def at_most_one_may_write(self) -> None:
        assert sum(one.held for one in self.replicas) <= 1


TestTwoReplicas = TwoReplicas.TestCase
