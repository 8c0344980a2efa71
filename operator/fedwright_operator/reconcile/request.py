"""FLStrategyRequest: from the wish to the strategy that is rolled out, one step after the other.

Each step returns when it is done and raises when the pass must end there; the next pass starts again from the first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from fedwright_crds.base import Digest, canonical, digest_of
from fedwright_crds.candidate import Candidate, CandidatePhase
from fedwright_crds.documents import DataFacts, Decision, Grade, PlanInput, PlanOutput
from fedwright_crds.documents import Plan as SearchPlan
from fedwright_crds.intent import frozen_digest
from fedwright_crds.meta import Resource, Spent
from fedwright_crds.request import (
    Approval,
    Consent,
    FLStrategyRequest,
    Question,
    RequestPhase,
    RequestSpec,
    RequestStatus,
    Stage,
)
from fedwright_crds.work import BoxKind
from fedwright_operator.reconcile import grants, reporting, rollout, search, standings, works
from fedwright_operator.reconcile.api import Event, Observed, Plan, Waits
from fedwright_operator.reconcile.conditions import Fact, conditions, stamp
from fedwright_operator.reconcile.desk import Desk, GaveUp, Unfinished
from fedwright_operator.reconcile.inspection import Invalid, inspected
from fedwright_operator.reconcile.learning import OUTPUT as LESSONS
from fedwright_operator.reconcile.learning import lessons_for, pins
from fedwright_operator.verdict import decided


@dataclass
class Course:
    """How far this pass came; the status is made from it at the end."""

    phase: RequestPhase = RequestPhase.PENDING
    reason: str = "Pending"
    message: str = ""
    images: dict[BoxKind, Digest] = field(default_factory=dict)
    frozen: Digest | None = None
    lessons: Digest | None = None
    facts: DataFacts | None = None
    questions: tuple[Question, ...] = ()
    plan_digest: Digest | None = None
    plan: SearchPlan | None = None
    generation: int = 0
    apply: list[Resource] = field(default_factory=list)
    grades: dict[str, tuple[Grade, ...]] = field(default_factory=dict)
    decision_digest: Digest | None = None
    decision: Decision | None = None
    package: Digest | None = None
    report: Digest | None = None
    teaches: Digest | None = None
    done: list[str] = field(default_factory=list)
    """Condition types that became true, in order."""


class Halt(Exception):  # noqa: N818 - control flow of a pass
    """The pass ends here, in this phase."""

    def __init__(self, phase: RequestPhase, reason: str, message: str) -> None:
        super().__init__(message)
        self.phase, self.reason = phase, reason


@dataclass(frozen=True)
class Pass:
    observed: Observed[FLStrategyRequest]
    desk: Desk
    course: Course

    @property
    def spec(self) -> RequestSpec:
        return self.observed.resource.spec

    @property
    def name(self) -> str:
        return self.observed.resource.metadata.name

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return self.observed.candidates


def plan(observed: Observed[FLStrategyRequest]) -> Plan[FLStrategyRequest]:
    """One pass over a request."""
    request = observed.resource
    retries = _retries(request)
    if request.status.phase.terminal and retries == request.status.retries:
        return Plan(request)
    at = Pass(observed, Desk(observed.results, observed.read, retries), Course())
    try:
        for step in STEPS:
            step(at)
    except Unfinished:
        pass
    except Halt as halt:
        _end(at, halt.phase, halt.reason, str(halt))
    except Invalid as invalid:
        _end(at, RequestPhase.FAILED, "InvalidRequest", str(invalid))
    except GaveUp as failure:
        _end(at, RequestPhase.FAILED, "WorkFailed", str(failure))
    return _answer(at, retries)


def _retries(request: FLStrategyRequest) -> int:
    """A new token is one more try for all that failed."""
    return request.status.retries + (request.spec.retry_token != request.status.retry_token)


def _end(at: Pass, phase: RequestPhase, reason: str, message: str) -> None:
    at.course.phase, at.course.reason, at.course.message = phase, reason, message
    if phase.terminal:
        at.desk.works.clear()


# -- steps ------------------------------------------------------------------------------------------------------------
def _heed_the_person(at: Pass) -> None:
    if at.spec.abort:
        raise Halt(
            RequestPhase.FAILED,
            "Aborted",
            "aborted by a person; what was found stays. To go on, clear abort and set a new retryToken (`fedwright retry`)",
        )


def _pin_images(at: Pass) -> None:
    """An upgrade never mixes scores: a request ends with the images that it began with."""
    pinned = at.observed.resource.status.images
    at.course.images = dict(pinned or at.observed.images)
    if changed := [box for box, digest in at.course.images.items() if at.observed.images.get(box) != digest]:
        names = ", ".join(str(box) for box in changed)
        raise Halt(
            RequestPhase.FAILED,
            "ImagesChanged",
            f"the {names} image is not the one this request began with; bring that version back and set retryToken, "
            "or apply the request under another name",
        )


def _freeze_spec(at: Pass) -> None:
    before, now = at.observed.resource.status.frozen_spec, frozen_digest(at.spec)
    at.course.frozen = before or now
    if before and before != now:
        raise Halt(
            RequestPhase.FAILED,
            "SpecChanged",
            "the spec was changed after planning began; put it back and set retryToken, or apply it under another name",
        )


def _pin_lessons(at: Pass) -> None:
    """What its planner may search is what is known now, whatever others learn while it runs."""
    at.course.lessons = at.observed.resource.status.lessons
    if pins(at.observed.resource) and (known := at.observed.lessons()):
        at.course.lessons = digest_of(known)
        at.desk.artifacts[at.course.lessons] = known


def _inspect(at: Pass) -> None:
    at.course.phase, at.course.reason = RequestPhase.PLANNING, "InspectingData"
    at.course.facts = inspected(at.desk, at.spec, at.course.images)
    at.course.done.append("Accepted")


def _make_plan(at: Pass) -> None:
    """One turn of the planner for each set of answers; questions that the person left open take their defaults if allowed."""
    at.course.reason = "Planning"
    assert at.course.facts is not None
    answers = at.spec.answers
    document = PlanInput(request=at.name, spec=standings.minds_view(at.spec), facts=at.course.facts, answers=answers)
    output = _planned(at, document)
    if output.plan is None and at.spec.interaction.questions is Consent.AUTOMATIC:
        from_defaults = tuple({"question": one.id, "answer": one.default} for one in output.questions)
        document = PlanInput.model_validate_json(
            canonical({**document.to_wire(), "answers": [one.to_wire() for one in answers] + list(from_defaults)})
        )
        output = _planned(at, document)
    if output.plan is None:
        at.course.questions = output.questions
        if not output.questions:
            raise Halt(RequestPhase.FAILED, "NoPlan", "the planner gave neither a plan nor a question")
        raise Halt(
            RequestPhase.AWAITING_ANSWERS,
            "AnswersNeeded",
            "; ".join(f"{one.id}: {one.text}" for one in output.questions),
        )
    at.course.plan = output.plan
    at.course.plan_digest = at.desk.put("plan", output.plan).digest
    at.course.done.append("Planned")


def _planned(at: Pass, document: PlanInput) -> PlanOutput:
    work = works.mind_work(
        "plan",
        at.spec.minds.planner,
        at.desk.put("plan-input.json", document),
        at.course.images,
        lessons_for(at.observed, at.course.lessons, at.desk.artifacts),
        at.spec.minds.search,
    )
    return at.desk.document(PlanOutput, at.desk.succeeded(work), "plan.json")


def _approve_plan(at: Pass) -> None:
    assert at.course.plan_digest is not None
    if at.spec.interaction.plan is Consent.REQUIRED:
        _need_approval(at, Stage.PLAN, at.course.plan_digest, RequestPhase.AWAITING_APPROVAL)
    at.course.done.append("Approved")


def _need_approval(at: Pass, stage: Stage, digest: Digest, waiting: RequestPhase) -> None:
    """The last word on this digest counts; a word on any other digest does not."""
    words: list[Approval] = [one for one in at.spec.approvals if one.stage is stage and one.digest == digest]
    if not words:
        raise Halt(waiting, f"{stage}ApprovalNeeded", f"approve or reject the {str(stage).lower()} {digest}")
    if not words[-1].approved:
        raise Halt(
            RequestPhase.FAILED,
            f"{stage}Rejected",
            words[-1].reason or f"the {str(stage).lower()} was rejected",
        )


def _explore(at: Pass) -> None:
    at.course.phase, at.course.reason = RequestPhase.EXPLORING, "Exploring"
    assert at.course.plan is not None and at.course.facts is not None
    outcome = search.explore(
        search.Search(
            at.observed.resource,
            at.course.plan,
            at.course.facts,
            at.course.images,
            at.candidates,
            at.observed.now,
            at.desk,
        )
    )
    at.course.apply, at.course.generation = list(outcome.candidates), outcome.generation
    at.course.grades = outcome.grades
    if outcome.failed:
        raise Halt(RequestPhase.FAILED, "BaselineFailed", outcome.failed)
    if not outcome.done:
        raise Unfinished
    at.course.done.append("Explored")


def _select(at: Pass) -> None:
    at.course.phase, at.course.reason = RequestPhase.SELECTING, "JudgingFinalists"
    assert at.course.plan is not None
    choice = standings.finalists(at.observed.resource, at.candidates)
    at.course.apply = list(grants.with_grants(at.course.apply, choice.granted))
    if not choice.ready:
        raise Unfinished
    at.course.decision, at.course.decision_digest = rollout.decide(
        at.observed.resource, choice, at.candidates, at.course.images, at.desk
    )
    at.course.done.append("Decided")


def _package(at: Pass) -> None:
    decision = at.course.decision
    assert decision is not None and at.course.plan is not None and at.course.facts is not None
    if decision.winner is None or not at.spec.deployment.enabled:
        return
    winner = next(one for one in at.candidates if one.metadata.name == decision.winner)
    at.course.reason = "Packaging"
    at.course.package = rollout.package(
        at.observed.resource, winner, at.course.plan, at.course.facts, at.course.images, at.desk
    )
    at.course.done.append("Packaged")


def _promote(at: Pass) -> None:
    if at.course.package is None:
        return
    if at.spec.interaction.promotion is Consent.REQUIRED:
        _need_approval(at, Stage.PROMOTION, at.course.package, RequestPhase.AWAITING_PROMOTION)
    at.course.done.append("Promoted")


def _deploy(at: Pass) -> None:
    if at.course.package is None:
        return
    at.course.phase, at.course.reason = RequestPhase.DEPLOYING, "Deploying"
    at.course.apply += rollout.children(at.observed, at.course.package)
    failed = rollout.deployed(at.observed.deployment, at.course.package)
    if failed:
        raise Halt(RequestPhase.FAILED, "DeploymentFailed", failed)
    at.course.done.append("Deployed")


def _report(at: Pass) -> None:
    """The last works: a report for people, lessons for later requests. That one of them fails does not undo the answer."""
    at.course.reason = "CountingCosts"
    charged = at.observed.charged()
    if charged is None:
        raise Unfinished
    at.course.reason = "WritingReport"
    assert at.course.decision is not None and at.course.plan is not None and at.course.facts is not None
    found = reporting.Findings(
        request=at.observed.resource,
        facts=at.course.facts,
        plan=at.course.plan,
        candidates=at.candidates,
        grades=at.course.grades,
        decision=at.course.decision,
        deployment=at.observed.deployment,
        spent=_spent(at),
        charged=charged,
    )
    document = at.desk.put("report.json", reporting.report_input(found, at.desk))
    report = at.desk.result(works.report_work(document, at.course.images))
    lessons = at.desk.result(works.learn_work(document, at.course.images))
    if report is None or lessons is None:
        raise Unfinished
    at.course.report, at.course.teaches = report.outputs.get("report.html"), lessons.outputs.get(LESSONS)
    if at.course.report:
        at.course.done.append("Reported")


def _conclude(at: Pass) -> NoReturn:
    assert at.course.decision is not None
    phase = RequestPhase.SUCCEEDED if at.course.decision.winner else RequestPhase.NO_IMPROVEMENT
    titles = {one.metadata.name: one.spec.title for one in at.candidates}
    raise Halt(phase, str(phase), decided(at.course.decision, titles))


STEPS: tuple[Callable[[Pass], None], ...] = (
    _heed_the_person,
    _pin_images,
    _freeze_spec,
    _pin_lessons,
    _inspect,
    _make_plan,
    _approve_plan,
    _explore,
    _select,
    _package,
    _promote,
    _deploy,
    _report,
    _conclude,
)

MILESTONES = (
    "Accepted",
    "Planned",
    "Approved",
    "Explored",
    "Decided",
    "Packaged",
    "Promoted",
    "Deployed",
    "Reported",
)


# -- the answer -------------------------------------------------------------------------------------------------------
def _answer(at: Pass, retries: int) -> Plan[FLStrategyRequest]:
    request, course = at.observed.resource, at.course
    status = _status(at, retries)
    return Plan(
        request.model_copy(update={"status": status}),
        works=tuple(at.desk.works),
        artifacts=at.desk.artifacts,
        apply=() if course.phase is RequestPhase.FAILED else tuple(course.apply),
        teaches=course.teaches if course.phase.terminal else None,
        parallel=at.spec.search.parallel,
        events=_events(request.status.phase, course),
    )


def _events(before: RequestPhase, course: Course) -> tuple[Event, ...]:
    if before is course.phase:
        return ()
    return (Event(str(course.phase), course.message or course.reason, warning=course.phase is RequestPhase.FAILED),)


def _status(at: Pass, retries: int) -> RequestStatus:
    request, course = at.observed.resource, at.course
    before, generation = request.status, request.metadata.generation or 0
    best = standings.best(request.spec, at.candidates)
    return RequestStatus(
        phase=course.phase,
        observed_generation=generation,
        conditions=conditions(before.conditions, _facts(course, at.observed.waiting), at.observed.now, generation),
        images=course.images or before.images,
        frozen_spec=course.frozen or before.frozen_spec,
        questions=course.questions,
        lessons=course.lessons or before.lessons,
        plan=course.plan_digest or before.plan,
        decision=course.decision_digest or before.decision,
        package=course.package or before.package,
        report=course.report or before.report,
        winner=(course.decision.winner or "") if course.decision else before.winner,
        best_candidate=best.metadata.name if best else "",
        best_score=best.status.score if best else None,
        generation=course.generation or before.generation,
        candidates=len(at.candidates),
        candidates_finished=sum(one.settled for one in at.candidates),
        spent=_spent(at),
        retries=retries,
        retry_token=request.spec.retry_token,
        started_at=before.started_at or stamp(at.observed.now),
        finished_at=stamp(at.observed.now) if course.phase.terminal else None,
    )


def _facts(course: Course, waits: Sequence[Waits]) -> list[Fact]:
    """Milestones are true once reached; what stands in the way of the next one is said on it."""
    ended, waiting = course.phase.terminal, course.phase.waiting
    facts, blocked = [], False
    for type_ in MILESTONES:
        if type_ in course.done:
            facts.append(Fact(type_, True, type_))
        elif not blocked:
            blocked = True
            facts.append(Fact(type_, False if ended else None, course.reason, course.message))
    facts.append(Fact("Paused", waiting, course.reason, course.message if waiting else ""))
    facts.append(_held_up(waits))
    facts.append(Fact("Finished", ended, course.reason, course.message if ended else ""))
    return facts


def _held_up(waits: Sequence[Waits]) -> Fact:
    """Whether works cannot start, and why the first of them cannot."""
    if not waits:
        return Fact("HeldUp", False, "NothingWaits")
    return Fact("HeldUp", True, waits[0].reason, f"{len(waits)} wait: {waits[0].message}"[:1024])


def _spent(at: Pass) -> Spent:
    """Of the request's own work and of all its candidates'."""
    own = at.desk.spent()
    all_spent = [own, *(one.status.spent for one in at.candidates)]
    return Spent(
        candidates=sum(
            one.status.phase is not CandidatePhase.NOT_SELECTED or bool(one.status.trials) for one in at.candidates
        ),
        simulated_rounds=sum(one.simulated_rounds for one in all_spent),
        works=sum(one.works for one in all_spent),
        box_seconds=round(sum(one.box_seconds for one in all_spent), 3),
        tokens=sum(one.tokens for one in all_spent),
        money_usd=sum(one.money_usd for one in all_spent),
    )
