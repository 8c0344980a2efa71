"""The columns of each kind, as its CRD's printer columns: pure, from a resource to words."""

from datetime import datetime

from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.federation import Federation
from fedwright_crds.meta import Condition
from fedwright_crds.request import FLStrategyRequest
from fedwright_operator.shell.kinds import AnyResource

Row = dict[str, str]


def row(resource: AnyResource, now: datetime, *, wide: bool) -> Row:
    """Column headings and values, in their order."""
    meta = resource.metadata
    narrow = {
        "NAME": meta.name,
        "PHASE": _phase(resource),
        **_middle(resource),
        "AGE": age(meta.creation_timestamp, now),
    }
    return {**narrow, **_wide(resource), "REASON": reason(resource.status.conditions)} if wide else narrow


def reason(conditions: tuple[Condition, ...]) -> str:
    """Of the condition that says most now: the end, a pause, else the last."""
    by_type = {one.type: one for one in conditions}
    for name in ("Finished", "Paused"):
        if name in by_type and by_type[name].status == "True":
            return by_type[name].reason
    return conditions[-1].reason if conditions else ""


def age(created: str | None, now: datetime) -> str:
    """As kubectl says it: the one or two greatest units."""
    if created is None:
        return ""
    seconds = max(0, int((now - datetime.fromisoformat(created)).total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 7200:
        return f"{seconds // 60}m{seconds % 60}s" if seconds < 600 else f"{seconds // 60}m"
    return f"{seconds // 3600}h" if seconds < 172800 else f"{seconds // 86400}d"


def figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _phase(resource: AnyResource) -> str:
    return "Terminating" if resource.metadata.deletion_timestamp else str(resource.status.phase)


def _middle(resource: AnyResource) -> Row:
    match resource:
        case FLStrategyRequest(status=status):
            return {
                "CANDIDATES": f"{status.candidates_finished}/{status.candidates}",
                "BEST": figure(status.best_score),
                "WINNER": status.winner,
            }
        case Candidate(spec=spec, status=status):
            best = status.score if status.score is not None else status.first_rung_score
            return {"ORIGIN": str(spec.origin), "SCORE": figure(best), "TRIALS": str(len(status.trials))}
        case Federation(status=status):
            return {"NODES": f"{status.nodes_connected}/{status.nodes_wanted}", "ADDRESS": status.address}
        case Deployment(spec=spec, status=status):
            return {
                "FEDERATION": spec.federation,
                "ROUND": f"{status.round}/{spec.rounds}",
                "ACCURACY": figure(status.accuracy),
            }


def _wide(resource: AnyResource) -> Row:
    match resource:
        case FLStrategyRequest(status=status):
            spent = status.spent
            return {
                "GENERATION": str(status.generation),
                "ROUNDS": str(spent.simulated_rounds),
                "WORKS": str(spent.works),
                "TOKENS": str(spent.tokens),
            }
        case Candidate(spec=spec, status=status):
            return {"METHOD": spec.method, "ATTEMPTS": str(len(status.attempts)), "TITLE": spec.title}
        case Federation(status=status):
            return {"CERTIFICATE": status.certificate_expires_at}
        case Deployment(status=status):
            return {"RUN": status.run, "RESTARTS": str(status.restarts)}
