"""Federated, really: one of a finalist's fresh seeds again, with a process per client that holds only its shard.

Which seed it is follows from the digests of all results on the fresh seeds, so it cannot be known while they are made: who
pools shards, or declares other bytes than it sends, where it believes itself unwatched, is found out by the difference.
"""

from collections.abc import Mapping

from fedwright_crds.base import canonical, digest_of
from fedwright_crds.candidate import CandidatePhase
from fedwright_crds.documents import JudgeSpec, Score
from fedwright_crds.judging_work import checkpoint_bytes, verification_work
from fedwright_crds.task import Metric
from fedwright_crds.work import MIB, Input, WorkResult
from fedwright_operator.reconcile.desk import Unfinished
from fedwright_operator.reconcile.journey import Ended, Pass
from fedwright_operator.reconcile.judging import score_of

APART = 0.03
"""Greatest difference between the two runs, of a share absolutely, of any other figure relative to it.

One trains the whole cohort at once and one client by client: rounding differs, and over many rounds a few rows follow.
"""
UNCOMPARED = frozenset({Metric.ROUNDS_TO_TARGET, Metric.MEMBERSHIP_AUC, Metric.MEMBERSHIP_TPR, Metric.LOSS})
"""Figures that rest on more evaluations than the second run has, or that have no bound."""
SHARES = frozenset(
    {
        Metric.ACCURACY,
        Metric.WORST_TENTH_ACCURACY,
        Metric.WORST_HEAD_ACCURACY,
        Metric.AVERAGE_ACCURACY,
        Metric.FORGETTING,
    }
)


def drawn(digests: tuple[str, ...]) -> int:
    """Which of the results is checked."""
    return int(digest_of(canonical(list(digests))).removeprefix("sha256:"), 16) % len(digests)


def require_federated(at: Pass, code: Input, spec: JudgeSpec, claimed: Score) -> None:
    """Raises Ended where the second run says otherwise than the first. `spec` is the first run's."""
    again = spec.model_copy(update={"sequential": True, "evaluations": 1})
    work = verification_work(at.desk.order("judge.json", again), code, at.brief.images, again, at.brief.facts)
    result = at.desk.result(work)
    if result is None:
        raise Unfinished
    found = score_of(at.desk, result)
    room = checkpoint_bytes(again, at.brief.facts)
    problem = found.reason if not found.ok else disagreement(claimed, found) or undeclared(claimed, result, room)
    at.journey.federated = not problem
    if problem:
        raise Ended(CandidatePhase.REJECTED, "NotFederated", problem)


def disagreement(claimed: Score, found: Score) -> str:
    """Where two runs of one seed differ by more than rounding can explain; nothing where they agree."""
    for name, value in sorted(claimed.metrics.items()):
        metric, other = Metric(name.partition("/")[0]), found.metrics.get(name)
        if metric in UNCOMPARED or other is None:
            continue
        scale = 1.0 if metric in SHARES else max(abs(value), abs(other), 1e-9)
        if abs(value - other) > APART * scale:
            return (
                f"NotFederated: {name} was {value:.4g} with all clients in one process and is {other:.4g} on the same seed "
                "with a process per client; a client may use its own shard and state and what the server sends it, nothing else"
            )
    return ""


def undeclared(claimed: Score, result: WorkResult, room: int) -> str:
    """Bytes that the trusted parent carried and nobody declared; nothing where there are none.

    `room`: bytes of the models that clients send to be judged, which are no part of a round.
    """
    fleet = next((one for one in result.verdicts if one.step == "fleet"), None)
    carried: Mapping[Metric, int | None] = (
        {Metric.UPLOAD_MEBIBYTES: fleet.bytes_up, Metric.DOWNLOAD_MEBIBYTES: fleet.bytes_down} if fleet else {}
    )
    for metric, count in carried.items():
        declared = claimed.metrics.get(f"{metric}/Global", 0.0) * MIB
        if count is not None and count > (1 + APART) * declared + room:
            return (
                f"NotFederated: {metric} is declared as {declared / MIB:.4g}, and {count / MIB:.4g} MiB went over the wire; "
                "messages count by what is sent"
            )
    return ""
