"""One judged run of a candidate: what is asked for, and what the judge said."""

from collections.abc import Mapping

from fedwright_crds.documents import JudgeSpec, Score, Split
from fedwright_crds.judging_work import judging_work
from fedwright_crds.request import RequestSpec
from fedwright_crds.task import Metric
from fedwright_crds.work import Input, Outcome, Work, WorkResult
from fedwright_operator.reconcile.desk import Desk, GaveUp, failure_text
from fedwright_operator.reconcile.journey import Pass

MOST_EVALUATIONS = 64
OF_A_FINAL = 10
OF_A_SCORE = 4
"""Evaluations of a run of full length on the selection split: so much of its way a reflector sees."""


def judge_spec(at: Pass, values: Mapping[str, float], rounds: int, seed: int, split: Split) -> JudgeSpec:
    spec = at.brief.spec
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
        evaluations=min(rounds, _evaluations(spec, rounds, split)),
        probe=split is Split.TEST,
    )


def _evaluations(spec: RequestSpec, rounds: int, split: Split) -> int:
    if spec.objective.metric is Metric.ROUNDS_TO_TARGET:
        return MOST_EVALUATIONS
    if split is Split.TEST:
        return OF_A_FINAL
    return OF_A_SCORE if rounds == spec.task.training.rounds else 1


def judged_work(at: Pass, code: Input, spec: JudgeSpec) -> Work:
    return judging_work(at.desk.order("judge.json", spec), code, at.brief.images, spec, at.brief.facts)


def judged(at: Pass, code: Input, spec: JudgeSpec) -> Score | None:
    result = at.desk.result(judged_work(at, code, spec))
    if result is None:
        return None
    at.journey.judged[result.id] = spec.rounds
    return score_of(at.desk, result)


def score_of(desk: Desk, result: WorkResult) -> Score:
    """What the judge said. A failed step of the candidate's is a score that is not ok, with what the parent saw."""
    if result.outcome is Outcome.PLATFORM_ERROR or _judge_failed(result):
        raise GaveUp(result)
    if result.outcome is Outcome.FAILED:
        return Score(ok=False, reason=failure_text(result)[:1024])
    return desk.document(Score, result, "score.json")


def _judge_failed(result: WorkResult) -> bool:
    """Whether a trusted step is at fault: never the candidate's."""
    return (
        result.outcome is Outcome.FAILED and bool(result.verdicts) and result.verdicts[-1].step in {"prepare", "score"}
    )
