"""A candidate's scores on the selection split: tuning trials on the first rung, then its best configurations at full length."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from fedwright_crds.base import canonical
from fedwright_crds.candidate import CandidatePhase, RoundAccuracy, TrialScore
from fedwright_crds.documents import Score, Split, TuneInput, TuneOutput
from fedwright_crds.task import Scope
from fedwright_crds.work import Input
from fedwright_operator.reconcile import works
from fedwright_operator.reconcile.cascade import Mark, ties, violation
from fedwright_operator.reconcile.desk import Unfinished
from fedwright_operator.reconcile.journey import Ended, Pass
from fedwright_operator.reconcile.judging import OF_A_SCORE, judge_spec, judged

TRIAL_BATCH = 4
"""Trials proposed at one time: enough to keep a few cores busy, few enough for the tuner to learn between batches."""
FULL_LENGTH_CONFIGURATIONS = 2
"""Best configurations of the first rung that are judged at full length."""


def first_rung(at: Pass, code: Input) -> None:
    """Trials on one seed in batches, then the best configuration on the other selection seeds."""
    at.journey.phase, at.journey.reason = CandidatePhase.SIMULATING, "Tuning"
    seeds, rounds = at.brief.selection_seeds(), at.brief.spec.rung_rounds
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
    work = works.mind_work("tune", at.brief.spec.minds.tuner, at.desk.order("tune-input.json", search), at.brief.images)
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
    if not values and not at.brief.baseline.settled:
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
    score = judged(at, code, judge_spec(at, values, rounds, seed, Split.SELECTION))
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


def full_length(at: Pass, code: Input) -> None:
    """The best configurations of the first rung at full length on every selection seed; the best mean is the score."""
    at.journey.reason = "Judging"
    tuned = list(at.journey.trials)
    best_first = _from_best_to_worst(at, tuned, _reference(at, "first_rung_constrained"))[:FULL_LENGTH_CONFIGURATIONS]
    full = _in_full(at, code, [one.hyperparameters for one in best_first])
    at.journey.trials += [one for scores in full for one in scores if one not in tuned]
    best, mark = _best_in_full(at, full)
    at.journey.full, at.journey.violation = best, mark.violation
    at.journey.best = at.journey.final = best[0].hyperparameters
    scores = _scores_in_full(at, code, at.journey.best)
    at.journey.measures, at.journey.curve = _measures(scores), _curve(scores, at.brief.spec.objective.scope)


def _in_full(at: Pass, code: Input, configurations: Sequence[Mapping[str, float]]) -> list[list[TrialScore]]:
    """Each configuration's scores over the selection seeds; all are wanted at once."""
    rounds, seeds = at.brief.spec.task.training.rounds, at.brief.selection_seeds()
    judged = [[_trial(at, code, one, rounds, seed) for seed in seeds] for one in configurations]
    return [_all_finished(one) for one in judged]


def _best_in_full(at: Pass, full: Sequence[list[TrialScore]]) -> tuple[list[TrialScore], Mark]:
    """Of those that gave a value on every seed; among equals the first."""
    whole = [scores for scores in full if all(one.value is not None for one in scores)]
    if not whole:
        failure = next(one.failure for scores in full for one in scores if one.failure)
        raise Ended(CandidatePhase.REJECTED, "SimulationFailed", failure)
    reference = _reference(at, "measures")
    marks = [_mark(at, mean(scores), mean_constrained(scores), reference) for scores in whole]
    best = min(range(len(whole)), key=lambda n: (marks[n].key(at.brief.higher_is_better), n))
    return whole[best], marks[best]


def mean(scores: Sequence[TrialScore]) -> float:
    return fmean(one.value for one in scores if one.value is not None)


def mean_constrained(scores: Sequence[TrialScore]) -> dict[str, float]:
    """Means of the constrained metrics that every one of the scores has."""
    shared = set.intersection(*(set(one.constrained) for one in scores)) if scores else set()
    return {name: fmean(one.constrained[name] for one in scores) for name in sorted(shared)}


def _scores_in_full(at: Pass, code: Input, values: Mapping[str, float]) -> list[Score]:
    """On every selection seed; the works are finished, so this starts none."""
    rounds = at.brief.spec.task.training.rounds
    found = [
        judged(at, code, judge_spec(at, values, rounds, seed, Split.SELECTION)) for seed in at.brief.selection_seeds()
    ]
    return [score for score in found if score is not None]


def _measures(scores: Sequence[Score]) -> dict[str, float]:
    """Means of all metrics that every score has."""
    metrics = [score.metrics for score in scores]
    return {
        name: fmean(one[name] for one in metrics) for name in sorted(metrics[0]) if all(name in one for one in metrics)
    }


def _curve(scores: Sequence[Score], scope: Scope) -> tuple[RoundAccuracy, ...]:
    """Mean accuracy after a few evenly spaced rounds, the last among them."""
    points = list(zip(*(score.curve for score in scores), strict=True))
    stride = -(-len(points) // OF_A_SCORE) or 1
    return tuple(
        RoundAccuracy(
            round=at[0].round,
            accuracy=fmean(one.client_accuracy if scope is Scope.PER_CLIENT else one.accuracy for one in at),
        )
        for at in points[(len(points) - 1) % stride :: stride]
    )
