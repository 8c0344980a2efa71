"""The whole core over an API in memory: passes, works, documents and cache, through kills, takeovers and what others do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
import small_plans
from api_in_memory import ApiInMemory, away
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from operator_core import REQUEST, Core, answer, compute, drive, open_works, status_of, wish

from fedwright_crds.deployment import DeploymentSpec
from fedwright_operator.cluster import passes
from fedwright_operator.cluster.api import CONFIG_MAP, JOB, ApiError, AwayError, Json
from fedwright_operator.cluster.ours import OURS
from fedwright_operator.reconcile.api import Observed, Plan

CANDIDATE, FEDERATION, DEPLOYMENT = OURS["Candidate"], OURS["Federation"], OURS["Deployment"]
EXPECTED = small_plans.answer_of(small_plans.request())


class Killed(BaseException):
    """The process is gone from here on."""


@pytest.fixture
def api() -> ApiInMemory:
    return ApiInMemory()


@contextmanager
def before(api: ApiInMemory, wrong: Callable[[str, str, str], None]) -> Iterator[None]:
    """What each write meets first."""
    api.before = wrong
    try:
        yield
    finally:
        api.before = lambda *_: None


def raises(problem: BaseException, *which: str) -> Callable[[str, str, str], None]:
    """At writes of this verb and kind, or of this kind."""

    def wrong(verb: str, kind: str, name: str) -> None:
        if which in {(kind,), (verb, kind)}:
            raise problem

    return wrong


def test_a_request_goes_to_its_answer_and_its_finished_jobs_go_with_it(api: ApiInMemory) -> None:
    core = Core(api)
    wish(api)
    drive(core)
    assert answer(api) == EXPECTED
    assert set(api.started.values()) == {1}
    assert len(api.list(JOB, "default")) == len(results(api)), "people may look at what has run"
    assert not any(body["kind"] in {"Job", "Pod"} for body in core.cache), "and nobody remembers it"
    api.remove(api.bodies["FLStrategyRequest", "default", "wish"])
    assert not api.list(JOB, "default")


def test_a_result_that_somebody_deleted_is_made_anew(api: ApiInMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedwright_operator.shell.planning.RESYNC_SECONDS", 0.0)
    core = Core(api)
    uid = wish(api)
    core.run()
    (work,) = open_works(api)
    compute(api, work)
    core.run()
    (kept,) = results(api)
    api.remove(kept)
    core.run(uid)
    core.run(uid)
    assert api.started[f"w-{work.id}"] == 2
    drive(core)
    assert answer(api) == EXPECTED


def test_in_turns_of_one_step_a_request_goes_the_same_way(api: ApiInMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where much waits, a pass ends after its turn; here each turn is over at once."""
    monkeypatch.setattr(passes, "TURN_SECONDS", -1.0)
    core = Core(api)
    wish(api)
    drive(core)
    assert answer(api) == EXPECTED
    assert set(api.started.values()) == {1}


def test_a_document_that_the_api_did_not_take_is_written_before_its_work_starts(api: ApiInMemory) -> None:
    core, uid = Core(api), wish(api)
    with before(api, raises(away(), "create", "ConfigMap")), pytest.raises(AwayError):
        core.run(uid)
    drive(core)
    assert answer(api) == EXPECTED
    assert not any("PlatformError" in body["data"]["result.json"] for body in results(api))


def test_a_status_that_met_a_conflict_is_planned_anew_at_once(api: ApiInMemory) -> None:
    core, uid = Core(api), wish(api)
    conflict = ApiError(409, "Conflict", "it was changed")
    with before(api, raises(conflict, "apply status", "FLStrategyRequest")):
        assert core.passes.run(uid) == pytest.approx(0.2)
    core.run(uid)
    assert status_of(api)["phase"] == "Planning"


