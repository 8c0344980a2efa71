"""Killed at any moment and begun anew, the loop ends like an unbroken one, and finishes no WorkId twice."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from small_plans import IMAGES, PLANNERS, SmallBoxes, answer_of, request, settled, wait_for

from fedwright_crds.candidate import Candidate, CandidatePhase
from fedwright_crds.request import Answer, FLStrategyRequest, RequestPhase
from fedwright_crds.work import Work, WorkResult
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.home import Home
from fedwright_operator.local.loop import Loop
from fedwright_operator.local.releases import Releases
from fedwright_operator.local.store import Store
from fedwright_operator.local.works import Works


class Killed(BaseException):
    """The process is gone from here on."""


class GatedBoxes:
    """Works wait until the test lets them finish."""

    def __init__(self, home: Home) -> None:
        self._boxes = SmallBoxes(Artifacts(home.artifacts))
        self._works = Works(home.works)
        self.gates: dict[str, threading.Event] = {}

    def run(self, work: Work, cancelled: threading.Event) -> WorkResult:
        assert work.id not in self._works, "a finished id was started again"
        gate = self.gates.setdefault(work.id, threading.Event())
        while not gate.wait(0.001) and not cancelled.is_set():
            pass
        return self._boxes.run(work, cancelled)


@contextmanager
def killed_at_write(number: int, *, before: bool) -> Iterator[None]:
    """The process dies at the n-th file that it puts in place, just before or just after."""
    left = [number]

    def dying(place: Any) -> Any:
        def put(*arguments: object) -> object:
            left[0] -= 1
            if left[0] == 0 and before:
                raise Killed
            done = place(*arguments)
            if left[0] == 0:
                raise Killed
            return done

        return put

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", dying(Path.replace))
        patch.setattr(Path, "hardlink_to", dying(Path.hardlink_to))
        yield


class KillAndResume(RuleBasedStateMachine):
    """Steps, finished works, words of a person, and kills, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.home = Home(Path(self._folder.name))
        self.store = Store(self.home.resources)
        self.words = 0
        self.seen: dict[str, bytes] = {}

    @initialize(candidates=st.integers(2, 4))
    def ask(self, candidates: int) -> None:
        self.candidates = candidates
        self.store.create(request(candidates=candidates))
        self.begin()

    def begin(self) -> None:
        self.boxes = GatedBoxes(self.home)
        self.loop = Loop(self.home, PLANNERS, self.boxes.run, IMAGES, Releases(self.home))

    @rule()
    def step(self) -> None:
        self.loop.step()

    @rule(which=st.integers(0, 5))
    def finish_a_work(self, which: int) -> None:
        running = [one.work.id for one in self.loop.scheduler.running()]
        if running:
            chosen = running[which % len(running)]
            wait_for(lambda: chosen in self.boxes.gates)
            self.boxes.gates[chosen].set()
            wait_for(lambda: chosen in Works(self.home.works))

    @rule()
    def a_person_says_something(self) -> None:
        word = Answer(question=f"q{self.words}", answer="yes")
        if self.words < 32:
            self.words += 1
            self.store.edit_spec(FLStrategyRequest, "wish", "default", lambda present: with_answer(present, word))

    @rule()
    def kill(self) -> None:
        self.loop.scheduler.stop(10)
        self.begin()

    @rule(number=st.integers(1, 12), before=st.booleans())
    def kill_in_the_middle_of_a_step(self, number: int, before: bool) -> None:
        with killed_at_write(number, before=before), suppress(Killed):
            self.loop.step()
        self.kill()

    @invariant()
    def results_never_change(self) -> None:
        for path in (self.home.works / "results").glob("[!.]*.json"):
            assert self.seen.setdefault(path.name, path.read_bytes()) == path.read_bytes()
        assert {path.name for path in (self.home.works / "results").glob("[!.]*.json")} == set(self.seen)

    @invariant()
    def no_word_of_a_person_is_lost(self) -> None:
        for present in self.store.list(FLStrategyRequest):
            assert len(present.spec.answers) == self.words

    @invariant()
    def no_status_is_ahead_of_what_it_speaks_of(self) -> None:
        for present in self.store.list(FLStrategyRequest):
            if present.status.phase is RequestPhase.EXPLORING:
                assert len(self.store.list(Candidate)) == self.candidates
            if present.status.winner:
                assert self.store.get(Candidate, present.status.winner)

    def teardown(self) -> None:
        try:
            self.kill()
            for gates in iter(lambda: settled(self.loop), True):
                assert gates is False
                self.loop.step()
                for one in self.loop.scheduler.running():
                    wait_for(lambda one=one: one.work.id in self.boxes.gates or one.work.id in Works(self.home.works))
                    self.boxes.gates[one.work.id].set()
            end = self.store.get(FLStrategyRequest, "wish")
            assert end and end.status.phase is RequestPhase.SUCCEEDED
            assert (end.status.winner, end.status.best_score) == answer_of(request(candidates=self.candidates))
            assert all(one.status.phase is CandidatePhase.SCORED for one in self.store.list(Candidate))
        finally:
            self.loop.close()
            self._folder.cleanup()


def with_answer(present: FLStrategyRequest, word: Answer) -> FLStrategyRequest:
    spec = present.spec.model_copy(update={"answers": (*present.spec.answers, word)})
    return present.model_copy(update={"spec": spec})


KillAndResume.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestKillAndResume = KillAndResume.TestCase
