"""What a person sees while a request runs: on a terminal all of it, in a log a few lines."""

import io

from rich.console import Console
from small_plans import candidate_of
from world import wish

from fedwright_crds.candidate import CandidatePhase, CandidateStatus
from fedwright_crds.deployment import Deployment, DeploymentPhase, DeploymentSpec, DeploymentStatus
from fedwright_crds.meta import Metadata, Spent
from fedwright_crds.request import RequestPhase, RequestStatus
from fedwright_operator.cli.screen import LiveScreen, PlainScreen
from fedwright_operator.cli.snapshot import Activity, Snapshot

DIGEST = "sha256:" + "0" * 64


def snapshot(
    phase: RequestPhase = RequestPhase.EXPLORING, score: float | None = 0.875, seconds: float = 75
) -> Snapshot:
    request = wish(budgets={"wallSeconds": 600})
    spent = Spent(simulated_rounds=1234, works=56)
    status = RequestStatus(phase=phase, best_candidate="wish-1", best_score=score, spent=spent)
    first, second = candidate_of(request, 1), candidate_of(request, 2)
    scored = CandidateStatus(phase=CandidatePhase.SCORED, score=score)
    deployment = Deployment(
        metadata=Metadata(name="wish"),
        spec=DeploymentSpec(federation="edge", package=DIGEST, rounds=8),
        status=DeploymentStatus(phase=DeploymentPhase.RUNNING, round=3, accuracy=0.5),
    )
    return Snapshot(
        request.model_copy(update={"status": status}),
        (first.model_copy(update={"status": scored}), second),
        deployment,
        (Activity("judge", "wish-2", 1.2, " round 7"),),
        seconds,
    )


def test_a_terminal_shows_phase_candidates_work_rounds_best_score_time_and_budgets() -> None:
    out = io.StringIO()
    with LiveScreen(Console(file=out, force_terminal=True, width=140, color_system=None)) as screen:
        screen.show(snapshot())
        assert not screen.due(), "it is redrawn a few times a second"
    shown = out.getvalue()
    for words in (
        "wish  Exploring",
        "best 0.875 wish-1",
        "1:15 used, 8:45 left",
        "1234/100000 rounds",
        "56 works",
        "Running, round 3 of 8, accuracy 0.5",
        "judge wish-2 1s round 7",
        "number 1",
        "Scored",
    ):
        assert words in shown, words


def test_a_log_gets_a_line_for_each_phase_and_each_candidate_that_ends() -> None:
    out = io.StringIO()
    with PlainScreen(Console(file=out, width=80)) as screen:
        for _ in range(3):
            screen.show(snapshot())
        screen.show(snapshot(RequestPhase.SELECTING, seconds=80))
    lines = out.getvalue().splitlines()
    assert [line.split(" · ")[0] for line in lines] == [
        "[1:15] wish-1 (number 1): Scored 0.875",
        "[1:15] Exploring",
        "[1:20] Selecting",
    ]
