"""Plans made true sparingly: what is only shown waits a little, what is decided by never does, and a turn is not outstayed."""

from dataclasses import replace

import pytest
import small_plans
from api_in_memory import ApiInMemory
from operator_core import Core, answer, compute, drive, open_works, wish

from fedwright_crds.candidate import Candidate
from fedwright_crds.meta import Spent
from fedwright_operator.cluster import apply
from fedwright_operator.cluster.ours import OURS
from fedwright_operator.reconcile.api import Observed, Plan

CANDIDATE = OURS["Candidate"]
EXPECTED = small_plans.answer_of(small_plans.request())


@pytest.fixture
def api() -> ApiInMemory:
    return ApiInMemory()


def counting(observed: Observed[Candidate]) -> Plan[Candidate]:
    """As the small plans, with what was spent so far in the status."""
    plan = small_plans.plan_candidate(observed)
    if plan.resource.status.phase.terminal:
        return plan
    status = plan.resource.status.model_copy(update={"spent": Spent(works=len(list(observed.results)))})
    return replace(plan, resource=plan.resource.model_copy(update={"status": status}))


def core_with_a_clock(api: ApiInMemory) -> tuple[Core, list[float]]:
    core, time = Core(api, replace(small_plans.PLANNERS, candidate=counting)), [0.0]
    core.passes._applier._clock = lambda: time[0]
    return core, time


def shown(api: ApiInMemory) -> int:
    return int(api.get(CANDIDATE, "default", "wish-1")["status"]["spent"]["works"])


def test_what_was_spent_is_written_again_only_after_a_while_unless_another_field_changes(api: ApiInMemory) -> None:
    core, time = core_with_a_clock(api)
    uid = wish(api, candidates=2)
    for _ in range(2):
        core.run()
        for work in open_works(api):
            compute(api, work)
    before = shown(api)
    core.run()
    assert shown(api) == before, "it was written a moment ago"
    time[0] += apply.SHOWN_SECONDS + 1
    core.passes._groups.clear()  # as after the resync
    core.run(uid)
    assert shown(api) > before
    drive(core)
    assert api.get(CANDIDATE, "default", "wish-1")["status"]["phase"] == "Scored", "a phase is written at once"


def test_a_plan_that_is_longer_than_a_turn_goes_on_in_the_next_and_writes_nothing_twice(api: ApiInMemory) -> None:
    core = Core(api)
    core.passes._applier._clock = lambda: float("inf")
    wish(api)
    drive(core)
    assert answer(api) == EXPECTED
    applied = [name for verb, kind, name in api.calls if (verb, kind) == ("apply", "Candidate")]
    assert len(applied) == len(set(applied)) == 4
