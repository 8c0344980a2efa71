"""What programs read and write: the typed inputs and outputs of every unit of work.

Reconcilers build the inputs and validate the outputs; agents, benches and judges do the work between. Each document is one
JSON file of one model, an artifact by digest.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from fedwright_crds.base import Digest, Hyperparameters, Line, Name, Strict, Text, Word
from fedwright_crds.candidate import Origin, Part, Range, RoundAccuracy, TrialScore
from fedwright_crds.request import Answer, Constraint, Objective, Privacy, Question, RequestSpec
from fedwright_crds.task import Metric, ModelSpec, Scope, Task

FileName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]*\.py$", max_length=64)]
SourceText = Annotated[str, StringConstraints(max_length=128 * 1024)]


# -- what a mind spends -----------------------------------------------------------------------------------------------
class Usage(Strict):
    """What one mind work spent; nothing for the catalogue."""

    tokens: Annotated[int, Field(ge=0)] = 0
    money_usd: Annotated[float, Field(ge=0)] = 0.0
    calls: Annotated[int, Field(ge=0)] = 0


# -- inspect (judge) --------------------------------------------------------------------------------------------------
class DataFacts(Strict):
    """What planning may know of the data: sizes and proportions, no row of it."""

    samples: int
    classes: int
    input_shape: tuple[int, ...]
    train_samples_per_client: tuple[int, ...]
    labels_per_client: tuple[int, ...]
    label_skew: float
    """Mean total-variation distance between a client's label distribution and that of all; 0 is IID, near 1 one label each."""
    feature_shift: float
    """Mean distance of a client's feature means from the mean of all, in standard deviations."""
    local_tests: bool = True


class Problem(Strict):
    """What in a request cannot be: the field, the reason, the mend. Written instead of the facts."""

    field: Line
    message: Text
    mend: Line


# -- plan (mind) ------------------------------------------------------------------------------------------------------
class PlanInput(Strict):
    request: Name
    spec: RequestSpec
    facts: DataFacts
    answers: tuple[Answer, ...] = ()


class Idea(Strict):
    """A candidate before it has a name: a recipe, what is changed in it, and what that should do."""

    title: Line
    method: Word
    parts: Annotated[tuple[Part, ...], Field(max_length=32)] = ()
    hyperparameters: Annotated[tuple[Range, ...], Field(max_length=32)] = ()
    fixed: Hyperparameters = Field(default_factory=dict)
    hypothesis: Text
    expected_effect: Line = ""
    source: Line = ""
    """Where it comes from: a paper, a tool's answer, an address."""
    parent: Name | None = None
    salt: int = 0


class Subtask(Strict):
    """A step of the roadmap: what is to be made, between what, and when it holds."""

    name: Word
    goal: Line
    interface: Line = ""
    validation: Line


class Plan(Strict):
    """What a person approves: the model, the baselines, the first candidates, the criteria, and why."""

    summary: Text
    model: ModelSpec
    baselines: Annotated[tuple[Idea, ...], Field(min_length=1, max_length=17)]
    """FedAvg first, then methods of the catalogue; all are tuned like candidates."""
    candidates: Annotated[tuple[Idea, ...], Field(max_length=32)]
    criteria: Annotated[tuple[Line, ...], Field(max_length=11)]
    subtasks: Annotated[tuple[Subtask, ...], Field(max_length=32)] = ()
    fallback: Text = ""
    sources: Annotated[tuple[Line, ...], Field(max_length=64)] = ()
    estimated_rounds: int = 0
    """Simulated rounds that the whole search is expected to take."""


class PlanOutput(Strict):
    """Either questions to the person or a plan."""

    questions: Annotated[tuple[Question, ...], Field(max_length=32)] = ()
    plan: Plan | None = None
    usage: Usage = Usage()


# -- code, test, debug ------------------------------------------------------------------------------------------------
class CandidateCode(Strict):
    """A candidate's source: `strategy.py` exports `build(hyperparameters) -> Strategy`; other modules and tests beside it."""

    files: Annotated[dict[FileName, SourceText], Field(min_length=1, max_length=32)]


class ParentCode(Strict):
    """What a candidate starts from."""

    title: Line
    parts: tuple[Part, ...] = ()
    code: CandidateCode
    failure: Text = ""
    """What its last draft failed by, where none passed."""


class CodeInput(Strict):
    title: Line
    method: Word
    parts: tuple[Part, ...] = ()
    hyperparameters: tuple[Range, ...] = ()
    fixed: Hyperparameters = Field(default_factory=dict)
    hypothesis: Text
    model: ModelSpec
    task: Task
    privacy: Privacy | None = None
    parent: ParentCode | None = None


class CodeOutput(Strict):
    code: CandidateCode | None = None
    cannot: Text = ""
    """Why there is no code, where there is none."""
    deviation: Line = ""
    """What the code does otherwise than was planned, and why, in its author's words."""
    usage: Usage = Usage()


