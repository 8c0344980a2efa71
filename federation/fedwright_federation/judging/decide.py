"""The judge's word on the finalists: who is better than tuned FedAvg, and no worse than it where that was asked."""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedwright_crds.box import Box
from fedwright_crds.documents import Comparison, DecideInput, Decision, Finalist
from fedwright_crds.request import Constraint
from fedwright_crds.task import Metric, Scope
from fedwright_federation.judging import statistics
from fedwright_federation.judging.programs import write


def main(argv: Sequence[str]) -> int:
    del argv
    box = Box.here()
    given = DecideInput.model_validate_json(box.input("decide.json").read_bytes())
    write(box.output("decision.json"), decide(given))
    return 0


def decide(given: DecideInput) -> Decision:
    """The best finalist by the objective, of those that are superior in it and keep every constraint; or none."""
    baseline = next(one for one in given.finalists if one.role == "Baseline")
    finalists = [one for one in given.finalists if one.role == "Finalist"]
    catalogue = next((one for one in given.finalists if one.role == "BestCatalogue" or one.also_catalogue), None)
    faults = {one.candidate: fault for one in finalists if (fault := _fault(one, baseline, given))}
    fit = [one for one in finalists if one.candidate not in faults]
    objective = _objective(fit, baseline, given)
    constraints = [one for asked in given.constraints for one in _constraint(fit, baseline, asked, given.level)]
    better = {one.candidate for one in objective if one.holds}
    worse = {one.candidate for one in constraints if not one.holds}
    ranked = sorted(fit, key=lambda one: (-_signed_mean(one, given), one.candidate))
    winner = next((one for one in ranked if one.candidate in better - worse), None)
    leader = winner or next(iter(ranked), None)
    return Decision(
        winner=winner.candidate if winner else None,
        reason=_reason(winner, objective, constraints, faults),
        baseline=baseline.candidate,
        best_catalogue=catalogue.candidate if catalogue else None,
        objective=tuple(objective),
        against_catalogue=_against(leader, catalogue, given),
        constraints=tuple(constraints),
    )


def _fault(one: Finalist, baseline: Finalist, given: DecideInput) -> str:
    """Why this finalist cannot be compared or cannot win, whatever its figures; empty if it can."""
    wanted = [(given.objective.metric, given.objective.scope), *((c.metric, c.scope) for c in given.constraints)]
    for who in (baseline, one):
        bad = next((score for score in who.scores if not score.ok), None)
        if bad:
            return f"{who.candidate} has no result on every fresh seed: {bad.reason}"
        for metric, scope in wanted:
            if any(score.value(metric, scope) is None for score in who.scores):
                return f"{metric}/{scope} of {who.candidate} was not measured on every fresh seed"
    if len(one.scores) != len(baseline.scores) or len(one.scores) < 2:
        return f"{one.candidate} was judged on {len(one.scores)} fresh seeds and the baseline on {len(baseline.scores)}"
    if not one.federated:
        return f"{one.candidate} is not shown to be federated"
    if any(score.constant for score in one.scores):
        return f"{one.candidate} gives every input the same answer"
    return ""


def _objective(fit: Sequence[Finalist], baseline: Finalist, given: DecideInput) -> list[Comparison]:
    """Each against the baseline. Tests are two-sided, so a false winner is half as likely as `level`; Holm's over finalists."""
    metric, scope = given.objective.metric, given.objective.scope
    tests = [statistics.superior(_gains(one, baseline, metric, scope)) for one in fit]
    ts = statistics.holm([min(1.0, 2 * test.t) for test in tests])
    flips = statistics.holm([min(1.0, 2 * test.sign_flip) for test in tests])
    return [
        _comparison(one, baseline, metric, scope, given.level, p, flip)
        for one, p, flip in zip(fit, ts, flips, strict=True)
    ]


def _constraint(fit: Sequence[Finalist], baseline: Finalist, asked: Constraint, level: float) -> list[Comparison]:
    """Each against the baseline; one-sided, and Holm's over finalists. All constraints must hold, so none is corrected for others."""
    metric, scope, margin = asked.metric, asked.scope, asked.margin
    tests = [statistics.not_inferior(_gains(one, baseline, metric, scope), margin) for one in fit]
    ts = statistics.holm([test.t for test in tests])
    flips = statistics.holm([test.sign_flip for test in tests])
    return [
        _comparison(one, baseline, metric, scope, level, p, flip, margin)
        for one, p, flip in zip(fit, ts, flips, strict=True)
    ]


def _against(leader: Finalist | None, catalogue: Finalist | None, given: DecideInput) -> Comparison | None:
    """The winner, or who came closest, against the best tuned method of the catalogue."""
    if leader is None or catalogue is None or leader is catalogue or _fault(leader, catalogue, given):
        return None
    metric, scope = given.objective.metric, given.objective.scope
    test = statistics.superior(_gains(leader, catalogue, metric, scope))
    ps = min(1.0, 2 * test.t), min(1.0, 2 * test.sign_flip)
    return _comparison(leader, catalogue, metric, scope, given.level, *ps)


def _comparison(
    one: Finalist,
    reference: Finalist,
    metric: Metric,
    scope: Scope,
    level: float,
    p: float,
    p_sign_flip: float,
    margin: float | None = None,
) -> Comparison:
    own, other = _values(one, metric, scope), _values(reference, metric, scope)
    low, high = statistics.interval(own - other, level)
    return Comparison(
        candidate=one.candidate,
        reference=reference.candidate,
        metric=f"{metric}/{scope}",
        candidate_value=float(own.mean()),
        reference_value=float(other.mean()),
        difference=float((own - other).mean()),
        low=low,
        high=high,
        level=level,
        p=p,
        p_sign_flip=p_sign_flip,
        fresh_seeds=len(own),
        holds=p <= level,
        margin=margin,
    )


def _gains(one: Finalist, reference: Finalist, metric: Metric, scope: Scope) -> NDArray[np.float64]:
    """By seed, positive where the candidate is better."""
    sign = 1.0 if metric.higher_is_better else -1.0
    return sign * (_values(one, metric, scope) - _values(reference, metric, scope))


def _values(one: Finalist, metric: Metric, scope: Scope) -> NDArray[np.float64]:
    return np.array([score.metrics[f"{metric}/{scope}"] for score in one.scores], dtype=np.float64)


def _signed_mean(one: Finalist, given: DecideInput) -> float:
    sign = 1.0 if given.objective.metric.higher_is_better else -1.0
    return sign * float(_values(one, given.objective.metric, given.objective.scope).mean())


def _reason(
    winner: Finalist | None,
    objective: Sequence[Comparison],
    constraints: Sequence[Comparison],
    faults: dict[str, str],
) -> str:
    if winner:
        return f"{winner.candidate} is superior in {objective[0].metric} and keeps every constraint"
    words = list(faults.values())
    for one in objective:
        broken = [each.metric for each in constraints if each.candidate == one.candidate and not each.holds]
        if not one.holds:
            words.append(
                f"{one.candidate} is not proven superior in {one.metric}: p = {one.p:.3g} at level {one.level:g}"
            )
        elif broken:
            words.append(f"{one.candidate} is not proven to keep its margin in {', '.join(broken)}")
    return "; ".join(words)[:16000] or "no candidate reached the final"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
