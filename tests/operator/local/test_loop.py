"""The loop with small plans: it drives to an answer, stops what is unwanted, heeds verbs from elsewhere."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from small_plans import IMAGES, PLANNERS, STEPS_EACH, SmallBoxes, request, settled, wait_for

from fedwright_crds.candidate import Candidate, CandidatePhase
from fedwright_crds.request import FLStrategyRequest, RequestPhase
from fedwright_crds.work import Outcome, Work, WorkResult
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.home import Home, HomeIsDriven
from fedwright_operator.local.loop import Loop
from fedwright_operator.local.releases import Releases
from fedwright_operator.local.scheduler import Execute
from fedwright_operator.local.store import Store
from fedwright_operator.reconcile.api import Observed, Plan
from fedwright_operator.shell.planning import RESYNC_SECONDS

MakeLoop = Callable[..., Loop]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def make_loop(home: Home) -> Iterator[MakeLoop]:
    with ExitStack() as stack:

        def make(seconds: float = 0.0, execute: Execute | None = None) -> Loop:
            run = execute or SmallBoxes(Artifacts(home.artifacts), seconds).run
            loop = Loop(home, PLANNERS, run, IMAGES, Releases(home))
            stack.callback(loop.close)
            return loop

        yield make


def test_drives_a_request_to_its_answer(make_loop: MakeLoop) -> None:
    loop = make_loop()
    loop.store.create(request(candidates=4))
    assert loop.run(lambda: settled(loop))
    end = loop.store.get(FLStrategyRequest, "wish")
    assert end and end.status.phase is RequestPhase.SUCCEEDED
    candidates = loop.store.list(Candidate)
    assert {one.status.phase for one in candidates} == {CandidatePhase.SCORED}
    assert end.status.best_score == max(one.status.score or 0 for one in candidates)
    assert [told.message for told in loop.events] == [f"{end.status.winner} won"]
    starts = [json.loads(line)["id"] for line in loop.works.starts.read_text().splitlines()]
    assert len(starts) == len(set(starts)) == 1 + 4 * STEPS_EACH
    assert set(loop.works) == set(starts)


def test_work_that_finishes_while_a_plan_is_made_is_not_overlooked(home: Home) -> None:
    """The plan did not see it, so the next pass must, and not only when all is planned anew."""

    def waits_for_running_work(observed: Observed[Candidate]) -> Plan[Candidate]:
        made = PLANNERS.candidate(observed)
        wait_for(lambda: not loop.scheduler.running())
        return made

    planners = replace(PLANNERS, candidate=waits_for_running_work)
    boxes = SmallBoxes(Artifacts(home.artifacts), 0.01)
    loop = Loop(home, planners, boxes.run, IMAGES, Releases(home))
    loop.store.create(request(candidates=2))
    began = time.monotonic()
    loop.run(lambda: settled(loop))
    loop.close()
    assert time.monotonic() - began < RESYNC_SECONDS / 2


def test_runs_no_more_at_one_time_than_the_request_has_slots(make_loop: MakeLoop, home: Home) -> None:
    boxes, lock, busy, most = SmallBoxes(Artifacts(home.artifacts), 0.02), threading.Lock(), [0], [0]

    def counted(work: Work, cancelled: threading.Event) -> WorkResult:
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        result = boxes.run(work, cancelled)
        with lock:
            busy[0] -= 1
        return result

    loop = make_loop(execute=counted)
    loop.store.create(request(candidates=5))
    loop.run(lambda: settled(loop))
    assert most[0] == 2


def test_the_same_work_for_two_requests_is_done_once(make_loop: MakeLoop) -> None:
    loop = make_loop()
    loop.store.create(request("one", goal="same"))
    loop.store.create(request("two", goal="same"))
    loop.run(lambda: settled(loop, "one") and settled(loop, "two"))
    starts = [json.loads(line)["id"] for line in loop.works.starts.read_text().splitlines()]
    assert len(starts) == len(set(starts)) == 1 + 4 * STEPS_EACH
    one, two = loop.store.list(FLStrategyRequest)
    assert one.status.best_score == two.status.best_score is not None


def test_an_exception_in_a_box_is_a_result_that_says_platform(make_loop: MakeLoop) -> None:
    def broken(work: Work, cancelled: threading.Event) -> WorkResult:
        raise RuntimeError("the disk is full")

    loop = make_loop(execute=broken)
    loop.store.create(request())
    loop.run(lambda: bool(loop.works))
    results = {(one.outcome, one.message) for one in loop.works.values()}
    assert results == {(Outcome.PLATFORM_ERROR, "RuntimeError: the disk is full")}


def test_an_abort_from_elsewhere_stops_running_work_and_keeps_no_result_of_it(make_loop: MakeLoop, home: Home) -> None:
    loop = make_loop(seconds=0.05)
    loop.store.create(request())
    thread = threading.Thread(target=loop.run, args=(lambda: settled(loop) and not loop.scheduler.running(),))
    thread.start()
    elsewhere = Store(home.resources)
    wait_for(lambda: bool(elsewhere.list(Candidate)))
    elsewhere.edit_spec(FLStrategyRequest, "wish", "default", with_abort)
    thread.join(10)
    finished = set(loop.works)
    end = elsewhere.get(FLStrategyRequest, "wish")
    assert end and end.status.phase is RequestPhase.FAILED and end.spec.abort
    assert {one.status.phase for one in elsewhere.list(Candidate)} <= {
        CandidatePhase.NOT_SELECTED,
        CandidatePhase.SCORED,
    }
    time.sleep(0.1)
    assert set(loop.works) == finished


def test_deleting_a_running_request_stops_its_work_then_removes_it_and_its_own(make_loop: MakeLoop, home: Home) -> None:
    loop = make_loop(seconds=30)
    loop.store.create(request("wish"))
    loop.store.create(request("other", goal="other"))
    thread = threading.Thread(target=loop.run, args=(lambda: settled(loop),))
    thread.start()
    elsewhere = Store(home.resources)
    wait_for(lambda: len(loop.scheduler.running()) == 2)
    elsewhere.mark_deleted(FLStrategyRequest, "wish", "default")
    thread.join(10)
    assert not thread.is_alive()
    assert [one.metadata.name for one in elsewhere.list(FLStrategyRequest)] == ["other"]
    (still,) = loop.scheduler.running()
    assert still.work.labels["name"] == "other"
    assert not loop.works, "what was cancelled has no result"


def test_a_home_is_driven_by_one_process_at_a_time(home: Home) -> None:
    with home.driven(), pytest.raises(HomeIsDriven, match=r"process \d+ .*drives .*use another --home"), home.driven():
        pass
    with home.driven():
        pass


def test_a_stopped_loop_goes_on_in_the_next_one(make_loop: MakeLoop) -> None:
    first = make_loop(seconds=0.02)
    first.store.create(request())
    assert not first.run(lambda: len(first.works) >= 4 and (first.stop() or False))
    first.close()
    done = len(first.works)
    second = make_loop()
    assert second.run(lambda: settled(second))
    assert 4 <= done < len(second.works) == 1 + 4 * STEPS_EACH


def with_abort(present: FLStrategyRequest) -> FLStrategyRequest:
    return present.model_copy(update={"spec": present.spec.model_copy(update={"abort": True})})
