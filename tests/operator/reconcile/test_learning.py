"""A request teaches once, at its end; what its planner may search is what it was given when it was created."""

import pytest
from world import World, wish

from fedwright_crds.base import digest_of
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.work import Reason, Work
from fedwright_operator.reconcile.conditions import condition
from fedwright_operator.reconcile.learning import ANNOTATION

LESSONS = b'{"method":"scaffold"}\n'
DIGEST = digest_of(LESSONS)


def annotated(request: FLStrategyRequest, digest: str) -> FLStrategyRequest:
    meta = request.metadata.model_copy(update={"annotations": {ANNOTATION: digest}})
    return request.model_copy(update={"metadata": meta})


def with_planner(digest: str = DIGEST) -> FLStrategyRequest:
    return annotated(wish(minds={"planner": "fast"}, budgets={"tokens": 1000}), digest)


def plans_of(request: FLStrategyRequest) -> tuple[World, list[Work]]:
    """The world after the run, and the planner's works."""
    asked: list[Work] = []

    def plan(world: World, work: Work):  # type: ignore[no-untyped-def]
        asked.append(work)
        return world.answer_plan(work)

    world = World(request, script={"plan": plan}, artifacts={DIGEST: LESSONS})
    return world.run(), asked


def test_lessons_are_drawn_once_from_what_the_report_is_made_of() -> None:
    seen: list[Work] = []

    def learn(world: World, work: Work):  # type: ignore[no-untyped-def]
        seen.append(work)
        return world.answer_learn(work)

    world = World(wish(), script={"learn": learn}).run()
    assert (world.request.status.phase, world.kinds["learn"], world.kinds["report"]) == ("Succeeded", 1, 1)
    assert [one.name for one in seen[0].inputs] == ["report.json"]
    assert seen[0].steps[0].program == ("fedwright_agents.programs.learn",), "it names no profile, so it gets no model"


@pytest.mark.parametrize("end", [Reason.CRASHED, Reason.PLATFORM])
def test_lessons_that_cannot_be_drawn_do_not_undo_the_answer(end: Reason) -> None:
    world = World(wish(), script={"learn": lambda *_: end}).run()
    assert world.request.status.phase == "Succeeded" and world.request.status.report


def test_the_planner_is_given_the_lessons_that_the_request_names() -> None:
    world, asked = plans_of(with_planner())
    assert world.request.status.phase == "Succeeded"
    assert [(one.name, one.digest) for one in asked[0].inputs][1:] == [("lessons.jsonl", DIGEST)]
    assert asked[0].steps[0].inputs == ("plan-input.json", "lessons.jsonl")


def test_a_planner_that_searches_nothing_is_asked_the_same_with_lessons_and_without() -> None:
    _, without = plans_of(wish())
    _, given = plans_of(annotated(wish(), DIGEST))
    assert [one.id for one in given] == [one.id for one in without]


@pytest.mark.parametrize(("digest", "said"), [("yes", "'yes' is no digest"), ("sha256:" + "0" * 64, "no artifact")])
def test_lessons_that_are_not_there_end_the_request_naming_the_field_and_the_mend(digest: str, said: str) -> None:
    world, asked = plans_of(with_planner(digest))
    finished = condition(world.request.status.conditions, "Finished")
    assert finished is not None and finished.reason == "InvalidRequest" and not asked
    assert f"metadata.annotations[{ANNOTATION}]" in finished.message
    assert said in finished.message and "remove it" in finished.message