class Contract(Strict):
    """What a candidate is tested against; it cannot edit this."""

    model: ModelSpec
    task: Task
    input_shape: tuple[int, ...]
    classes: int
    hyperparameters: Hyperparameters
    privacy: Privacy | None = None


class CheckFailure(Strict):
    check: Word
    """For example Syntax, Import, ForbiddenImport, Build, Legality, Shape, Finite, Determinism, Serialisation, OwnTests."""
    file: Line = ""
    line: int | None = None
    message: Text


class TestReport(Strict):
    passed: bool
    checks: tuple[Word, ...] = ()
    """Those that ran and held."""
    failures: Annotated[tuple[CheckFailure, ...], Field(max_length=32)] = ()
    features: tuple[Word, ...] = ()
    """What the composition declares of itself."""
    __test__ = False


class DebugInput(Strict):
    code_input: CodeInput
    code: CandidateCode
    report: TestReport
    attempt: int
    earlier: tuple[CheckFailure, ...] = ()
    """First failure of each earlier draft, oldest first."""
    left: Annotated[int, Field(ge=0)] = 0
    """Mends that are left after this one."""


# -- tune (mind) ------------------------------------------------------------------------------------------------------
class TuneInput(Strict):
    """The study is rebuilt from the finished trials each time: nothing is kept between calls."""

    hyperparameters: tuple[Range, ...]
    fixed: Hyperparameters = Field(default_factory=dict)
    finished: tuple[TrialScore, ...]
    higher_is_better: bool
    trials: int
    """How many to propose now."""
    seed: int


class TuneOutput(Strict):
    trials: tuple[Hyperparameters, ...]
    usage: Usage = Usage()


# -- judge ------------------------------------------------------------------------------------------------------------
class Split(StrEnum):
    SELECTION = "Selection"
    TEST = "Test"


class JudgeSpec(Strict):
    """One judged run: everything that decides its figures, seed included."""

    task: Task
    model: ModelSpec
    objective: Objective
    constraints: tuple[Constraint, ...] = ()
    privacy: Privacy | None = None
    hyperparameters: Hyperparameters = Field(default_factory=dict)
    salt: int = 0
    rounds: int
    seed: int
    split: Split
    evaluations: Annotated[int, Field(ge=1, le=64)] = 1
    """At how many evenly spaced rounds the model is evaluated; the last one is always among them."""
    probe: bool = False
    """Ask membership probes beside the test inputs."""
    sequential: bool = False
    """Client by client, as a federation computes it; else the whole cohort at once, equal to within rounding."""


class ServerFacts(Strict):
    """All that a simulated server is told of the data."""

    input_shape: Annotated[tuple[int, ...], Field(min_length=1, max_length=4)]
    classes: Annotated[int, Field(ge=2, le=100000)]
    samples: Annotated[tuple[int, ...], Field(min_length=1, max_length=1024)]
    """Each client's training samples in round 1."""


class CurvePoint(Strict):
    round: int
    accuracy: float
    client_accuracy: float
    upload_mebibytes: float
    simulated_seconds: float


class PrivacyProbe(Strict):
    """Membership inference on matched rows: each client's training rows against rows of the same client never trained on."""

    members: int
    auc: float
    auc_low: float
    auc_high: float
    tpr_at_1_fpr: float
    tpr_low: float
    tpr_high: float
    lookup_suspected: bool
    """Answers to members move far more under a small noise than answers to strangers."""


class Score(Strict):
    """What the judge says of one run. `metrics` holds every measurable metric, keyed `Metric/Scope`."""

    ok: bool
    reason: Line = ""
    metrics: dict[str, float] = Field(default_factory=dict)
    curve: tuple[CurvePoint, ...] = ()
    per_client: tuple[float, ...] = ()
    """Accuracy of each client, by id."""
    probe: PrivacyProbe | None = None
    constant: bool = False
    epsilon: float | None = None
    """Spent, where privacy is on."""
    largest_difference: float | None = None
    """Federated check: greatest absolute difference between pooled and process-per-client probabilities."""
    predictions: Digest | None = None

    def value(self, metric: Metric, scope: Scope) -> float | None:
        return self.metrics.get(f"{metric}/{scope}")


# -- reflect, review (mind) -------------------------------------------------------------------------------------------
class CandidateOutcome(Strict):
    """What became of a candidate, as minds may see it: figures of the selection split only."""

    name: Name
    title: Line
    origin: Origin
    method: Word
    parts: tuple[Part, ...] = ()
    hyperparameters: tuple[Range, ...] = ()
    fixed: Hyperparameters = Field(default_factory=dict)
    hypothesis: Text
    deviation: Line = ""
    phase: Word
    reason: Line = ""
    score: float | None = None
    measures: dict[str, float] = Field(default_factory=dict)
    curve: tuple[RoundAccuracy, ...] = ()
    best: Hyperparameters = Field(default_factory=dict)
    trials: tuple[TrialScore, ...] = ()


