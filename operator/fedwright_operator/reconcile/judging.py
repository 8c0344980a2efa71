"""One judged run of a candidate, and the finals: a process per client, then the fresh seeds on the test split."""

from collections.abc import Mapping

from fedwright_crds.candidate import CandidatePhase
from fedwright_crds.documents import JudgeSpec, Score, Split
from fedwright_crds.judging_work import judging_work, verification_work
from fedwright_crds.task import Metric
from fedwright_crds.work import Input, Outcome, Work, WorkResult
from fedwright_operator.reconcile.desk import Desk, GaveUp, Unfinished, failure_text
from fedwright_operator.reconcile.journey import Ended, Pass


def federated_check(at: Pass, code: Input) -> None:
    """Once more with a process per client that holds only its shard, and a server that holds none."""
    seed = at.brief.selection_seeds()[0]
    spec = judge_spec(at, at.journey.final, at.brief.rung_rounds, seed, Split.SELECTION)
    document = at.desk.put("judge.json", spec.model_copy(update={"sequential": True}))
    work = verification_work(document, code, at.brief.images, spec, at.brief.facts)
    result = at.desk.result(work)
    if result is None:
        raise Unfinished
    score = _score(at.desk, result)
    at.journey.federated = score.ok
    if not score.ok:
        raise Ended(CandidatePhase.REJECTED, "NotFederated", score.reason)


def finals(at: Pass, code: Input) -> None:
    """The fresh seeds on the test split. All are wanted at once; the digests of the scores are what the decision reads."""
    rounds = at.brief.spec.task.training.rounds
    specs = [judge_spec(at, at.journey.final, rounds, seed, Split.TEST) for seed in at.brief.fresh_seeds()]
    results = [at.desk.result(_judging(at, code, spec)) for spec in specs]
    finished = [one for one in results if one is not None]
    at.journey.judged.update({one.id: rounds for one in finished})
    if len(finished) < len(results):
        raise Unfinished
    scores = [_score(at.desk, one) for one in finished]
    if bad := next((one for one in scores if not one.ok), None):
        raise Ended(CandidatePhase.REJECTED, "SimulationFailed", f"on a fresh seed: {bad.reason}")
    at.journey.finals = tuple(one.outputs["score.json"] for one in finished)


def judge_spec(at: Pass, values: Mapping[str, float], rounds: int, seed: int, split: Split) -> JudgeSpec:
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
    return judging_work(at.desk.put("judge.json", spec), code, at.brief.images, spec, at.brief.facts)


def judged(at: Pass, code: Input, spec: JudgeSpec) -> Score | None:
    result = at.desk.result(_judging(at, code, spec))
    if result is None:
        return None
    at.journey.judged[result.id] = spec.rounds
    return _score(at.desk, result)


def _score(desk: Desk, result: WorkResult) -> Score:
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
