"""Candidate: written, tested, debugged, tuned, judged, as far as the request's grant lets it go."""

from statistics import stdev

from fedwright_crds.candidate import Candidate, CandidatePhase, CandidateStatus, GrantStage
from fedwright_crds.documents import Plan as SearchPlan
from fedwright_crds.meta import Spent
from fedwright_operator.reconcile.api import Observed, Plan
from fedwright_operator.reconcile.conditions import Fact, conditions
from fedwright_operator.reconcile.desk import Desk, GaveUp, Unfinished
from fedwright_operator.reconcile.finals import finals
from fedwright_operator.reconcile.inspection import inspected
from fedwright_operator.reconcile.journey import Brief, Ended, Journey, Pass
from fedwright_operator.reconcile.standings import baseline_name
from fedwright_operator.reconcile.tuning import first_rung, full_length, mean, mean_constrained
from fedwright_operator.reconcile.writing import write_until_green


def plan(observed: Observed[Candidate]) -> Plan[Candidate]:
    """One pass over a candidate."""
    candidate, request = observed.resource, observed.request
    if candidate.status.phase is CandidatePhase.REJECTED or request is None or request.status.plan is None:
        return Plan(candidate)
    if candidate.spec.grant.stage is GrantStage.STOP:
        return _stopped(observed, candidate.spec.grant.reason)
    if request.status.phase.terminal:
        return _stopped(observed, f"the request ended before it: {request.status.phase}")
    desk, journey = Desk(observed.results, observed.read, request.status.retries), Journey()
    try:
        _travel(Pass(candidate.spec, _brief(observed, desk), desk, journey))
    except Unfinished:
        pass
    except Ended as end:
        _end(desk, journey, end.phase, end.reason, str(end))
    except GaveUp as failure:
        _end(desk, journey, CandidatePhase.FAILED, "WorkFailed", str(failure))
    return Plan(
        candidate.model_copy(update={"status": _status(observed, desk, journey)}),
        works=tuple(desk.works),
        artifacts=desk.artifacts,
        orders=desk.orders,
        parallel=request.spec.search.parallel,
    )


def _end(desk: Desk, journey: Journey, phase: CandidatePhase, reason: str, message: str) -> None:
    journey.phase, journey.reason, journey.message = phase, reason, message
    desk.works.clear()


def _brief(observed: Observed[Candidate], desk: Desk) -> Brief:
    request = observed.request
    assert request is not None and request.status.plan is not None
    images = request.status.images or observed.images
    facts = inspected(Desk(desk.results, desk.read, desk.retries), request.spec, images)
    plan = observed.document(SearchPlan, request.status.plan)
    own, name = observed.resource.metadata.name, baseline_name(request)
    by_name = {one.metadata.name: one for one in observed.candidates}
    if own == name:
        others = [by_name[other] for other in sorted(by_name.keys() - {own})]
        rivals = tuple(one.status.best for one in others if one.spec.grant.stage is GrantStage.FINAL)
        return Brief(request.spec, facts, plan, images, None, rivals=rivals)
    parent = by_name.get(observed.resource.spec.parent or "")
    return Brief(request.spec, facts, plan, images, by_name.get(name), parent)


def _travel(at: Pass) -> None:
    """The stages in order; each returns when it is done and raises when it must wait or end."""
    if not at.granted(GrantStage.EXPLORE):
        return
    code = write_until_green(at)
    first_rung(at, code)
    if not at.granted(GrantStage.JUDGE):
        return
    full_length(at, code)
    at.journey.phase, at.journey.reason = CandidatePhase.SCORED, "Scored"
    if at.granted(GrantStage.FINAL):
        finals(at, code)


def _stopped(observed: Observed[Candidate], why: str) -> Plan[Candidate]:
    """What was found before the stop stays; a candidate that had come to an end of its own keeps it."""
    candidate = observed.resource
    if candidate.status.phase.terminal:
        return Plan(candidate)
    generation = candidate.metadata.generation or 0
    facts = [Fact("Finished", True, "NotSelected", why)]
    status = candidate.status.model_copy(
        update={
            "phase": CandidatePhase.NOT_SELECTED,
            "observed_generation": generation,
            "conditions": conditions(candidate.status.conditions, facts, observed.now, generation),
        }
    )
    return Plan(candidate.model_copy(update={"status": status}))


def _status(observed: Observed[Candidate], desk: Desk, journey: Journey) -> CandidateStatus:
    candidate = observed.resource
    generation = candidate.metadata.generation or 0
    spent = desk.spent()
    return CandidateStatus(
        phase=journey.phase,
        observed_generation=generation,
        conditions=conditions(candidate.status.conditions, _facts(journey), observed.now, generation),
        attempts=tuple(journey.attempts),
        code=journey.code,
        deviation="; ".join(dict.fromkeys(journey.deviations))[:1024],
        trials=tuple(journey.trials),
        best=journey.best,
        final=journey.final,
        first_rung_score=mean(journey.first_rung) if journey.first_rung else None,
        first_rung_scores=tuple(one.value for one in journey.first_rung if one.value is not None),
        first_rung_constrained=mean_constrained(journey.first_rung),
        score=mean(journey.full) if journey.full else None,
        score_spread=stdev(one.value for one in journey.full if one.value is not None)
        if len(journey.full) > 1
        else None,
        violation=journey.violation,
        measures=journey.measures,
        curve=journey.curve,
        federated=journey.federated,
        finals=journey.finals,
        spent=Spent(
            candidates=1,
            simulated_rounds=sum(journey.judged.values()),
            works=spent.works,
            box_seconds=spent.box_seconds,
            tokens=spent.tokens,
            money_usd=spent.money_usd,
        ),
    )


def _facts(journey: Journey) -> list[Fact]:
    ended = journey.phase.terminal
    bad = journey.phase in {CandidatePhase.REJECTED, CandidatePhase.FAILED}
    return [
        Fact(
            "Tested",
            True if journey.code else False if bad else None,
            "TestsPassed" if journey.code else journey.reason,
        ),
        Fact("Scored", bool(journey.full) or (False if ended else None), journey.reason, journey.message),
        Fact("Finished", ended, journey.reason, journey.message),
    ]