class ReflectInput(Strict):
    request: Name
    spec: RequestSpec
    facts: DataFacts
    plan: Plan
    generation: int
    proposals: int
    outcomes: tuple[CandidateOutcome, ...]


class ReflectOutput(Strict):
    critique: Text = ""
    proposals: tuple[Idea, ...] = ()
    usage: Usage = Usage()


class ReviewInput(Strict):
    """Proposals without their authors. `reviewer` and `seed` give each reviewer an order and a temperament of its own."""

    spec: RequestSpec
    facts: DataFacts
    criteria: tuple[Line, ...]
    proposals: tuple[Idea, ...]
    reviewer: int
    seed: int
    outcomes: tuple[CandidateOutcome, ...] = ()


class Grade(Strict):
    proposal: int
    dimension: Line
    score: Annotated[float, Field(ge=0, le=1)]
    reason: Line = ""
    reviewer: Annotated[int, Field(ge=0)] = 0
    """Which member of the committee; whoever reads the review writes it."""


class ReviewOutput(Strict):
    grades: tuple[Grade, ...]
    mode: Word = "Rule"
    """How scores came about: Rule, Logprobs, or Samples."""
    usage: Usage = Usage()


# -- decide (judge) ---------------------------------------------------------------------------------------------------
class Finalist(Strict):
    candidate: Name
    title: Line
    role: Literal["Baseline", "BestCatalogue", "Finalist"]
    hyperparameters: Hyperparameters
    scores: tuple[Score, ...]
    """One a fresh seed, in the same order for all."""
    federated: bool | None = None
    also_catalogue: bool = False


class DecideInput(Strict):
    objective: Objective
    constraints: tuple[Constraint, ...] = ()
    level: float
    finalists: Annotated[tuple[Finalist, ...], Field(min_length=1, max_length=4)]


class Comparison(Strict):
    """Paired over the fresh seeds: candidate minus reference, in the metric's unit, with a two-sided interval."""

    candidate: Name
    reference: Name
    metric: Line
    candidate_value: float
    reference_value: float
    difference: float
    low: float
    high: float
    level: float
    p: float
    """Of the paired t test, after Holm's correction over finalists: two-sided for the objective, one-sided for a margin.

    By sign flips where the differences do not vary. `holds` where it is at most `level`.
    """
    p_sign_flip: float
    fresh_seeds: int
    holds: bool
    margin: float | None = None
    """For a constraint; null for the objective, which must be superior."""


class Decision(Strict):
    winner: Name | None = None
    reason: Text
    baseline: Name
    best_catalogue: Name | None = None
    objective: tuple[Comparison, ...]
    """Each finalist against the baseline."""
    against_catalogue: Comparison | None = None
    constraints: tuple[Comparison, ...] = ()


# -- package, deploy --------------------------------------------------------------------------------------------------
class PackageInput(Strict):
    """Everything a deployed app needs to be the strategy that won."""

    name: Name
    title: Line
    request: Name
    task: Task
    model: ModelSpec
    hyperparameters: Hyperparameters
    salt: int = 0
    privacy: Privacy | None = None
    seed: int = 0
    rounds: int
    input_shape: tuple[int, ...]
    classes: int


class DeployInput(Strict):
    """What a deployment submits. The job names it across restarts: the same job resumes from its last checkpoint."""

    job: Line
    rounds: Annotated[int, Field(ge=1, le=2000)]


class RoundMetrics(Strict):
    round: int
    clients: int
    failures: int = 0
    accuracy: float | None = None
    """Mean over the nodes' own held-out rows, weighted by their number."""
    loss: float | None = None
    upload_bytes: int = 0
    download_bytes: int = 0
    seconds: float = 0.0


class DeploymentMetrics(Strict):
    run: Line
    rounds: tuple[RoundMetrics, ...] = ()
    model_digest: Line = ""
    restarts: int = 0


# -- report (judge) ---------------------------------------------------------------------------------------------------
class ReportCandidate(Strict):
    outcome: CandidateOutcome
    curves: tuple[tuple[CurvePoint, ...], ...] = ()
    """One a seed, of the split that was opened last for it."""
    per_client: tuple[float, ...] = ()
    probe: PrivacyProbe | None = None
    grades: tuple[Grade, ...] = ()


class ReportInput(Strict):
    request: Name
    spec: RequestSpec
    facts: DataFacts
    plan: Plan
    candidates: tuple[ReportCandidate, ...]
    decision: Decision | None = None
    verdict: Text
    """The last line, in words."""
    deployment: DeploymentMetrics | None = None
    judged_on: Line
    spent: dict[str, Any] = Field(default_factory=dict)