def test_killed_after_a_result_was_kept_the_next_one_starts_nothing_again(api: ApiInMemory) -> None:
    first, uid = Core(api), wish(api)
    first.run()
    (work,) = open_works(api)
    compute(api, work)

    def dying(verb: str, kind: str, name: str) -> None:
        if name == f"r-{work.id}":
            raise Killed

    api.after = dying
    with pytest.raises(Killed):
        first.run(uid)
    api.after = lambda *_: None
    first.die()
    assert len(results(api)) == 1
    drive(second := Core(api))
    assert set(api.started.values()) == {1}
    assert answer(second.api) == EXPECTED


def test_a_second_core_takes_over_what_runs(api: ApiInMemory) -> None:
    first = Core(api)
    wish(api)
    first.run()
    first.die()
    drive(Core(api))
    assert answer(api) == EXPECTED
    assert set(api.started.values()) == {1}


def test_two_requests_share_a_work_and_either_may_bring_it_home(api: ApiInMemory) -> None:
    core = Core(api)
    one, two = wish(api, "one"), wish(api, "two")
    core.run(one)
    core.run(two)
    (work,) = open_works(api)
    compute(api, work)
    core.run(two)
    (kept,) = results(api)
    assert '"Succeeded"' in kept["data"]["result.json"], "the pod of a shared Job is found by whoever looks"
    drive(core)
    assert answer(api, "one")[1] == answer(api, "two")[1] == EXPECTED[1]
    assert set(api.started.values()) == {1}


def test_of_two_requests_the_slower_pass_starts_no_work_that_the_other_has_finished(api: ApiInMemory) -> None:
    """While one is about to start the shared work, the other starts it, and its result is there before."""
    core = Core(api)
    one, two = wish(api, "one"), wish(api, "two")

    def meanwhile(verb: str, kind: str, name: str) -> None:
        if kind == "FLStrategyRequest" and name == "two":  # its works are driven next
            api.after = lambda *_: None
            look = core.works._job

            def late(root, work):  # type: ignore[no-untyped-def]
                core.works._job = look  # type: ignore[method-assign]
                found = look(root, work)
                core.run(one)
                compute(api, open_works(api)[0])
                core.run(one)
                return found

            core.works._job = late  # type: ignore[method-assign]

    api.after = meanwhile
    core.run(two)
    assert set(api.started.values()) == {1}


def test_the_results_that_a_request_was_answered_from_outlive_the_request_that_brought_them(api: ApiInMemory) -> None:
    core = Core(api)
    wish(api, "one")
    drive(core)
    wish(api, "two")
    drive(core)
    assert set(api.started.values()) == {1}
    api.remove(api.bodies["FLStrategyRequest", "default", "one"])
    assert len(results(api)) == 13
    third = wish(api, "three")
    core.run(third)
    drive(core)
    assert answer(api, "three")[1] == EXPECTED[1]
    assert set(api.started.values()) == {1}


def test_a_result_whose_outputs_go_with_their_owner_is_not_adopted_and_is_made_anew(api: ApiInMemory) -> None:
    """The collector was faster with an output than the second request with the result."""
    core = Core(api)
    wish(api, "one")
    core.run()
    (work,) = open_works(api)
    compute(api, work)
    core.run()
    (kept,) = results(api)
    output = kept["data"]["result.json"].split("sha256:")[1][:64]
    del api.bodies["ConfigMap", "default", f"a-{output}-0"]
    two = wish(api, "two")
    Core(api).run(two)
    owners = [one["name"] for one in results(api)[0]["metadata"]["ownerReferences"]]
    assert owners == ["one"]


def test_a_job_that_was_deleted_by_hand_is_made_again(api: ApiInMemory) -> None:
    core = Core(api)
    wish(api)
    core.run()
    (work,) = open_works(api)
    api.remove(api.bodies["Job", "default", f"w-{work.id}"])
    drive(core)
    assert answer(api) == EXPECTED


def test_what_went_while_the_watch_was_broken_is_dropped_by_its_next_list_and_its_work_goes_on(
    api: ApiInMemory,
) -> None:
    core = Core(api)
    wish(api)
    core.run()
    (work,) = open_works(api)
    core.blind = True
    api.remove(api.bodies["Job", "default", f"w-{work.id}"])
    core.blind = False
    core.run()
    assert not open_works(api), "the cache still has it"
    core.take_stock()
    drive(core)
    assert answer(api) == EXPECTED


