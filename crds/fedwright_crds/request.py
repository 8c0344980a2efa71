"""FLStrategyRequest: what a person wants, how it is judged, who approves, and how far the search has come."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fedwright_crds.base import Digest, Line, Name, Strict, Text, Word
from fedwright_crds.meta import Condition, Resource, Spent
from fedwright_crds.task import Metric, ModelSpec, Scope, Task, measurable
from fedwright_crds.work import BoxKind


class Objective(Strict):
    metric: Metric = Metric.ACCURACY
    scope: Scope = Scope.GLOBAL
    target_accuracy: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="For RoundsToTarget: the accuracy to reach."
    )


class Constraint(Strict):
    """The winner must not be worse than tuned FedAvg by more than the margin, in the metric's own unit."""

    metric: Metric
    scope: Scope = Scope.GLOBAL
    margin: Annotated[float, Field(ge=0)] = Field(
        description="Greatest loss that is still acceptable, in the metric's unit (0.01 accuracy is one point)."
    )


class PrivacyUnit(StrEnum):
    CLIENT = "Client"
    EXAMPLE = "Example"


class Privacy(Strict):
    """Differential privacy that the platform enforces around every candidate's update."""

    unit: PrivacyUnit = PrivacyUnit.CLIENT
    epsilon: Annotated[float, Field(gt=0, le=1000)]
    delta: Annotated[float, Field(gt=0, lt=1)]
    clip_norm: Annotated[float, Field(gt=0, le=1e6)] = 1.0


class SeedCandidate(Strict):
    """A candidate that the request names itself, beside those that the planner finds."""

    name: Annotated[Name, Field(max_length=40)]
    method: Word
    hyperparameters: Annotated[dict[str, float], Field(max_length=32)] = Field(default_factory=dict)
    """Fixed values; what is not named is tuned."""
    salt: Annotated[int, Field(ge=0, le=2**31)] = 0
    """Changes the order of the batches and nothing else."""


class Search(Strict):
    proposals: Annotated[
        int, Field(ge=0, le=64, description="Variants that the reflector proposes in a generation.")
    ] = 4
    top_k: Annotated[
        int, Field(ge=1, le=16, description="Proposals that the committee lets through in a generation.")
    ] = 2
    generations: Annotated[int, Field(ge=0, le=16)] = 1
    plateau: Annotated[
        int,
        Field(ge=1, le=16, description="Generations without a better selection score that end the search."),
    ] = 1
    catalogue_methods: Annotated[
        int,
        Field(ge=0, le=16, description="Methods of the catalogue that are tuned as baselines beside FedAvg."),
    ] = 2
    candidates: Annotated[tuple[SeedCandidate, ...], Field(max_length=16)] = ()
    plan_candidates: Annotated[
        int, Field(ge=0, le=16, description="Compositions that the planner starts with.")
    ] = 2
    trials: Annotated[
        int, Field(ge=1, le=256, description="Hyperparameter trials of each candidate and baseline.")
    ] = 6
    debug_attempts: Annotated[int, Field(ge=0, le=32)] = 4
    parallel: Annotated[int, Field(ge=1, le=64, description="Units of work at one time.")] = 2


class Judging(Strict):
    selection_seeds: Annotated[
        int, Field(ge=1, le=32, description="Seeds of the full-length judgement on the selection split.")
    ] = 2
    fresh_seeds: Annotated[
        int, Field(ge=10, le=200, description="Seeds of the final test on which nothing was selected.")
    ] = 10
    level: Annotated[float, Field(gt=0, le=0.2, description="Greatest chance of a false winner.")] = 0.05
    first_rung: Annotated[
        float, Field(ge=0.25, le=1, description="Share of the rounds of a first judgement.")
    ] = 0.25
    cascade: bool = Field(default=True, description="False judges every candidate in full.")
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0


class Review(Strict):
    members: Annotated[int, Field(ge=1, le=9)] = 3
    criteria: Annotated[tuple[Line, ...], Field(max_length=8)] = ()
    """The request's own dimensions, beside novelty, correctness and testability."""


class Consent(StrEnum):
    AUTOMATIC = "Automatic"
    REQUIRED = "Required"


class Interaction(Strict):
    """Who decides. The default stops for a person at each pause."""

    questions: Consent = Consent.REQUIRED
    plan: Consent = Consent.REQUIRED
    promotion: Consent = Consent.REQUIRED


class Budgets(Strict):
    candidates: Annotated[int, Field(ge=1, le=1000)] = 16
    simulated_rounds: Annotated[
        int, Field(ge=1, le=10**9, description="Rounds times works, over the whole request.")
    ] = 100_000
    wall_seconds: Annotated[int, Field(ge=10, le=10**7)] = 3600
    tokens: Annotated[int, Field(ge=0, le=10**10)] = 0
    money_usd: Annotated[float, Field(ge=0, le=1e7)] = 0.0


class Minds(Strict):
    """The model profile behind each role, by name; `catalogue` needs no model and no key."""

    planner: Word = "catalogue"
    coder: Word = "catalogue"
    debugger: Word = "catalogue"
    reflector: Word = "catalogue"
    tuner: Word = "catalogue"
    reviewers: Annotated[tuple[Word, ...], Field(max_length=9)] = ()
    """Empty: the catalogue's own reviewers."""


