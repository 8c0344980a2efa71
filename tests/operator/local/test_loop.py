"""The loop with small plans: it drives to an answer, stops what is unwanted, heeds verbs, and forgets nothing."""

import json
import threading
import time
from pathlib import Path

import pytest
from small_plans import IMAGES, PLANNERS, STEPS_EACH, SmallBoxes, request

from fedwright_crds.candidate import Candidate, CandidatePhase
from fedwright_crds.request import FLStrategyRequest, RequestPhase
from fedwright_operator.local.home import Home
from fedwright_operator.local.loop import Loop
from fedwright_operator.local.releases import Releases


def make_loop(home: Home, seconds: float = 0.0) -> Loop:
    loop = Loop(home, PLANNERS, SmallBoxes(_artifacts(home), seconds).run, IMAGES, Releases(home.federations))
    return loop


def _artifacts(home: Home):
    from fedwright_operator.local.artifacts import Artifacts

    return Artifacts(home.artifacts)


def finished(loop: Loop, name: str = "wish") -> bool:
    found = loop.store.get(FLStrategyRequest, name)
    return found is None or found.status.phase.terminal


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_drives_a_request_to_its_answer(home: Home) -> None:
    loop = make_loop(home)
    loop.store.create(request(candidates=4))
    assert loop.run(lambda: finished(loop))
    loop.close()
    end = loop.store.get(FLStrategyRequest, "wish")
    assert end and end.status.phase is RequestPhase.SUCCEEDED
    candidates = loop.store.list(Candidate)
    assert {one.status.phase for one in candidates} == {CandidatePhase.SCORED}
    assert end.status.best_score == max(one.status.score or 0 for one in candidates)
    assert [told.message for told in loop.events] == [f"{end.status.winner} won"]
    starts = [json.loads(line)["id"] for line in loop.works.starts.read_text().splitlines()]
    assert len(starts) == len(set(starts)) == 1 + 4 * STEPS_EACH
    assert set(loop.works) == set(starts)