def test_a_request_that_went_while_the_watch_was_broken_is_not_asked_for_in_a_hot_loop(api: ApiInMemory) -> None:
    core, uid = Core(api), wish(api)
    core.blind = True
    api.remove(api.bodies["FLStrategyRequest", "default", "wish"])
    pause = core.passes.run(uid)
    assert pause is not None and pause >= 1
    core.sweep()
    assert uid in core.asked
    assert core.passes.run(uid) is None


def test_a_sweep_drops_nothing_that_is_there(api: ApiInMemory) -> None:
    core = Core(api)
    wish(api)
    core.run()
    held = {body["metadata"]["uid"] for body in core.cache}
    core.asked.clear()
    core.sweep()
    assert {body["metadata"]["uid"] for body in core.cache} == held
    assert not core.asked


def test_a_request_of_the_same_name_begins_anew(api: ApiInMemory) -> None:
    core = Core(api)
    wish(api)
    drive(core)
    api.remove(api.bodies["FLStrategyRequest", "default", "wish"])
    assert not results(api), "all that it owned went with it"
    wish(api, goal="be better")
    drive(core)
    assert answer(api) == EXPECTED


def test_labels_that_name_another_request_or_a_candidate_wake_no_pass(api: ApiInMemory) -> None:
    core, uid = Core(api), wish(api)
    core.run()
    (work,) = open_works(api)
    compute(api, work)
    core.run()
    candidate = api.get(CANDIDATE, "default", "wish-1")["metadata"]["uid"]
    assert core.passes.run(candidate) is None
    job = api.list(JOB, "default")[0]["metadata"]["uid"]
    assert core.passes.run(job) is None
    assert core.passes.run(uid) is not None


def test_a_deployment_of_a_package_that_is_not_there_fails_and_says_so(api: ApiInMemory) -> None:
    core = Core(api)
    package = "sha256:" + "0" * 64
    fleet = {
        "spec": {"groups": [{"name": "nodes", "nodes": 1, "data": {"path": "/data/rows.npz"}}]},
        "status": {"phase": "Ready"},
    }
    _apply(api, "Federation", "fleet", fleet)
    spec = DeploymentSpec(federation="fleet", package=package, rounds=2).to_wire()
    uid = _apply(api, "Deployment", "rollout", {"spec": spec})
    for _ in range(8):
        core.run(uid)
    status = api.get(DEPLOYMENT, "default", "rollout")["status"]
    assert status["phase"] == "Failed"
    assert package in str(status["conditions"])


def test_what_the_api_refuses_is_said_in_an_event_and_asked_for_again_later(api: ApiInMemory) -> None:
    core, uid = Core(api), wish(api)
    refusal = ApiError(422, "Invalid", "status.conditions: Too long")
    with before(api, raises(refusal, "apply status", "FLStrategyRequest")):
        assert core.passes.run(uid) == 10.0
    (event,) = [body for body in api.bodies.values() if body["kind"] == "Event"]
    assert (event["reason"], event["type"]) == ("Refused", "Warning")
    assert "Too long" in event["message"]


def test_a_namespace_without_room_for_events_stops_nothing(api: ApiInMemory) -> None:
    core = Core(api)
    wish(api)
    with before(api, raises(ApiError(403, "Forbidden", "exceeded quota: events"), "create", "Event")):
        drive(core)
    assert answer(api) == EXPECTED


def test_a_quota_of_jobs_holds_the_request_up_and_says_so(api: ApiInMemory) -> None:
    waiting: list[str] = []

    def plan(observed: Observed[small_plans.FLStrategyRequest]) -> Plan[small_plans.FLStrategyRequest]:
        waiting.extend(one.reason for one in observed.waiting)
        return small_plans.plan_request(observed)

    core = Core(api, replace(small_plans.PLANNERS, request=plan))
    uid = wish(api)
    quota = ApiError(403, "Forbidden", 'jobs.batch "w-1" is forbidden: exceeded quota: few, used: count/jobs.batch=1')
    with before(api, raises(quota, "create", "Job")):
        core.run(uid)
        core.run(uid)
    assert waiting == ["QuotaExceeded"]
    assert not results(api)
    drive(core)
    assert answer(api) == EXPECTED


