"""The answer in words and as a document: who won, by how much, on how many fresh seeds, how sure that is.

Pure: from the judge's decision and the candidates to text. It adds no figure of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fedwright_crds.candidate import Candidate
from fedwright_crds.documents import Comparison, Decision
from fedwright_crds.meta import Condition
from fedwright_crds.request import FLStrategyRequest, RequestPhase
from fedwright_operator.costs import Charged, with_roles

SHARES = {"Accuracy", "WorstTenthAccuracy", "WorstHeadAccuracy", "AverageAccuracy", "MembershipTpr"}
UNITS = {
    "Accuracy": "accuracy",
    "WorstTenthAccuracy": "accuracy of the worst tenth of the clients",
    "WorstHeadAccuracy": "accuracy of the worst head",
    "AverageAccuracy": "average accuracy over the tasks",
    "Loss": "loss",
    "Forgetting": "forgetting",
    "MembershipAuc": "membership AUC",
    "MembershipTpr": "membership TPR at 1% FPR",
    "UploadMebibytes": "MiB uploaded",
    "DownloadMebibytes": "MiB downloaded",
    "SimulatedSeconds": "simulated seconds",
    "RoundsToTarget": "rounds to the target",
    "LocalSteps": "local steps",
}


def last_line(request: FLStrategyRequest, decision: Decision | None, candidates: Sequence[Candidate]) -> str:
    """What a person reads last."""
    phase = request.status.phase
    if phase is RequestPhase.FAILED or decision is None:
        return f"{request.metadata.name} {_ended(request)}"
    return decided(decision, {one.metadata.name: one.spec.title for one in candidates})


def decided(decision: Decision, titles: Mapping[str, str]) -> str:
    """The decision in one sentence, candidates by their titles."""
    if decision.winner is None:
        return _nobody(decision, titles)
    primary = primary_of(decision)
    won = f"{_called(decision.winner, titles)} won"
    if primary is None:
        return f"{won}: {decision.reason}"
    over_fedavg = f"{_against(primary)} for tuned FedAvg ({_difference(primary)}, {_interval(primary)})"
    kept = "".join(f"; {_constraint(one)}" for one in decision.constraints if one.candidate == decision.winner)
    tested = f"; on {primary.fresh_seeds} fresh seeds, {_sure(primary)}."
    return f"{won}: {over_fedavg}{_over_catalogue(decision, titles)}{kept}{tested}"


def primary_of(decision: Decision) -> Comparison | None:
    """The winner's comparison with the baseline; without a winner, that which came closest."""
    if decision.winner:
        return next((one for one in decision.objective if one.candidate == decision.winner), None)
    return min(decision.objective, key=lambda one: one.p, default=None)


def document(
    request: FLStrategyRequest,
    decision: Decision | None,
    candidates: Sequence[Candidate],
    *,
    judged_on: str,
    charged: Charged,
    seconds: float,
    peak_memory_mib: float,
) -> dict[str, Any]:
    """What `result.json` holds."""
    by_name = {one.metadata.name: one for one in candidates}
    primary = primary_of(decision) if decision else None
    constraints = [one.to_wire() for one in decision.constraints] if decision else []
    return {
        "request": request.metadata.name,
        "phase": str(request.status.phase),
        "winner": _entry(by_name.get(decision.winner or "")) if decision else None,
        "baseline": _entry(by_name.get(decision.baseline)) if decision else None,
        "bestCatalogue": _entry(by_name.get(decision.best_catalogue or "")) if decision else None,
        "primary": _figures(primary) if primary else None,
        "againstCatalogue": _figures(decision.against_catalogue) if decision and decision.against_catalogue else None,
        "constraints": constraints,
        "judgedOn": judged_on,
        "spent": with_roles(request.status.spent, charged),
        "seconds": round(seconds, 1),
        "peakMemoryMiB": round(peak_memory_mib, 1),
        "verdict": last_line(request, decision, candidates),
    }


