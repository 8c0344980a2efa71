"""Candidate: written, tested, debugged, tuned, judged, as far as the request's grant lets it go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from fedwright_crds.judging_work import judging_work, verification_work

from fedwright_crds.base import Digest, canonical
from fedwright_crds.candidate import (
    Attempt,
    Candidate,
    CandidatePhase,
    CandidateSpec,
    CandidateStatus,
    GrantStage,
    TrialScore,
)
from fedwright_crds.documents import (
    CandidateCode,
    CheckFailure,
    CodeInput,
    CodeOutput,
    Contract,
    DataFacts,
    DebugInput,
    JudgeSpec,
    Score,
    Split,
    TestReport,
    TuneInput,
    TuneOutput,
)
from fedwright_crds.documents import (
    Plan as SearchPlan,
)
from fedwright_crds.meta import Spent
from fedwright_crds.request import RequestSpec
from fedwright_crds.task import Metric
from fedwright_crds.work import BoxKind, Input, Outcome, Work, WorkResult
from fedwright_operator.reconcile import works
from fedwright_operator.reconcile.api import Observed, Plan
from fedwright_operator.reconcile.cascade import Mark, ties, violation
from fedwright_operator.reconcile.conditions import Fact, conditions
from fedwright_operator.reconcile.desk import Desk, GaveUp, Unfinished, failure_text
from fedwright_operator.reconcile.inspection import inspected
from fedwright_operator.reconcile.search import baseline_name

TRIAL_BATCH = 4
"""Trials proposed at one time: enough to keep a few cores busy, few enough for the tuner to learn between batches."""
FULL_LENGTH_CONFIGURATIONS = 2
"""Best configurations of the first rung that are judged at full length."""
ORDER = (GrantStage.PROPOSE, GrantStage.EXPLORE, GrantStage.JUDGE, GrantStage.FINAL)


@dataclass(frozen=True)
class Brief:
    """What a candidate takes from its request: everything that all candidates share."""

    spec: RequestSpec
    facts: DataFacts
    plan: SearchPlan
    images: Mapping[BoxKind, Digest]
    baseline: Candidate | None
    """Tuned FedAvg, by which constraints are measured; None for FedAvg itself."""

    @property
    def rung_rounds(self) -> int:
        rounds = self.spec.task.training.rounds
        if not self.spec.judging.cascade:
            return rounds
        return max(2, -(-rounds * round(self.spec.judging.first_rung * 1000) // 1000))

    def selection_seeds(self) -> list[int]:
        return [self.spec.judging.seed * 10_000 + 100 + i for i in range(self.spec.judging.selection_seeds)]

    def fresh_seeds(self) -> list[int]:
        return [self.spec.judging.seed * 10_000 + 1000 + i for i in range(self.spec.judging.fresh_seeds)]

    @property
    def higher_is_better(self) -> bool:
        return self.spec.objective.metric.higher_is_better


@dataclass
class Journey:
    """What is known of a candidate in this pass; the status is made from it at the end."""

    phase: CandidatePhase = CandidatePhase.PROPOSED
    reason: str = "Proposed"
    message: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    code: Digest | None = None
    trials: list[TrialScore] = field(default_factory=list)
    best: dict[str, float] = field(default_factory=dict)
    first_rung: list[TrialScore] = field(default_factory=list)
    full: list[TrialScore] = field(default_factory=list)
    violation: float = 0.0
    measures: dict[str, float] = field(default_factory=dict)
    federated: bool | None = None
    finals: tuple[Digest, ...] = ()
    judged: dict[str, int] = field(default_factory=dict)
    """Rounds of each finished judgement, by work id."""


class Ended(Exception):  # noqa: N818 - control flow of a pass
    """The candidate's way ends here."""

    def __init__(self, phase: CandidatePhase, reason: str, message: str) -> None:
        super().__init__(message)
        self.phase, self.reason = phase, reason


def plan(observed: Observed[Candidate]) -> Plan[Candidate]:
    """One pass over a candidate."""
    candidate, request = observed.resource, observed.request
    if request is None or request.status.plan is None or candidate.status.phase in _LASTING:
        return Plan(candidate)
    if request.status.phase.terminal and candidate.spec.grant.stage is not GrantStage.STOP:
        return Plan(candidate)
    desk = Desk(observed.results, observed.read, request.status.retries)
    journey = Journey()
    try:
        brief = _brief(observed, desk)
        _travel(Pass(candidate.spec, brief, desk, journey))
    except Unfinished:
        pass
    except Ended as end:
        journey.phase, journey.reason, journey.message = end.phase, end.reason, str(end)
    except GaveUp as failure:
        journey.phase, journey.reason = CandidatePhase.FAILED, "WorkFailed"
        journey.message = str(failure)
    if journey.phase in _LASTING:
        desk.works.clear()
    return Plan(
        candidate.model_copy(update={"status": _status(observed, desk, journey)}),
        works=tuple(desk.works),
        artifacts=desk.artifacts,
        parallel=request.spec.search.parallel,
    )


