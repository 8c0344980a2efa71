"""Small pure plans and works for tests of the loop: real kinds, real store, no science.

A request wants one `inspect` work, then as many candidates as its budget names; each candidate wants three works, one after
the other, and is scored by the sum of what they left. The request succeeds with the best candidate. Every figure follows
from the spec alone, so an unbroken run and a broken one must end alike.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable

from fedwright_crds.base import digest_of
from fedwright_crds.candidate import (
    Candidate,
    CandidatePhase,
    CandidateSpec,
    CandidateStatus,
    Grant,
    GrantStage,
    Origin,
)
from fedwright_crds.meta import Metadata, OwnerReference
from fedwright_crds.request import Budgets, FLStrategyRequest, RequestPhase, RequestSpec, RequestStatus
from fedwright_crds.task import Data, DataSource, Task
from fedwright_crds.work import MIB, BoxKind, Input, Outcome, Output, Reason, Step, Verdict, Work, WorkResult
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.loop import Loop
from fedwright_operator.reconcile import deployment, federation
from fedwright_operator.reconcile.api import Event, Observed, Plan
from fedwright_operator.reconcile.conditions import Fact, conditions, stamp
from fedwright_operator.shell.planning import Planners

IMAGES = {kind: "sha256:" + str(number) * 64 for number, kind in enumerate(BoxKind, 1)}
STEPS_EACH = 3


def request(name: str = "wish", candidates: int = 4, goal: str = "be good") -> FLStrategyRequest:
    spec = RequestSpec(
        goal=goal, task=Task(data=Data(source=DataSource.DIGITS)), budgets=Budgets(candidates=candidates)
    )
    return FLStrategyRequest(metadata=Metadata(name=name), spec=spec)


def candidate_of(owner: FLStrategyRequest, number: int) -> Candidate:
    meta = owner.metadata
    reference = OwnerReference(api_version=owner.api_version, kind=owner.kind, name=meta.name, uid=meta.uid or "")
    spec = CandidateSpec(
        request=meta.name,
        origin=Origin.PLAN,
        method="small",
        title=f"number {number}",
        hypothesis=owner.spec.goal,
        salt=number,
        grant=Grant(stage=GrantStage.EXPLORE),
    )
    metadata = Metadata(name=f"{meta.name}-{number}", namespace=meta.namespace, owner_references=(reference,))
    return Candidate(metadata=metadata, spec=spec)


def work(goal: str, number: int, step: int, previous: str | None) -> tuple[Work, bytes]:
    """A work that reads its own order, and what came before it by digest."""
    order = json.dumps({"goal": goal, "number": number, "step": step}).encode()
    digest = digest_of(order)
    inputs = [Input(name="order", digest=digest), *([Input(name="previous", digest=previous)] if previous else [])]
    one = Step(
        name="compute", box=BoxKind.JUDGE, program=("small",), inputs=tuple(i.name for i in inputs), outputs=("sum",)
    )
    outputs = (Output(name="sum", max_bytes=2 * MIB),)
    return Work(
        kind="small", steps=(one,), inputs=tuple(inputs), outputs=outputs, images={BoxKind.JUDGE: IMAGES[BoxKind.JUDGE]}
    ), order


def plan_request(observed: Observed[FLStrategyRequest]) -> Plan[FLStrategyRequest]:
    resource = observed.resource
    if resource.status.phase.terminal:
        return Plan(resource)
    first, order = work(resource.spec.goal, 0, 0, None)
    if resource.spec.abort:
        return Plan(_with(observed, RequestPhase.FAILED, "Aborted"), apply=tuple(_stopped(observed.candidates)))
    if first.id not in observed.results:
        return Plan(
            _with(observed, RequestPhase.PLANNING, "Planning"), works=(first,), artifacts={digest_of(order): order}
        )
    children = tuple(candidate_of(resource, number) for number in range(1, resource.spec.budgets.candidates + 1))
    scores = {one.metadata.name: one.status.score for one in observed.candidates if one.status.score is not None}
    if len(scores) < len(children):
        return Plan(_with(observed, RequestPhase.EXPLORING, "Exploring"), apply=children, parallel=2)
    winner = max(scores, key=lambda name: (scores[name], name))
    status = _with(observed, RequestPhase.SUCCEEDED, "Succeeded")
    chosen = status.model_copy(
        update={"status": status.status.model_copy(update={"winner": winner, "best_score": scores[winner]})}
    )
    return Plan(chosen, events=(Event("Succeeded", f"{winner} won"),))


def plan_candidate(observed: Observed[Candidate]) -> Plan[Candidate]:
    resource = observed.resource
    if resource.status.phase.terminal:
        return Plan(resource)
    if resource.spec.grant.stage is GrantStage.STOP:
        return Plan(resource.model_copy(update={"status": CandidateStatus(phase=CandidatePhase.NOT_SELECTED)}))
    previous = None
    for step in range(1, STEPS_EACH + 1):
        wanted, order = work(resource.spec.hypothesis, resource.spec.salt, step, previous)
        result = observed.results.get(wanted.id)
        if result is None:
            status = CandidateStatus(phase=CandidatePhase.SIMULATING)
            return Plan(
                resource.model_copy(update={"status": status}), works=(wanted,), orders={digest_of(order): order}
            )
        if result.outcome is not Outcome.SUCCEEDED:
            return Plan(resource.model_copy(update={"status": CandidateStatus(phase=CandidatePhase.FAILED)}))
        previous = result.outputs["sum"]
    assert previous is not None
    score = float(observed.read(previous))
    return Plan(resource.model_copy(update={"status": CandidateStatus(phase=CandidatePhase.SCORED, score=score)}))


PLANNERS = Planners(plan_request, plan_candidate, federation.plan, deployment.plan)


class SmallBoxes:
    """Computes the sum of an order and what came before, after a while."""

    def __init__(self, artifacts: Artifacts, seconds: float = 0.0) -> None:
        self._artifacts, self._seconds = artifacts, seconds

    def run(self, one: Work, cancelled: threading.Event) -> WorkResult:
        if cancelled.wait(self._seconds):
            return _result(one, Outcome.PLATFORM_ERROR, {})
        order = json.loads(self._artifacts.read(one.inputs[0].digest))
        before = int(self._artifacts.read(one.inputs[1].digest)) if len(one.inputs) > 1 else 0
        total = before + (order["number"] * 7 + order["step"] * 3) % 11
        return _result(one, Outcome.SUCCEEDED, {"sum": self._artifacts.write(str(total).encode())})


def _result(one: Work, outcome: Outcome, outputs: dict[str, str]) -> WorkResult:
    verdict = Verdict(step="compute", reason=Reason.COMPLETED)
    return WorkResult(id=one.id, kind=one.kind, outcome=outcome, verdicts=(verdict,), outputs=outputs)


def _with(observed: Observed[FLStrategyRequest], phase: RequestPhase, reason: str) -> FLStrategyRequest:
    before = observed.resource.status
    facts = [Fact("Finished", phase.terminal, reason, reason)]
    status = RequestStatus(
        phase=phase,
        conditions=conditions(before.conditions, facts, observed.now, observed.resource.metadata.generation or 0),
        started_at=before.started_at or stamp(observed.now),
    )
    return observed.resource.model_copy(update={"status": status})


def _stopped(candidates: Iterable[Candidate]) -> Iterable[Candidate]:
    for one in candidates:
        yield one.model_copy(update={"spec": one.spec.model_copy(update={"grant": Grant(stage=GrantStage.STOP)})})


def answer_of(wish: FLStrategyRequest) -> tuple[str, float]:
    """The winner and its score as they must be, computed without a loop."""
    scores = {
        f"{wish.metadata.name}-{number}": float(sum((number * 7 + step * 3) % 11 for step in range(1, STEPS_EACH + 1)))
        for number in range(1, wish.spec.budgets.candidates + 1)
    }
    winner = max(scores, key=lambda name: (scores[name], name))
    return winner, scores[winner]


def settled(loop: Loop, name: str = "wish") -> bool:
    found = loop.store.get(FLStrategyRequest, name)
    return found is None or found.status.phase.terminal


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