class DeploymentTemplate(Strict):
    enabled: bool = True
    federation: Name | None = Field(
        default=None, description="A Federation that exists; absent: one is made for this request."
    )
    nodes: Annotated[int, Field(ge=2, le=1000)] = 3
    rounds: Annotated[int, Field(ge=1, le=2000)] = 10


class Answer(Strict):
    question: Word
    answer: Line


class Stage(StrEnum):
    PLAN = "Plan"
    PROMOTION = "Promotion"


class Approval(Strict):
    """A person's word on one plan or winner, named by its digest, so that nothing else can slip under it."""

    stage: Stage
    digest: Digest
    approved: bool
    reason: Line = ""


class RequestSpec(Strict):
    goal: Annotated[Text, Field(min_length=1, description="What is wanted, in plain words.")]
    task: Task
    model: ModelSpec | None = None
    objective: Objective = Objective()
    constraints: Annotated[tuple[Constraint, ...], Field(max_length=8)] = ()
    privacy: Privacy | None = None
    search: Search = Search()
    judging: Judging = Judging()
    review: Review = Review()
    minds: Minds = Minds()
    budgets: Budgets = Budgets()
    interaction: Interaction = Interaction()
    deployment: DeploymentTemplate = DeploymentTemplate()
    # A person's intent; everything above is immutable once planning has begun, save budgets, which may grow.
    answers: Annotated[tuple[Answer, ...], Field(max_length=32)] = ()
    approvals: Annotated[tuple[Approval, ...], Field(max_length=32)] = ()
    abort: bool = False
    retry_token: Line = ""

    @model_validator(mode="after")
    def _objective_is_measurable(self) -> Self:
        for where, metric in [
            ("objective.metric", self.objective.metric),
            *((f"constraints[{i}].metric", c.metric) for i, c in enumerate(self.constraints)),
        ]:
            if problem := measurable(self.task, metric):
                raise ValueError(f"{where}: {problem}")
        if (self.objective.metric is Metric.ROUNDS_TO_TARGET) != (self.objective.target_accuracy is not None):
            raise ValueError(
                "objective.targetAccuracy is given exactly when objective.metric is RoundsToTarget; set both or neither"
            )
        return self

    @model_validator(mode="after")
    def _budget_holds_one_candidate(self) -> Self:
        need = (
            1
            + self.search.catalogue_methods
            + len(self.search.candidates)
            + max(1, self.search.plan_candidates if not self.search.candidates else 0)
        )
        if self.budgets.candidates < min(need, 2):
            raise ValueError(
                f"budgets.candidates is {self.budgets.candidates}, too small for FedAvg and one candidate; raise it to at least 2"
            )
        least = self.task.training.rounds * (2 * self.search.trials + 2 * self.judging.fresh_seeds)
        if self.budgets.simulated_rounds < least:
            raise ValueError(
                f"budgets.simulatedRounds is {self.budgets.simulated_rounds}, too small for one candidate beside FedAvg; raise it to at least {least}"
            )
        return self


class RequestPhase(StrEnum):
    PENDING = "Pending"
    PLANNING = "Planning"
    AWAITING_ANSWERS = "AwaitingAnswers"
    AWAITING_APPROVAL = "AwaitingApproval"
    EXPLORING = "Exploring"
    SELECTING = "Selecting"
    AWAITING_PROMOTION = "AwaitingPromotion"
    DEPLOYING = "Deploying"
    SUCCEEDED = "Succeeded"
    NO_IMPROVEMENT = "NoImprovement"
    FAILED = "Failed"

    @property
    def terminal(self) -> bool:
        return self in {RequestPhase.SUCCEEDED, RequestPhase.NO_IMPROVEMENT, RequestPhase.FAILED}

    @property
    def waiting(self) -> bool:
        return self in {
            RequestPhase.AWAITING_ANSWERS,
            RequestPhase.AWAITING_APPROVAL,
            RequestPhase.AWAITING_PROMOTION,
        }


class Question(Strict):
    id: Word
    text: Line
    options: Annotated[tuple[Line, ...], Field(max_length=16)] = ()
    default: Line


class RequestStatus(Strict):
    phase: RequestPhase = RequestPhase.PENDING
    observed_generation: Annotated[int, Field(ge=0)] = 0
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    images: Annotated[dict[BoxKind, Digest], Field(max_length=8)] = Field(default_factory=dict)
    """Pinned at the first reconcile."""
    frozen_spec: Digest | None = None
    """Digest of the immutable part of the spec, once planning has begun."""
    questions: Annotated[tuple[Question, ...], Field(max_length=32)] = ()
    plan: Digest | None = None
    decision: Digest | None = None
    package: Digest | None = None
    report: Digest | None = None
    winner: Line = ""
    best_candidate: Line = ""
    best_score: float | None = None
    generation: Annotated[int, Field(ge=0)] = 0
    candidates: Annotated[int, Field(ge=0)] = 0
    candidates_finished: Annotated[int, Field(ge=0)] = 0
    spent: Spent = Spent()
    retries: Annotated[int, Field(ge=0)] = 0
    retry_token: Line = ""
    """The last retryToken that was taken up."""
    started_at: Line | None = None
    finished_at: Line | None = None


class FLStrategyRequest(Resource):
    """A request for a federated-learning strategy."""

    kind: Literal["FLStrategyRequest"] = "FLStrategyRequest"
    spec: RequestSpec
    status: RequestStatus = RequestStatus()