_LASTING = frozenset({CandidatePhase.NOT_SELECTED, CandidatePhase.REJECTED, CandidatePhase.FAILED})
"""Phases that no later grant changes. Scored may still become Rejected in the finals."""


@dataclass(frozen=True)
class Pass:
    spec: CandidateSpec
    brief: Brief
    desk: Desk
    journey: Journey

    def granted(self, stage: GrantStage) -> bool:
        return ORDER.index(self.spec.grant.stage) >= ORDER.index(stage)


def _brief(observed: Observed[Candidate], desk: Desk) -> Brief:
    request = observed.request
    assert request is not None and request.status.plan is not None
    images = request.status.images or observed.images
    name = baseline_name(request)
    return Brief(
        request.spec,
        inspected(Desk(desk.results, desk.read, desk.retries), request.spec, images),
        observed.document(SearchPlan, request.status.plan),
        images,
        next((one for one in observed.candidates if one.metadata.name == name), None)
        if name != observed.resource.metadata.name
        else None,
    )


def _travel(at: Pass) -> None:
    """The stages in order; each returns when it is done and raises when it must wait or end."""
    if at.spec.grant.stage is GrantStage.STOP:
        raise Ended(CandidatePhase.NOT_SELECTED, "NotSelected", at.spec.grant.reason)
    if not at.granted(GrantStage.EXPLORE):
        return
    code = _write_until_green(at)
    _first_rung(at, code)
    if not at.granted(GrantStage.JUDGE):
        return
    _full_length(at, code)
    at.journey.phase, at.journey.reason = CandidatePhase.SCORED, "Scored"
    if at.granted(GrantStage.FINAL):
        _federated_check(at, code)
        _finals(at, code)


# -- writing ----------------------------------------------------------------------------------------------------------
def _write_until_green(at: Pass) -> Input:
    """{coder <-> debugger}^k over real runs. Returns the code that passed, as an input."""
    document = _code_input(at)
    at.journey.phase, at.journey.reason = CandidatePhase.WRITING, "Writing"
    code = _written(at, "code", at.brief.spec.minds.coder, at.desk.put("code-input.json", document))
    earlier: list[CheckFailure] = []
    tried: set[str] = set()
    for number in range(at.brief.spec.search.debug_attempts + 1):
        draft = at.desk.put("code.json", code)
        if draft.digest in tried:
            raise Ended(
                CandidatePhase.REJECTED,
                "Stuck",
                f"the debugger came back to draft {draft.digest[7:15]}: {earlier[-1].message}",
            )
        tried.add(draft.digest)
        report = _tested(at, draft, number)
        if report.passed:
            at.journey.code = draft.digest
            return draft
        if number < at.brief.spec.search.debug_attempts:
            at.journey.phase, at.journey.reason = CandidatePhase.DEBUGGING, "Debugging"
            order = DebugInput(code_input=document, code=code, report=report, attempt=number, earlier=tuple(earlier))
            earlier.append(report.failures[0])
            code = _written(at, "debug", at.brief.spec.minds.debugger, at.desk.put("debug-input.json", order))
    first = report.failures[0]
    raise Ended(CandidatePhase.REJECTED, "TestsFailed", f"{first.check}: {first.message}")


def _written(at: Pass, role: str, profile: str, document: Input) -> CandidateCode:
    result = at.desk.succeeded(works.mind_work(role, profile, document, at.brief.images))
    output = at.desk.document(CodeOutput, result, f"{role}.json")
    if output.code is None:
        raise Ended(CandidatePhase.REJECTED, "CannotMend" if role == "debug" else "CannotWrite", output.cannot)
    return output.code


def _tested(at: Pass, draft: Input, number: int) -> TestReport:
    at.journey.phase, at.journey.reason = CandidatePhase.TESTING, "Testing"
    contract = at.desk.put("contract.json", _contract(at))
    at.journey.attempts.append(Attempt(number=number, code=draft.digest))
    result = at.desk.result(works.candidate_tests(draft, contract, at.brief.images))
    if result is None:
        raise Unfinished
    report = _report(at.desk, result)
    failure = "" if report.passed else "; ".join(f"{one.check}: {one.message}" for one in report.failures)
    at.journey.attempts[-1] = Attempt(number=number, code=draft.digest, passed=report.passed, failure=failure[:16000])
    return report


