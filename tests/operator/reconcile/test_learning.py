"""A request teaches once, at its end; what its planner may search is what it was given when it was created."""

import json
from itertools import count
from typing import Any

import pytest
from world import World, wish

from fedwright_crds.allowance import Role
from fedwright_crds.base import digest_of
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.transcript import Charge
from fedwright_crds.work import Reason, Work
from fedwright_operator.reconcile.conditions import condition
from fedwright_operator.reconcile.learning import ANNOTATION

LESSONS = b'{"method":"scaffold"}\n'
DIGEST = digest_of(LESSONS)


def annotated(request: FLStrategyRequest, digest: str) -> FLStrategyRequest:
    meta = request.metadata.model_copy(update={"annotations": {ANNOTATION: digest}})
    return request.model_copy(update={"metadata": meta})


def with_planner(digest: str = DIGEST) -> FLStrategyRequest:
    return annotated(by_model(), digest)


def plans_of(request: FLStrategyRequest, **world_of: Any) -> tuple[World, list[Work]]:
    """The world after the run, and the planner's works."""
    asked: list[Work] = []

    def plan(world: World, work: Work):  # type: ignore[no-untyped-def]
        asked.append(work)
        return world.answer_plan(work)

    world = World(request, script={"plan": plan}, **({"artifacts": {DIGEST: LESSONS}} | world_of))
    return world.run(), asked


def by_model(**more: Any) -> FLStrategyRequest:
    return wish(minds={"planner": "fast"}, budgets={"tokens": 1000}, **more)


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


# -- what the shell has learnt --------------------------------------------------------------------
def test_what_is_known_at_the_first_reconcile_is_pinned_and_what_others_learn_later_asks_nobody_again() -> None:
    numbers = count()
    world, asked = plans_of(by_model(), artifacts={}, lessons=lambda: f'{{"n":{next(numbers)}}}\n'.encode())
    assert world.request.status.phase == "Succeeded" and len(asked) == 1
    pinned = world.request.status.lessons
    assert pinned == digest_of(b'{"n":0}\n') and world.artifacts[pinned] == b'{"n":0}\n'
    assert [(one.name, one.digest) for one in asked[0].inputs][1:] == [("lessons.jsonl", pinned)]
    assert next(numbers) == 1, "it was asked for once"


def test_where_nothing_is_known_the_request_searches_nothing_even_if_others_teach_meanwhile() -> None:
    said = iter([b""])
    world, asked = plans_of(by_model(), lessons=lambda: next(said, LESSONS))
    assert world.request.status.lessons is None and len(asked[0].inputs) == 1


def test_a_request_that_had_begun_before_lessons_were_kept_is_asked_the_same() -> None:
    _, (before,) = plans_of(by_model())
    begun = World(by_model())
    begun.step()
    _, (after,) = plans_of(begun.request, lessons=lambda: LESSONS)
    assert before.id == after.id


@pytest.mark.parametrize("request_", [wish(), annotated(by_model(), DIGEST)], ids=["searches nothing", "names its own"])
def test_others_are_not_even_asked_about(request_: FLStrategyRequest) -> None:
    def never() -> bytes:
        raise AssertionError

    world, _ = plans_of(request_, lessons=never)
    assert world.request.status.phase == "Succeeded" and world.request.status.lessons is None


def test_pinned_lessons_that_are_gone_end_the_request_naming_the_mend() -> None:
    world = World(by_model(), lessons=lambda: LESSONS, script={"inspect": _loses})
    finished = condition(world.run().request.status.conditions, "Finished")
    assert finished is not None and finished.reason == "InvalidRequest"
    assert "status.lessons: there is no artifact" in finished.message and "another name" in finished.message


def _loses(world: World, work: Work):  # type: ignore[no-untyped-def]
    del world.artifacts[DIGEST]
    return world.answer_inspect(work)


def test_it_teaches_in_the_pass_that_ends_it_and_in_no_other() -> None:
    world = World(wish(), script={"learn": lambda *_: {"lessons.json": b'[{"method":"scaffold"}]'}}).run()
    for _ in range(3):
        world.step()
    assert world.taught == [b'[{"method":"scaffold"}]']


def test_a_request_that_failed_teaches_nothing() -> None:
    assert World(wish(), script={"plan": lambda *_: Reason.CRASHED}).run().taught == []


# -- what it cost ---------------------------------------------------------------------------------
def test_costs_that_are_not_known_yet_are_waited_for_and_the_report_is_made_once() -> None:
    said = iter([None, None])
    bill = {Role.PLAN: Charge(tokens=7, calls=1)}
    reports: list[bytes] = []

    def report(world: World, work: Work):  # type: ignore[no-untyped-def]
        reports.append(world.read(work, "report.json"))
        return world.answer_report(work)

    world = World(by_model(), charged=lambda: next(said, bill), script={"report": report})
    while world.request.status.phase != "Succeeded":
        world.step()
    (document,) = reports
    assert json.loads(document)["spent"]["roles"] == [
        {"role": "plan", "calls": 1, "tokens": 7, "moneyUsd": 0.0, "seconds": 0.0}
    ]
    assert json.loads(document)["spent"]["tokens"] == 7
