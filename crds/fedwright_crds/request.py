"""FLStrategyRequest: what a person wants, how it is judged, who approves, and how far the search has come."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fedwright_crds.allowance import Limits
from fedwright_crds.base import LONGEST_LABEL, Digest, Hyperparameters, KeyedBy, Line, Name, Strict, Text, Word
from fedwright_crds.cluster import by_alias, cel, cluster_rules, same
from fedwright_crds.meta import Conditions, Resource, Spent
from fedwright_crds.task import Fraction, Metric, ModelSpec, Scope, Task, measurable
from fedwright_crds.work import BoxKind

CATALOGUE = "catalogue"
"""The mind that needs no model and no key."""


class Objective(Strict):
    metric: Metric = Metric.ACCURACY
    scope: Scope = Scope.GLOBAL
    target_accuracy: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="The accuracy to reach, where the objective or a constraint is RoundsToTarget."
    )


class Constraint(Strict):
    """The winner must not be worse than tuned FedAvg by more than the margin, in the metric's own unit."""

    metric: Metric
    scope: Scope = Scope.GLOBAL
    margin: Annotated[float, Field(ge=0, le=1e9)] = Field(
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
    hyperparameters: Hyperparameters = Field(default_factory=dict)
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
    candidates: Annotated[tuple[SeedCandidate, ...], Field(max_length=16), KeyedBy(("name",))] = ()
    plan_candidates: Annotated[int, Field(ge=0, le=16, description="Compositions that the planner starts with.")] = 2
    trials: Annotated[int, Field(ge=1, le=256, description="Hyperparameter trials of each candidate and baseline.")] = 6
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
    first_rung: Annotated[float, Field(ge=0.25, le=1, description="Share of the rounds of a first judgement.")] = 0.25
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
    tokens: Annotated[
        int, Field(ge=0, le=10**10, description="Of prompts and answers; 0 where no mind is a language model.")
    ] = 0
    money_usd: Annotated[float, Field(ge=0, le=1e7, description="0: no limit beside tokens.")] = 0.0
    calls: Annotated[int, Field(ge=0, le=10**9, description="Of models; 0: no limit beside tokens.")] = 0


class RoleLimits(Strict):
    """The most that a role may spend in this request, over all its works; absent fields have no limit of the role's own."""

    plan: Limits = Limits()
    code: Limits = Limits()
    debug: Limits = Limits()
    reflect: Limits = Limits()
    review: Limits = Limits()


class Minds(Strict):
    """The model profile behind each role, by name; `catalogue` needs no model and no key."""

    planner: Word = "catalogue"
    coder: Word = "catalogue"
    debugger: Word = "catalogue"
    reflector: Word = "catalogue"
    tuner: Word = "catalogue"
    reviewers: Annotated[tuple[Word, ...], Field(max_length=9)] = ()
    """Empty: the catalogue's own reviewers."""
    search: Word | None = Field(
        default=None, description="The search profile by which the planner may search the web; absent: it does not."
    )
    limits: RoleLimits = RoleLimits()

    @property
    def models(self) -> dict[str, str]:
        """Profiles of language models, by the field that names each."""
        named = {name: getattr(self, name) for name in ("planner", "coder", "debugger", "reflector", "tuner")}
        named |= {f"reviewers[{place}]": name for place, name in enumerate(self.reviewers)}
        return {field: profile for field, profile in named.items() if profile != CATALOGUE}


class DeploymentTemplate(Strict):
    enabled: bool = True
    federation: Name | None = Field(
        default=None, description="A Federation that exists; absent: one is made for this request."
    )
    nodes: Annotated[int, Field(ge=2, le=1000)] = 3
    rounds: Annotated[int, Field(ge=1, le=2000)] = 10
    participation: Fraction = Field(default=1.0, description="Share of the fleet's nodes in a round.")


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


MEMBERSHIP = frozenset({Metric.MEMBERSHIP_AUC, Metric.MEMBERSHIP_TPR})
"""Measured in the final alone: in the search, rows that no one trained on would be rows of the test split."""


def _unmeasurable(metrics: str, cannot: str, message: str) -> list[dict[str, str]]:
    """The objective and no constraint is one of these metrics while the task cannot measure it."""
    return [
        cel(f"!({cannot}) || !(self.objective.metric in {metrics})", message, "objective.metric"),
        cel(f"!({cannot}) || !self.constraints.exists(c, c.metric in {metrics})", message, "constraints"),
    ]


class RequestSpec(Strict):
    model_config = cluster_rules(
        *_unmeasurable(
            "['AverageAccuracy', 'Forgetting']",
            "!has(self.task.continual)",
            "AverageAccuracy and Forgetting need a continual task; set task.continual or choose another metric",
        ),
        *_unmeasurable(
            "['WorstTenthAccuracy']",
            "self.task.clients < 20",
            "WorstTenthAccuracy needs at least 20 clients; raise task.clients or choose Accuracy",
        ),
        *_unmeasurable(
            "['WorstHeadAccuracy']",
            "!has(self.task.heads) || size(self.task.heads) < 2",
            "WorstHeadAccuracy needs a task of several heads; give task.heads at least two or choose Accuracy",
        ),
        cel(
            "!(self.objective.metric in ['MembershipAuc', 'MembershipTpr'])",
            "objective.metric is measured in the final alone; make it a constraint, and choose another such as Accuracy",
            "objective.metric",
        ),
        cel(
            "(self.objective.metric == 'RoundsToTarget' || self.constraints.exists(c, c.metric == 'RoundsToTarget'))"
            " == has(self.objective.targetAccuracy)",
            "objective.targetAccuracy goes with the metric RoundsToTarget; set both or neither",
            "objective.targetAccuracy",
        ),
        cel(
            "!has(self.privacy) || self.privacy.unit != 'Example' || !has(self.model) || !self.model.batchNorm",
            "model.batchNorm mixes the examples of a batch, and privacy.unit is Example; set batchNorm to false",
            "model.batchNorm",
        ),
        cel(
            "self.budgets.candidates >= 2",
            "budgets.candidates is too small for FedAvg and one candidate; raise it to at least 2",
            "budgets.candidates",
        ),
        cel(
            "self.budgets.simulatedRounds >= self.task.training.rounds"
            " * (2 * self.search.trials + 2 * self.judging.freshSeeds)",
            "budgets.simulatedRounds is too small for one candidate beside FedAvg; it needs"
            " task.training.rounds x 2 x (search.trials + judging.freshSeeds)",
            "budgets.simulatedRounds",
        ),
        cel(
            f"self.minds.tuner == '{CATALOGUE}'",
            f"minds.tuner names a model, but hyperparameters are searched by a sampler; write {CATALOGUE}",
            "minds.tuner",
        ),
        cel(
            "self.budgets.tokens > 0 || [self.minds.planner, self.minds.coder, self.minds.debugger,"
            f" self.minds.reflector].all(m, m == '{CATALOGUE}') && self.minds.reviewers.all(m, m == '{CATALOGUE}')",
            "budgets.tokens is 0 and a mind is a model; say how many tokens it may use",
            "budgets.tokens",
        ),
        cel(
            f"!has(self.minds.search) || self.minds.planner != '{CATALOGUE}'",
            f"minds.search goes with a model as planner, and minds.planner is {CATALOGUE}; name a model there, or remove search",
            "minds.search",
        ),
    )

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
    answers: Annotated[tuple[Answer, ...], Field(max_length=32), KeyedBy(("question",))] = ()
    approvals: Annotated[tuple[Approval, ...], Field(max_length=32), KeyedBy(("stage", "digest"))] = ()
    abort: bool = False
    retry_token: Line = ""

    @property
    def rung_rounds(self) -> int:
        """Rounds of a tuning trial: those of the first rung, or all where nothing is stopped early."""
        rounds = self.task.training.rounds
        if not self.judging.cascade:
            return rounds
        return max(2, -(-rounds * round(self.judging.first_rung * 1000) // 1000))

    @model_validator(mode="after")
    def _objective_is_measurable(self) -> Self:
        if self.objective.metric in MEMBERSHIP:
            raise ValueError(
                f"objective.metric is {self.objective.metric}, which the final alone measures; make it a constraint, and "
                "choose an objective that the search can follow, such as Accuracy"
            )
        for where, metric in [
            ("objective.metric", self.objective.metric),
            *((f"constraints[{i}].metric", c.metric) for i, c in enumerate(self.constraints)),
        ]:
            if problem := measurable(self.task, metric):
                raise ValueError(f"{where}: {problem}")
        return self

    @model_validator(mode="after")
    def _target_goes_with_its_metric(self) -> Self:
        metrics = {self.objective.metric, *(one.metric for one in self.constraints)}
        if (Metric.ROUNDS_TO_TARGET in metrics) != (self.objective.target_accuracy is not None):
            raise ValueError("objective.targetAccuracy goes with the metric RoundsToTarget; set both or neither")
        return self

    @model_validator(mode="after")
    def _no_batch_statistics_of_private_examples(self) -> Self:
        private = self.privacy is not None and self.privacy.unit is PrivacyUnit.EXAMPLE
        if private and self.model is not None and self.model.batch_norm:
            raise ValueError(
                "model.batchNorm is true: it mixes the examples of a batch, and privacy.unit is Example; set batchNorm to false"
            )
        return self

    @model_validator(mode="after")
    def _budget_holds_one_candidate(self) -> Self:
        if self.budgets.candidates < 2:
            raise ValueError(
                f"budgets.candidates is {self.budgets.candidates}, too small for FedAvg and one candidate; raise it to at least 2"
            )
        least = self.task.training.rounds * (2 * self.search.trials + 2 * self.judging.fresh_seeds)
        if self.budgets.simulated_rounds < least:
            raise ValueError(
                f"budgets.simulatedRounds is {self.budgets.simulated_rounds}, too small for one candidate beside FedAvg; "
                f"raise it to at least {least}"
            )
        return self

    @model_validator(mode="after")
    def _models_have_a_budget(self) -> Self:
        models = self.minds.models
        if self.minds.tuner != CATALOGUE:
            raise ValueError(
                f"minds.tuner is {self.minds.tuner}, but hyperparameters are searched by a sampler; write {CATALOGUE}"
            )
        if models and not self.budgets.tokens:
            field, profile = next(iter(models.items()))
            raise ValueError(f"budgets.tokens is 0, but minds.{field} is the model {profile}; say how many it may use")
        return self

    @model_validator(mode="after")
    def _models_alone_search_the_web(self) -> Self:
        if self.minds.search is not None and self.minds.planner == CATALOGUE:
            raise ValueError(
                f"minds.search is {self.minds.search}, but minds.planner is {CATALOGUE}, which searches nothing;"
                " name a model there, or remove search"
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
    conditions: Conditions = ()
    images: Annotated[dict[BoxKind, Digest], Field(max_length=8)] = Field(default_factory=dict)
    """Pinned at the first reconcile."""
    frozen_spec: Digest | None = None
    """Digest of the immutable part of the spec, once planning has begun."""
    lessons: Digest | None = None
    """What its planner may search of what earlier requests have taught, pinned at the first reconcile."""
    questions: Annotated[tuple[Question, ...], Field(max_length=32), KeyedBy(("id",))] = ()
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


INTENT = ("answers", "approvals", "abort", "retryToken", "budgets")
"""Fields of the spec that stay a person's to write once planning has begun; of these, budgets may only grow."""


def _once_planned(rule: str, message: str, field: str) -> dict[str, str]:
    return cel(f"!oldSelf.?status.?frozenSpec.hasValue() || {rule}", message, f"spec.{field}")


def _rules_once_planned() -> list[dict[str, str]]:
    """They stand at the root, since a rule of the spec cannot see the status."""
    kept = {
        "answers": "given.question == said.question",
        "approvals": "given.stage == said.stage && given.digest == said.digest",
    }
    return [
        *(
            _once_planned(
                same(name, field),
                f"spec.{name} cannot change once planning has begun; put it back, or apply the request under another name",
                name,
            )
            for name, field in by_alias(RequestSpec).items()
            if name not in INTENT
        ),
        *(
            _once_planned(
                f"self.spec.budgets.{name} >= oldSelf.spec.budgets.{name}",
                f"spec.budgets.{name} can only grow once planning has begun; raise it",
                f"budgets.{name}",
            )
            for name in by_alias(Budgets)
        ),
        *(
            _once_planned(
                f"oldSelf.spec.{name}.all(said, self.spec.{name}.exists(given, {key}))",
                f"spec.{name} can only be added to once planning has begun; put back what was removed",
                name,
            )
            for name, key in kept.items()
        ),
    ]


class FLStrategyRequest(Resource):
    """A request for a federated-learning strategy."""

    model_config = cluster_rules(
        cel(
            f"self.metadata.name.size() <= {LONGEST_LABEL}",
            f"metadata.name is a label of the request's candidates; shorten it to at most {LONGEST_LABEL} characters",
            "metadata.name",
        ),
        *_rules_once_planned(),
    )

    kind: Literal["FLStrategyRequest"] = "FLStrategyRequest"
    spec: RequestSpec
    status: RequestStatus = RequestStatus()

    @model_validator(mode="after")
    def _name_is_a_label(self) -> Self:
        if (length := len(self.metadata.name)) > LONGEST_LABEL:
            raise ValueError(
                f"metadata.name has {length} characters and is a label of the request's candidates; "
                f"shorten it to at most {LONGEST_LABEL}"
            )
        return self