def _report(desk: Desk, result: WorkResult) -> TestReport:
    """What the tests said; a box that ended otherwise is a failure like any other, for the debugger to read."""
    if result.outcome is Outcome.PLATFORM_ERROR:
        raise GaveUp(result)
    try:
        if result.outcome is Outcome.FAILED:
            raise GaveUp(result)
        report = desk.document(TestReport, result, "test-report.json")
    except GaveUp as failure:
        return TestReport(passed=False, failures=(CheckFailure(check="Box", message=str(failure)),))
    if not report.passed and not report.failures:
        return TestReport(
            passed=False, failures=(CheckFailure(check="Box", message="the tests failed without a word"),)
        )
    return report


def _code_input(at: Pass) -> CodeInput:
    spec, brief = at.spec, at.brief
    return CodeInput(
        title=spec.title,
        method=spec.method,
        parts=spec.parts,
        hyperparameters=spec.hyperparameters,
        fixed=spec.fixed,
        hypothesis=spec.hypothesis,
        model=brief.plan.model,
        task=brief.spec.task,
        privacy=brief.spec.privacy,
    )


def _contract(at: Pass) -> Contract:
    return Contract(
        model=at.brief.plan.model,
        task=at.brief.spec.task,
        input_shape=at.brief.facts.input_shape,
        classes=at.brief.facts.classes,
        hyperparameters=_defaults(at.spec),
        privacy=at.brief.spec.privacy,
    )


def _defaults(spec: CandidateSpec) -> dict[str, float]:
    return {**{one.name: one.default for one in spec.hyperparameters}, **spec.fixed}


# -- tuning: the first rung -------------------------------------------------------------------------------------------
def _first_rung(at: Pass, code: Input) -> None:
    """Trials on one seed in batches, then the best configuration on the other selection seeds."""
    at.journey.phase, at.journey.reason = CandidatePhase.SIMULATING, "Tuning"
    seeds, rounds = at.brief.selection_seeds(), at.brief.rung_rounds
    while len(at.journey.trials) < _trials(at):
        batch = [_trial(at, code, values, rounds, seeds[0]) for values in _proposed(at)]
        at.journey.trials += _all_finished(batch)
        _reject_if_all_failed(at)
    reference = _reference(at, "first_rung_constrained")
    at.journey.best = _from_best_to_worst(at, at.journey.trials, reference)[0].hyperparameters
    more = [_trial(at, code, at.journey.best, rounds, seed) for seed in seeds[1:]]
    first = next(one for one in at.journey.trials if one.hyperparameters == at.journey.best)
    at.journey.first_rung = [one for one in [first, *_all_finished(more)] if one.value is not None]
    at.journey.reason = "AwaitingGrant"


def _trials(at: Pass) -> int:
    return at.brief.spec.search.trials if at.spec.hyperparameters else 1


def _proposed(at: Pass) -> Sequence[dict[str, float]]:
    if not at.spec.hyperparameters:
        return [dict(at.spec.fixed)]
    search = TuneInput(
        hyperparameters=at.spec.hyperparameters,
        fixed=at.spec.fixed,
        finished=_as_the_tuner_sees(at),
        higher_is_better=at.brief.higher_is_better or bool(at.brief.spec.constraints),
        trials=min(TRIAL_BATCH, _trials(at) - len(at.journey.trials)),
        seed=at.brief.spec.judging.seed,
    )
    work = works.mind_work("tune", at.brief.spec.minds.tuner, at.desk.put("tune-input.json", search), at.brief.images)
    proposed = at.desk.document(TuneOutput, at.desk.succeeded(work), "tune.json").trials[: search.trials]
    if not proposed:
        raise Ended(CandidatePhase.FAILED, "TunerFailed", "the tuner proposed no trial")
    return [{**values, **at.spec.fixed} for values in proposed]


def _as_the_tuner_sees(at: Pass) -> tuple[TrialScore, ...]:
    """One number a trial. Under constraints that is its rank, worst first, since the objective alone would ignore them."""
    if not at.brief.spec.constraints:
        return tuple(at.journey.trials)
    order = _from_best_to_worst(at, at.journey.trials, _reference(at, "first_rung_constrained"))
    rank = {canonical(one.hyperparameters): float(len(order) - n) for n, one in enumerate(order)}
    return tuple(
        one.model_copy(update={"value": rank.get(canonical(one.hyperparameters)), "constrained": {}})
        for one in at.journey.trials
    )


