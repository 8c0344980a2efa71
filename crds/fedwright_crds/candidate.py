"""Candidate: one strategy under judgement."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from fedwright_crds.base import Digest, Hyperparameters, Line, Measures, Name, Strict, Text, Word
from fedwright_crds.cluster import cel, cluster_rules, unchanging
from fedwright_crds.meta import Conditions, Resource, Spent

Constrained = Annotated[dict[Annotated[str, Field(max_length=63)], float], Field(max_length=8)]
"""Values of the metrics that constraints name, keyed `Metric/Scope`."""


class Range(Strict):
    """Where a hyperparameter is searched: an interval, or a grid of values."""

    name: Word
    default: float
    low: float | None = None
    high: float | None = None
    log: bool = False
    grid: Annotated[tuple[float, ...], Field(max_length=64)] = ()
    """Values to try; empty means the interval from low to high."""


class Part(Strict):
    """One part of the composition: the slot that it fills, its name in the catalogue, why it is there."""

    slot: Word
    name: Word
    reason: Line = ""


class Origin(StrEnum):
    BASELINE = "Baseline"
    PLAN = "Plan"
    PROPOSAL = "Proposal"


class GrantStage(StrEnum):
    """How far the request lets a candidate go. It only grows, save that anything may be stopped."""

    PROPOSE = "Propose"
    EXPLORE = "Explore"
    """Write, test, debug, and the tuning trials of the first rung."""
    JUDGE = "Judge"
    """The full number of rounds on the selection split."""
    FINAL = "Final"
    """Once with a process per client, then the fresh seeds on the test split."""
    STOP = "Stop"


_REACH = str({str(stage): reach for reach, stage in enumerate(GrantStage)})


class Grant(Strict):
    model_config = cluster_rules(
        cel(
            f"{_REACH}[self.stage] >= {_REACH}[oldSelf.stage]",
            "a grant only grows or stops; name a later stage",
            "stage",
        )
    )

    stage: GrantStage = GrantStage.PROPOSE
    reason: Line = ""


class CandidateSpec(Strict):
    request: Name
    parent: Name | None = None
    origin: Origin
    generation: Annotated[int, Field(ge=0)] = 0
    method: Word
    """The catalogue's recipe that it starts from."""
    title: Line
    hypothesis: Text
    parts: Annotated[tuple[Part, ...], Field(max_length=32)] = ()
    """What it changes in that recipe."""
    hyperparameters: Annotated[tuple[Range, ...], Field(max_length=32)] = ()
    fixed: Hyperparameters = Field(default_factory=dict)
    salt: Annotated[int, Field(ge=0)] = 0
    grant: Grant = Grant()
    """The request's to write; everything else is immutable."""


class CandidatePhase(StrEnum):
    PROPOSED = "Proposed"
    NOT_SELECTED = "NotSelected"
    WRITING = "Writing"
    TESTING = "Testing"
    DEBUGGING = "Debugging"
    SIMULATING = "Simulating"
    SCORED = "Scored"
    REJECTED = "Rejected"
    """Its own fault: it does not work, breaks a rule, or is not federated."""
    FAILED = "Failed"
    """Ours: the platform could not judge it."""

    @property
    def terminal(self) -> bool:
        return self in {
            CandidatePhase.NOT_SELECTED,
            CandidatePhase.SCORED,
            CandidatePhase.REJECTED,
            CandidatePhase.FAILED,
        }


class Attempt(Strict):
    """One draft of the code."""

    number: Annotated[int, Field(ge=0)]
    code: Digest
    passed: bool | None = None
    failure: Text = ""


class TrialScore(Strict):
    """One judged run: the objective's value and the constrained metrics, as measured."""

    hyperparameters: Hyperparameters
    rounds: int
    seed: int
    value: float | None = None
    constrained: Constrained = Field(default_factory=dict)
    """Values of the request's constraints, keyed `Metric/Scope`."""
    failure: Line = ""


class RoundAccuracy(Strict):
    """Mean over the selection seeds after so many rounds, in the objective's scope."""

    round: Annotated[int, Field(ge=1)]
    accuracy: float


class CandidateStatus(Strict):
    phase: CandidatePhase = CandidatePhase.PROPOSED
    observed_generation: Annotated[int, Field(ge=0)] = 0
    conditions: Conditions = ()
    attempts: Annotated[tuple[Attempt, ...], Field(max_length=64)] = ()
    code: Digest | None = None
    """The draft that passed its tests."""
    deviation: Line = ""
    """What its code does otherwise than its hypothesis says, in its author's words."""
    trials: Annotated[tuple[TrialScore, ...], Field(max_length=512)] = ()
    best: Hyperparameters = Field(default_factory=dict)
    """Hyperparameters of the best trial so far."""
    final: Hyperparameters = Field(default_factory=dict)
    """Hyperparameters on the fresh seeds; FedAvg may take a finalist's where that serves it better."""
    first_rung_score: float | None = None
    """Mean of the best configuration's first-rung scores over the selection seeds."""
    first_rung_scores: Annotated[tuple[float, ...], Field(max_length=32)] = ()
    first_rung_constrained: Constrained = Field(default_factory=dict)
    score: float | None = None
    """Mean of the objective over the selection seeds at full length."""
    score_spread: float | None = None
    """Standard deviation over the selection seeds."""
    violation: Annotated[float, Field(ge=0)] = 0.0
    """By how much the constraints' margins are passed on the selection split, in margins; 0 is within all of them."""
    measures: Measures = Field(default_factory=dict)
    curve: Annotated[tuple[RoundAccuracy, ...], Field(max_length=8)] = ()
    """The way to the score: accuracy after a few evenly spaced rounds."""
    federated: bool | None = None
    """Whether a process per client, each with its own shard alone, gave the same answers; null until tried."""
    finals: Annotated[tuple[Digest, ...], Field(max_length=200)] = ()
    """Scores on the fresh seeds, in their order."""
    spent: Spent = Spent()


class Candidate(Resource):
    """One strategy: its composition, its code by digest, its scores."""

    model_config = cluster_rules(*unchanging(CandidateSpec, but=("grant",)))

    kind: Literal["Candidate"] = "Candidate"
    spec: CandidateSpec
    status: CandidateStatus = CandidateStatus()

    @property
    def settled(self) -> bool:
        """At an end of its own, or stopped for good. One that its request's end stopped goes on when that is tried again."""
        stopped = self.status.phase is CandidatePhase.NOT_SELECTED
        return self.status.phase.terminal and (not stopped or self.spec.grant.stage is GrantStage.STOP)
