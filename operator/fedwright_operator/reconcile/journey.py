"""What a pass over a candidate knows: the brief that all candidates share, and how far this one has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedwright_crds.base import Digest
from fedwright_crds.candidate import (
    Attempt,
    Candidate,
    CandidatePhase,
    CandidateSpec,
    GrantStage,
    RoundAccuracy,
    TrialScore,
)
from fedwright_crds.documents import DataFacts
from fedwright_crds.documents import Plan as SearchPlan
from fedwright_crds.request import RequestSpec
from fedwright_crds.work import BoxKind
from fedwright_operator.reconcile.desk import Desk

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
    parent: Candidate | None = None
    """The one that this one starts from; it had come to its end before this one was proposed."""
    rivals: tuple[Mapping[str, float], ...] = ()
    """For FedAvg alone: the hyperparameters of those that stand in the final with it."""

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
    deviations: list[str] = field(default_factory=list)
    trials: list[TrialScore] = field(default_factory=list)
    best: dict[str, float] = field(default_factory=dict)
    final: dict[str, float] = field(default_factory=dict)
    """Hyperparameters on the fresh seeds."""
    first_rung: list[TrialScore] = field(default_factory=list)
    full: list[TrialScore] = field(default_factory=list)
    violation: float = 0.0
    measures: dict[str, float] = field(default_factory=dict)
    curve: tuple[RoundAccuracy, ...] = ()
    federated: bool | None = None
    finals: tuple[Digest, ...] = ()
    judged: dict[str, int] = field(default_factory=dict)
    """Rounds of each finished judgement, by work id."""


class Ended(Exception):  # noqa: N818 - control flow of a pass
    """The candidate's way ends here."""

    def __init__(self, phase: CandidatePhase, reason: str, message: str) -> None:
        super().__init__(message)
        self.phase, self.reason = phase, reason


@dataclass(frozen=True)
class Pass:
    spec: CandidateSpec
    brief: Brief
    desk: Desk
    journey: Journey

    def granted(self, stage: GrantStage) -> bool:
        return ORDER.index(self.spec.grant.stage) >= ORDER.index(stage)