def _reference(at: Pass, of: str) -> Mapping[str, float]:
    """FedAvg's constrained metrics, which every other candidate waits for; FedAvg itself is compared with nothing."""
    if not at.brief.spec.constraints or at.brief.baseline is None:
        return {}
    values: Mapping[str, float] = getattr(at.brief.baseline.status, of)
    if not values and not at.brief.baseline.status.phase.terminal:
        raise Unfinished
    return values


def _mark(at: Pass, value: float, constrained: Mapping[str, float], reference: Mapping[str, float]) -> Mark:
    constraints = at.brief.spec.constraints
    return Mark(value, violation(constrained, reference, constraints), ties(constrained, constraints))


def _from_best_to_worst(at: Pass, trials: Sequence[TrialScore], reference: Mapping[str, float]) -> list[TrialScore]:
    """Distinct configurations that gave a value; among equals the earlier trial."""
    marks = [(one, _mark(at, one.value, one.constrained, reference)) for one in trials if one.value is not None]
    distinct: list[TrialScore] = []
    for one, _ in sorted(marks, key=lambda pair: pair[1].key(at.brief.higher_is_better)):
        if all(one.hyperparameters != other.hyperparameters for other in distinct):
            distinct.append(one)
    return distinct


def _trial(at: Pass, code: Input, values: Mapping[str, float], rounds: int, seed: int) -> TrialScore | None:
    score = _judged(at, code, _judge_spec(at, values, rounds, seed, Split.SELECTION))
    if score is None:
        return None
    objective = at.brief.spec.objective
    value = score.value(objective.metric, objective.scope) if score.ok else None
    failure = score.reason if not score.ok else "" if value is not None else f"{objective.metric} was not measured"
    constrained = {
        f"{one.metric}/{one.scope}": found
        for one in at.brief.spec.constraints
        if (found := score.value(one.metric, one.scope)) is not None
    }
    return TrialScore(
        hyperparameters=dict(values),
        rounds=rounds,
        seed=seed,
        value=value,
        constrained=constrained,
        failure=failure[:1024],
    )


def _all_finished(trials: Sequence[TrialScore | None]) -> list[TrialScore]:
    done = [one for one in trials if one is not None]
    if len(done) < len(trials):
        raise Unfinished
    return done


def _reject_if_all_failed(at: Pass) -> None:
    if all(one.value is None for one in at.journey.trials):
        raise Ended(CandidatePhase.REJECTED, "SimulationFailed", at.journey.trials[0].failure)


# -- judging ----------------------------------------------------------------------------------------------------------
def _full_length(at: Pass, code: Input) -> None:
    """The best configurations of the first rung at full length on every selection seed; the best mean is the score."""
    at.journey.reason = "Judging"
    rounds, tuned = at.brief.spec.task.training.rounds, list(at.journey.trials)
    best_first = _from_best_to_worst(at, tuned, _reference(at, "first_rung_constrained"))[:FULL_LENGTH_CONFIGURATIONS]
    judged = [
        [_trial(at, code, one.hyperparameters, rounds, seed) for seed in at.brief.selection_seeds()]
        for one in best_first
    ]
    full = [_all_finished(one) for one in judged]
    at.journey.trials += [one for scores in full for one in scores if one not in tuned]
    whole = [scores for scores in full if all(one.value is not None for one in scores)]
    if not whole:
        raise Ended(
            CandidatePhase.REJECTED,
            "SimulationFailed",
            next(one.failure for scores in full for one in scores if one.failure),
        )
    reference = _reference(at, "measures")
    marks = [_mark(at, _mean(scores), _mean_constrained(scores), reference) for scores in whole]
    best = min(range(len(whole)), key=lambda n: (marks[n].key(at.brief.higher_is_better), n))
    at.journey.full, at.journey.violation = whole[best], marks[best].violation
    at.journey.best = whole[best][0].hyperparameters
    at.journey.measures = _measures(at, code, at.journey.best)


def _mean(scores: Sequence[TrialScore]) -> float:
    return fmean(one.value for one in scores if one.value is not None)


def _mean_constrained(scores: Sequence[TrialScore]) -> dict[str, float]:
    """Means of the constrained metrics that every one of the scores has."""
    shared = set.intersection(*(set(one.constrained) for one in scores)) if scores else set()
    return {name: fmean(one.constrained[name] for one in scores) for name in sorted(shared)}


