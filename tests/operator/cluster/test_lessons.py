"""What a namespace has learnt: kept once, bounded, its own, through conflicts, kills and whatever people do to it."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import small_plans
from api_in_memory import ApiInMemory, away
from operator_core import Core, answer, drive, status_of, wish

from fedwright_crds.base import digest_of
from fedwright_crds.request import FLStrategyRequest
from fedwright_operator.cluster.api import CONFIG_MAP, EVENT, ApiError, AwayError, Json
from fedwright_operator.cluster.lessons import KEY, NAME, Lessons
from fedwright_operator.reconcile.api import Observed, Plan
from fedwright_operator.shell.planning import Planners

EXPECTED = small_plans.answer_of(small_plans.request())


class Killed(BaseException):
    """The process is gone from here on."""


@pytest.fixture
def api() -> ApiInMemory:
    return ApiInMemory()


@pytest.fixture
def lessons(api: ApiInMemory) -> Lessons:
    given: Any = api
    return Lessons(given)


def document(*methods: str) -> bytes:
    return json.dumps([{"method": one} for one in methods]).encode()


def methods(lessons: Lessons, namespace: str = "default") -> list[str]:
    return [json.loads(line)["method"] for line in lessons.of(namespace).splitlines()]


def kept(api: ApiInMemory) -> Json:
    return api.get(CONFIG_MAP, "default", NAME)


def writes(api: ApiInMemory) -> int:
    return sum(1 for _, _, name in api.calls if name == NAME)


# -- the ConfigMap --------------------------------------------------------------------------------
def test_each_namespace_has_its_own_and_each_lesson_once(api: ApiInMemory, lessons: Lessons) -> None:
    assert lessons.of("default") == b""
    lessons.add("default", document("scaffold", "fedprox"))
    lessons.add("default", document("fedprox", "fedbn"))
    assert methods(lessons) == ["scaffold", "fedprox", "fedbn"]
    assert lessons.of("his") == b""
    assert "ownerReferences" not in kept(api)["metadata"], "it stays when requests go"


def test_what_is_there_already_costs_no_write(api: ApiInMemory, lessons: Lessons) -> None:
    lessons.add("default", document("scaffold"))
    before = writes(api)
    lessons.add("default", document("scaffold"))
    lessons.add("default", document())
    assert writes(api) == before


@pytest.mark.parametrize("first", [False, True], ids=["there already", "made meanwhile"])
def test_two_that_end_at_one_time_both_teach(api: ApiInMemory, lessons: Lessons, first: bool) -> None:
    if not first:
        lessons.add("default", document("fedavg"))

    def meanwhile(verb: str, kind: str, name: str) -> None:
        if name == NAME:
            api.before = lambda *_: None
            lessons.add("default", document("fedbn"))

    api.before = meanwhile
    lessons.add("default", document("scaffold"))
    assert methods(lessons)[-2:] == ["fedbn", "scaffold"]


def test_what_people_wrote_beside_it_stays_and_what_is_no_lesson_of_ours_is_bounded(
    api: ApiInMemory, lessons: Lessons
) -> None:
    metadata = {"name": NAME, "namespace": "default"}
    data = {"note": "ours", KEY: "x" * 900_000 + "\n" + '{"method":"fedbn"}\n'}
    api.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    assert methods(lessons) == ["fedbn"]
    lessons.add("default", document("scaffold"))
    assert methods(lessons) == ["fedbn", "scaffold"]
    assert kept(api)["data"]["note"] == "ours"


# -- in passes ------------------------------------------------------------------------------------
def teaching(planners: Planners = small_plans.PLANNERS, document: bytes = document("scaffold")) -> Planners:
    """A request that ends teaches this."""

    def plan(observed: Observed[FLStrategyRequest]) -> Plan[FLStrategyRequest]:
        made = planners.request(observed)
        if not made.resource.status.phase.terminal or observed.resource.status.phase.terminal:
            return made
        digest = digest_of(document)
        return replace(made, artifacts={**made.artifacts, digest: document}, teaches=digest)

    return replace(planners, request=plan)


def test_a_request_teaches_before_it_has_ended_and_never_again(api: ApiInMemory, lessons: Lessons) -> None:
    core, phases = Core(api, teaching()), list[str]()
    wish(api)
    api.before = lambda verb, kind, name: phases.append(status_of(api)["phase"]) if name == NAME else None
    drive(core)
    assert answer(api) == EXPECTED and methods(lessons) == ["scaffold"]
    assert phases and not {"Succeeded", "NoImprovement", "Failed"} & set(phases)
    api.remove(kept(api))
    core.die()
    drive(Core(api, teaching()))
    assert lessons.of("default") == b"", "who empties it would find it full again after an operator's start"


@pytest.mark.parametrize("which", ["before", "after"])
def test_killed_at_the_write_the_next_operator_adds_it_once(api: ApiInMemory, lessons: Lessons, which: str) -> None:
    first = Core(api, teaching())
    wish(api)

    def kill(verb: str, kind: str, name: str) -> None:
        if name == NAME:
            raise Killed

    setattr(api, which, kill)
    with pytest.raises(Killed):
        drive(first)
    first.die()
    setattr(api, which, lambda *_: None)
    drive(Core(api, teaching()))
    assert answer(api) == EXPECTED and methods(lessons) == ["scaffold"]


def test_an_api_that_is_away_is_waited_for(api: ApiInMemory, lessons: Lessons) -> None:
    core = Core(api, teaching())
    wish(api)
    api.before = _raises(away())
    with pytest.raises(AwayError):
        drive(core)
    api.before = lambda *_: None
    drive(core)
    assert answer(api) == EXPECTED and methods(lessons) == ["scaffold"]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (b"trust me", None),
        (document("scaffold"), ApiError(403, "Forbidden", "exceeded quota: narrow")),
    ],
    ids=["no lessons", "a quota"],
)
def test_lessons_that_cannot_be_kept_are_told_and_undo_no_answer(
    api: ApiInMemory, lessons: Lessons, document: bytes, problem: ApiError | None
) -> None:
    core = Core(api, teaching(document=document))
    wish(api)
    if problem:
        api.before = _raises(problem)
    drive(core)
    assert answer(api) == EXPECTED and lessons.of("default") == b""
    (told,) = [one for one in api.list(EVENT, "default") if one["reason"] == "LessonsNotKept"]
    assert "what wish has taught is not kept" in told["message"]


def _raises(problem: Exception) -> Callable[[str, str, str], None]:
    def wrong(verb: str, kind: str, name: str) -> None:
        if name == NAME:
            raise problem

    return wrong
