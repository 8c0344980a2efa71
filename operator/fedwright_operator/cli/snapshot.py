"""What a screen shows of a running request: one moment, and the figures that follow from it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.request import FLStrategyRequest
from fedwright_operator.cli.columns import figure, reason


@dataclass(frozen=True)
class Activity:
    """A work in flight."""

    kind: str
    whose: str
    seconds: float
    progress: str


@dataclass(frozen=True)
class Snapshot:
    request: FLStrategyRequest
    candidates: Sequence[Candidate]
    deployment: Deployment | None
    running: Sequence[Activity]
    seconds: float
    """Since the request began, over all the processes that drove it."""

    @property
    def phase(self) -> str:
        why = reason(self.request.status.conditions)
        phase = str(self.request.status.phase)
        return phase if why in {"", phase} else f"{phase} ({why})"

    @property
    def best(self) -> str:
        """The best score so far and whose it is."""
        status = self.request.status
        return f"{figure(status.best_score)} {status.best_candidate}" if status.best_candidate else "none yet"

    @property
    def budgets(self) -> str:
        """What is used and what is left."""
        spec, spent = self.request.spec.budgets, self.request.status.spent
        left = max(0.0, spec.wall_seconds - self.seconds)
        parts = [
            f"{clock(self.seconds)} used, {clock(left)} left",
            f"{spent.simulated_rounds}/{spec.simulated_rounds} rounds",
            f"{spent.works} works",
        ]
        if spec.tokens:
            parts.append(f"{spent.tokens}/{spec.tokens} tokens")
        return " · ".join(parts)

    @property
    def rollout(self) -> str:
        """How far the deployment is; nothing before there is one."""
        if self.deployment is None:
            return ""
        spec, status = self.deployment.spec, self.deployment.status
        accuracy = f", accuracy {figure(status.accuracy)}" if status.accuracy is not None else ""
        return f"{status.phase}, round {status.round} of {spec.rounds}{accuracy}"


def score(candidate: Candidate) -> float | None:
    """At full length, else of the first rung."""
    status = candidate.status
    return status.score if status.score is not None else status.first_rung_score


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"
