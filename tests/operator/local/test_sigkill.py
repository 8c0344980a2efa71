"""The real thing: a process that drives a home gets SIGKILL, again and again, while another writes words into it."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import small_driver
from small_plans import STEPS_EACH, answer_of, request

from fedwright_crds.candidate import Candidate
from fedwright_crds.request import FLStrategyRequest, RequestPhase
from fedwright_operator.local.home import Home
from fedwright_operator.local.store import Store
from fedwright_operator.local.works import Works

DRIVER = Path(small_driver.__file__)
CANDIDATES = 8


def drive(home: Home) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(DRIVER), str(home.root), "0.05"])


def test_killed_again_and_again_it_ends_with_the_winner_of_an_unbroken_run(tmp_path: Path) -> None:
    home, wish = Home(tmp_path / "home"), request(candidates=CANDIDATES)
    store, works = Store(home.resources), Works(home.works)
    store.create(wish)
    kills = 0
    while kills < 6:
        driver, before = drive(home), len(works)
        deadline = time.monotonic() + 20
        while driver.poll() is None and len(works) < before + 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.006 * kills)  # so that some kills hit works that have just begun
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        kills += 1
    assert drive(home).wait(30) == 0

    end = store.get(FLStrategyRequest, "wish")
    assert end and end.status.phase is RequestPhase.SUCCEEDED
    assert (end.status.winner, end.status.best_score) == answer_of(wish)
    assert len(store.list(Candidate)) == CANDIDATES
    assert len(works) == 1 + CANDIDATES * STEPS_EACH
    none_was_started_after_it_had_finished(home)


def none_was_started_after_it_had_finished(home: Home) -> None:
    starts = [json.loads(line) for line in Works(home.works).starts.read_text().splitlines()]
    for start in starts:
        finished = (home.works / "results" / f"{start['id']}.json").stat().st_mtime
        assert datetime.fromisoformat(start["at"]).timestamp() <= finished
    again = [count for count in Counter(start["id"] for start in starts).values() if count > 1]
    assert again, "the kills hit no work in flight, so this proved nothing"


def test_a_polite_end_leaves_a_state_that_resumes(tmp_path: Path) -> None:
    home, wish = Home(tmp_path / "home"), request(candidates=3)
    store = Store(home.resources)
    store.create(wish)
    driver = drive(home)
    while len(Works(home.works)) < 3:
        time.sleep(0.005)
    driver.send_signal(signal.SIGTERM)
    assert driver.wait(5) == 130
    assert drive(home).wait(30) == 0
    end = store.get(FLStrategyRequest, "wish")
    assert end and (end.status.winner, end.status.best_score) == answer_of(wish)