def test_a_job_that_the_cluster_finds_invalid_is_the_platforms_error(api: ApiInMemory) -> None:
    core, uid = Core(api), wish(api)
    with before(api, raises(ApiError(422, "Invalid", "spec.template is invalid"), "create", "Job")):
        core.run(uid)
    (kept,) = results(api)
    assert '"PlatformError"' in kept["data"]["result.json"]
    assert "spec.template is invalid" in kept["data"]["result.json"]


def results(api: ApiInMemory) -> list[Json]:
    return [body for body in api.list(CONFIG_MAP, "default") if body["metadata"]["name"].startswith("r-")]


def _apply(api: ApiInMemory, kind: str, name: str, body: Json) -> str:
    whole = {"apiVersion": "fedwright.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "default"}}
    return str(api.create(OURS[kind], {**whole, **body})["metadata"]["uid"])


class KillAndTakeOver(RuleBasedStateMachine):
    """Two requests that share works; passes, finished boxes, kills at any write, broken watches and sweeps, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.api = ApiInMemory()
        self.seen: dict[str, Json] = {}

    @initialize()
    def ask(self) -> None:
        self.uids = [wish(self.api, name, candidates=2) for name in ("one", "two")]
        self.core = Core(self.api)

    @rule(which=st.integers(0, 1))
    def a_pass(self, which: int) -> None:
        self.core.run(self.uids[which])

    @rule(which=st.integers(0, 5))
    def a_box_finishes(self, which: int) -> None:
        if running := open_works(self.api):
            compute(self.api, running[which % len(running)])

    @rule(which=st.integers(0, 1), number=st.integers(1, 12), after=st.booleans())
    def killed_in_the_middle_of_a_pass(self, which: int, number: int, after: bool) -> None:
        left = [number]

        def dying(*_: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        setattr(self.api, "after" if after else "before", dying)
        with suppress(Killed):
            self.core.run(self.uids[which])
        self.api.before = self.api.after = lambda *_: None
        self.core.die()
        self.core = Core(self.api)

    @rule(which=st.integers(0, 1), number=st.integers(1, 12))
    def the_api_fails_once(self, which: int, number: int) -> None:
        left = [number]

        def failing(*_: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise away()

        self.api.before = failing
        with suppress(AwayError):
            self.core.run(self.uids[which])
        self.api.before = lambda *_: None

    @rule(which=st.integers(0, 5))
    def a_job_goes_unseen(self, which: int) -> None:
        """A box may have to run again for it, but no finished work."""
        if running := open_works(self.api):
            self.core.blind = True
            work = running[which % len(running)]
            self.api.remove(self.api.bodies["Job", "default", f"w-{work.id}"])
            self.api.started[f"w-{work.id}"] -= 1
            self.core.blind = False
            self.core.take_stock()

    @invariant()
    def results_are_written_once_and_their_works_not_started_again(self) -> None:
        for body in results(self.api):
            name = body["metadata"]["name"]
            assert self.seen.setdefault(name, body["data"]) == body["data"]
            assert '"Succeeded"' in body["data"]["result.json"]
        assert set(self.api.kept.values()) <= {1}
        assert set(self.api.started.values()) <= {0, 1}

    @invariant()
    def no_status_is_ahead_of_what_it_speaks_of(self) -> None:
        for name in ("one", "two"):
            if self.api.find(REQUEST, "default", name) and status_of(self.api, name).get("phase") == "Exploring":
                assert self.api.find(CANDIDATE, "default", f"{name}-2")

    def teardown(self) -> None:
        for _ in range(40):
            for uid in self.uids:
                self.core.run(uid)
            for work in open_works(self.api):
                compute(self.api, work)
        winner, score = small_plans.answer_of(small_plans.request(candidates=2))
        for name in ("one", "two"):
            assert answer(self.api, name) == (winner.replace("wish", name), score)


KillAndTakeOver.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestKillAndTakeOver = KillAndTakeOver.TestCase