def finished(conditions: Sequence[Condition]) -> Condition | None:
    return next((one for one in conditions if one.type == "Finished"), None)


def _ended(request: FLStrategyRequest) -> str:
    end = finished(request.status.conditions)
    words = f": {end.reason}: {end.message}" if end and end.status == "True" else ""
    return f"is {request.status.phase}{words}"


def _nobody(decision: Decision, titles: Mapping[str, str]) -> str:
    closest = primary_of(decision)
    if closest is None:
        return f"No strategy is better than tuned FedAvg: {decision.reason}"
    return (
        f"No strategy is proven better than tuned FedAvg. The closest, {_called(closest.candidate, titles)}, came to "
        f"{_against(closest)} ({_difference(closest)}, {_interval(closest)}) "
        f"on {closest.fresh_seeds} fresh seeds, {_sure(closest)}: {decision.reason}"
    )


def _over_catalogue(decision: Decision, titles: Mapping[str, str]) -> str:
    if decision.best_catalogue is None:
        return ""
    if decision.best_catalogue == decision.winner:
        return "; it is the best catalogue method itself"
    other = _called(decision.best_catalogue, titles)
    against = decision.against_catalogue
    if against is None:
        return f"; the best catalogue method was {other}"
    if not any((against.difference, against.low, against.high)):
        return f", and just the same as the best catalogue method {other}"
    proof = "" if against.holds else ", which is not proven"
    return f", and {_difference(against)} over the best catalogue method {other} ({_interval(against)}){proof}"


def _constraint(one: Comparison) -> str:
    kept = "within" if one.holds else "outside"
    return f"{_value(one.candidate_value, one.metric)} {_unit(one.metric)} is {kept} its margin"


def _against(one: Comparison) -> str:
    return f"{_value(one.candidate_value, one.metric)} {_unit(one.metric)} against {_value(one.reference_value, one.metric)}"


def _difference(one: Comparison) -> str:
    unit = " points" if _metric(one.metric) in SHARES else ""
    return f"{_signed(one.difference, one.metric)}{unit}"


def _interval(one: Comparison) -> str:
    low, high = _signed(one.low, one.metric), _signed(one.high, one.metric)
    return f"{max(one.level, 1 - one.level):.0%} interval {low} to {high}"


def _sure(one: Comparison) -> str:
    chance = "p < 0.0001" if one.p < 0.0001 else f"p = {one.p:.2g}"
    return f"{chance} (paired t test)"


def _value(value: float, metric: str) -> str:
    return f"{value:.1%}" if _metric(metric) in SHARES else f"{value:.4g}"


def _signed(value: float, metric: str) -> str:
    return f"{100 * value:+.1f}" if _metric(metric) in SHARES else f"{value:+.3g}"


def _unit(metric: str) -> str:
    name = _metric(metric)
    return UNITS.get(name, name)


def _metric(metric: str) -> str:
    """`Metric/Scope` without its scope."""
    return metric.partition("/")[0]


def _called(name: str, titles: Mapping[str, str]) -> str:
    title = titles.get(name)
    return f"{title} ({name})" if title else name


def _entry(one: Candidate | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "candidate": one.metadata.name,
        "title": one.spec.title,
        "method": one.spec.method,
        "digest": one.status.code,
        "parts": [part.to_wire() for part in one.spec.parts],
        "hyperparameters": one.status.final or one.status.best,
        "score": one.status.score,
    }


def _figures(one: Comparison) -> dict[str, Any]:
    return {
        "metric": one.metric,
        "winner": one.candidate_value,
        "baseline": one.reference_value,
        "difference": one.difference,
        "low": one.low,
        "high": one.high,
        "level": one.level,
        "p": one.p,
        "pSignFlip": one.p_sign_flip,
        "freshSeeds": one.fresh_seeds,
        "holds": one.holds,
        "candidate": one.candidate,
        "reference": one.reference,
    }