def _measures(at: Pass, code: Input, values: Mapping[str, float]) -> dict[str, float]:
    """Means of all metrics over the selection seeds; the works are finished, so this starts none."""
    rounds = at.brief.spec.task.training.rounds
    scores = [
        _judged(at, code, _judge_spec(at, values, rounds, seed, Split.SELECTION)) for seed in at.brief.selection_seeds()
    ]
    metrics = [score.metrics for score in scores if score is not None]
    return {
        name: fmean(one[name] for one in metrics) for name in sorted(metrics[0]) if all(name in one for one in metrics)
    }


def _federated_check(at: Pass, code: Input) -> None:
    """Once more with a process per client that holds only its shard, and a server that holds none."""
    seed = at.brief.selection_seeds()[0]
    spec = _judge_spec(at, at.journey.best, at.brief.rung_rounds, seed, Split.SELECTION)
    document = at.desk.put("judge.json", spec.model_copy(update={"sequential": True}))
    work = verification_work(document, code, at.brief.images, clients=at.brief.spec.task.clients)
    result = at.desk.result(work)
    if result is None:
        raise Unfinished
    score = _score(at.desk, result)
    at.journey.federated = score.ok
    if not score.ok:
        raise Ended(CandidatePhase.REJECTED, "NotFederated", score.reason)


def _finals(at: Pass, code: Input) -> None:
    """The fresh seeds on the test split. All are wanted at once; the digests of the scores are what the decision reads."""
    rounds = at.brief.spec.task.training.rounds
    specs = [_judge_spec(at, at.journey.best, rounds, seed, Split.TEST) for seed in at.brief.fresh_seeds()]
    results = [at.desk.result(_judging(at, code, spec)) for spec in specs]
    finished = [one for one in results if one is not None]
    at.journey.judged.update({one.id: rounds for one in finished})
    if len(finished) < len(results):
        raise Unfinished
    scores = [_score(at.desk, one) for one in finished]
    if bad := next((one for one in scores if not one.ok), None):
        raise Ended(CandidatePhase.REJECTED, "SimulationFailed", f"on a fresh seed: {bad.reason}")
    at.journey.finals = tuple(one.outputs["score.json"] for one in finished)


def _judge_spec(at: Pass, values: Mapping[str, float], rounds: int, seed: int, split: Split) -> JudgeSpec:
    spec = at.brief.spec
    every_round = spec.objective.metric is Metric.ROUNDS_TO_TARGET
    final = split is Split.TEST
    return JudgeSpec(
        task=spec.task,
        model=at.brief.plan.model,
        objective=spec.objective,
        constraints=spec.constraints,
        privacy=spec.privacy,
        hyperparameters=dict(values),
        salt=at.spec.salt,
        rounds=rounds,
        seed=seed,
        split=split,
        evaluations=min(rounds, 64) if every_round else min(rounds, 10) if final else 1,
        probe=final,
    )


def _judging(at: Pass, code: Input, spec: JudgeSpec) -> Work:
    return judging_work(at.desk.put("judge.json", spec), code, at.brief.images)


def _judged(at: Pass, code: Input, spec: JudgeSpec) -> Score | None:
    result = at.desk.result(_judging(at, code, spec))
    if result is None:
        return None
    at.journey.judged[result.id] = spec.rounds
    return _score(at.desk, result)


def _score(desk: Desk, result: WorkResult) -> Score:
    """What the judge said. A failed step of the candidate's is a score that is not ok, with what the parent saw."""
    if result.outcome is Outcome.PLATFORM_ERROR:
        raise GaveUp(result)
    if result.outcome is Outcome.FAILED:
        return Score(ok=False, reason=failure_text(result)[:1024])
    return desk.document(Score, result, "score.json")


# -- status -----------------------------------------------------------------------------------------------------------
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
        trials=tuple(journey.trials),
        best=journey.best,
        first_rung_score=_mean(journey.first_rung) if journey.first_rung else None,
        first_rung_scores=tuple(one.value for one in journey.first_rung if one.value is not None),
        first_rung_constrained=_mean_constrained(journey.first_rung),
        score=_mean(journey.full) if journey.full else None,
        score_spread=stdev(one.value for one in journey.full if one.value is not None)
        if len(journey.full) > 1
        else None,
        violation=journey.violation,
        measures=journey.measures,
        federated=journey.federated,
        finals=journey.finals,
        spent=Spent(
            candidates=1,
            simulated_rounds=sum(journey.judged.values()),
            works=spent.works,
            box_seconds=spent.box_seconds,
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
