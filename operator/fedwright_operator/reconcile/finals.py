"""The final of one candidate: the fresh seeds on the test split, then one of them again with a process per client.

FedAvg runs there with its finalists' values of hyperparameters that it has too, and what serves it best counts. Of many
candidates the best had luck in its tuning: nobody is to win by a learning rate that FedAvg could have had.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from fedwright_crds.candidate import CandidatePhase
from fedwright_crds.documents import JudgeSpec, Score, Split
from fedwright_crds.task import Metric, Scope
from fedwright_crds.work import Input
from fedwright_operator.reconcile.cascade import Mark, ties
from fedwright_operator.reconcile.desk import Unfinished
from fedwright_operator.reconcile.journey import Ended, Pass
from fedwright_operator.reconcile.judging import judge_spec, judged_work, score_of
from fedwright_operator.reconcile.verification import drawn, require_federated


@dataclass(frozen=True)
class _Run:
    """One configuration on all fresh seeds, in their order."""

    values: dict[str, float]
    specs: tuple[JudgeSpec, ...]
    scores: tuple[Score, ...]
    digests: tuple[str, ...]
    """Of the scores that are ok."""

    @property
    def problem(self) -> str:
        return next((one.reason for one in self.scores if not one.ok), "")

    def mean(self, metric: Metric, scope: Scope) -> float | None:
        found = [one.value(metric, scope) for one in self.scores]
        measured = [value for value in found if value is not None]
        return fmean(measured) if len(measured) == len(found) else None


def finals(at: Pass, code: Input) -> None:
    """All seeds are wanted at once; the digests of the scores are what the decision reads."""
    own, *others = _configurations(at)
    runs = [_run(at, code, values) for values in (own, *others)]
    finished = [one for one in runs if one is not None]
    if len(finished) < len(runs):
        raise Unfinished
    if finished[0].problem:
        raise Ended(CandidatePhase.REJECTED, "SimulationFailed", f"on a fresh seed: {finished[0].problem}")
    best = _best(at, [one for one in finished if not one.problem])
    checked = drawn(best.digests)
    require_federated(at, code, best.specs[checked], best.scores[checked])
    at.journey.final, at.journey.finals = best.values, best.digests


def _configurations(at: Pass) -> list[dict[str, float]]:
    """The candidate's own best; for FedAvg also that with the values of each that stands in the final with it."""
    names, own = {one.name for one in at.spec.hyperparameters}, at.journey.best
    found = [own]
    for rival in at.brief.rivals:
        theirs = {**own, **{name: value for name, value in rival.items() if name in names}}
        found += [theirs] if theirs not in found else []
    return found


def _run(at: Pass, code: Input, values: dict[str, float]) -> _Run | None:
    """None while a seed is not judged yet."""
    rounds = at.brief.spec.task.training.rounds
    specs = tuple(judge_spec(at, values, rounds, seed, Split.TEST) for seed in at.brief.fresh_seeds())
    results = [at.desk.result(judged_work(at, code, spec)) for spec in specs]
    finished = [one for one in results if one is not None]
    at.journey.judged.update({one.id: rounds for one in finished})
    if len(finished) < len(results):
        return None
    scores = tuple(score_of(at.desk, one) for one in finished)
    digests = tuple(result.outputs["score.json"] for result, score in zip(finished, scores, strict=True) if score.ok)
    return _Run(values, specs, scores, digests)


def _best(at: Pass, runs: Sequence[_Run]) -> _Run:
    """By the objective, then by what constraints measure; among equals the candidate's own."""
    objective, constraints = at.brief.spec.objective, at.brief.spec.constraints

    def key(run: _Run) -> tuple[float, ...]:
        value = run.mean(objective.metric, objective.scope)
        if value is None:
            return (float("inf"),)
        measured: Mapping[str, float] = {
            f"{one.metric}/{one.scope}": found
            for one in constraints
            if (found := run.mean(one.metric, one.scope)) is not None
        }
        return Mark(value, ties=ties(measured, constraints)).key(at.brief.higher_is_better)

    return min(runs, key=key)
