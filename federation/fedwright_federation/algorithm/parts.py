"""The parts that a strategy is composed of: twelve slots, in the order in which a round meets them.

A part is a frozen dataclass of hyperparameters that subclasses its slot's protocol, and so inherits what is neutral. Parts
never keep state in themselves: what they remember is handed to them and taken back, so that a round can be repeated,
moved to another process, or resumed from a checkpoint. Updates are always *after minus before*, in the global frame.

A part declares `features` (what it is, which rules of legality speak of), `needs` (what the model must be capable of) and
`cohort` (whether it accepts the leading axis of many clients at once; if any client-side part does not, clients run one
by one). Server-side parts see trainable keys only: running statistics always follow the plain average.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fedwright_federation.algorithm.model import Model, Out, Role, Tensors
from fedwright_federation.algorithm.tree import Array, Arrays, Frame, Mask, Named, Tree


class Part(Protocol):
    """What every part says of itself."""

    @property
    def features(self) -> frozenset[str]:
        return frozenset()

    @property
    def needs(self) -> frozenset[str]:
        return frozenset()

    @property
    def cohort(self) -> bool:
        return False


# -- what parts are told ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Training:
    """What all strategies of one comparison share. One of `steps` and `epochs` says how long a local update is."""

    rounds: int
    participation: float = 1.0
    epochs: float | None = None
    steps: int | None = None
    batch_size: int = 16
    weight_decay: float = 0.0
    """The local objective is the loss + weight_decay/2 ||w||^2, over all trainable keys."""


@dataclass(frozen=True)
class ClientInfo:
    """What the server may know of a client."""

    id: int
    samples: int
    steps_per_second: float = 50.0
    upload_bytes_per_second: float = 262144.0
    download_bytes_per_second: float = 1048576.0
    capability: float = 1.0
    """Share of the full model that the device can train, in (0, 1]."""


@dataclass(frozen=True)
class Round:
    """Where we are. `number` counts from 1 to `total`; `population` is the number of all clients, not of the cohort's."""

    number: int
    total: int
    population: int
    training: Training
    model: Model
    stream: Callable[[str, int], np.random.Generator]
    """`stream(purpose, client)`: a fresh generator that depends on the seed, purpose, round and client alone."""

    @property
    def progress(self) -> float:
        """From 0 in the first round to 1 in the last."""
        return (self.number - 1) / max(1, self.total - 1)


# -- what passes between parts ----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Phase:
    """A stretch of local steps on the keys of some roles, or of all where `roles` is None."""

    steps: int
    lr_factor: float = 1.0
    roles: frozenset[Role] | None = None


@dataclass(frozen=True)
class LocalPlan:
    """One client's work in one round. `scalars` reach every loss and gradient term by name."""

    phases: tuple[Phase, ...]
    scalars: Mapping[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def within(self, budget: int) -> "LocalPlan":
        """The plan's first `budget` steps: what a slow device still manages."""
        kept, left = [], budget
        for phase in self.phases:
            kept.append(replace(phase, steps=min(phase.steps, left)))
            left -= kept[-1].steps
        return replace(self, phases=tuple(kept))


@dataclass(frozen=True)
class Start:
    """What a client begins a round with: all local keys. `shared` names the trainable ones that will travel."""

    weights: Tree
    shared: frozenset[str]


@dataclass(frozen=True)
class LocalOutcome:
    """What the local update left, in the client's own frame."""

    weights: Tree
    """All local keys, private ones and statistics included."""
    update: Tree
    """Shared trainable keys, after minus before."""
    statistics: Tree
    """Shared running statistics, after minus before."""
    samples: int
    steps: int
    travel: float
    """How far a constant unit gradient would have moved a weight that travels: lr * ||a||_1 of FedNova, lr * steps for
    plain SGD. Phases that move nothing but private keys do not count."""
    loss: float
    """Mean over the steps of the whole local objective's value, weight decay apart."""
    measured: Named = field(default_factory=dict)
    """What probes found, and what a local update of another kind made, by name."""


@dataclass(frozen=True)
class Report:
    """One client's upload as the server's parts see it: decoded, and lifted to the global frame."""

    client: int
    samples: int
    steps: int
    travel: float
    update: Tree
    mask: Mask | None = None
    payload: Named = field(default_factory=dict)


@dataclass(frozen=True)
class Weights:
    """`share`, [m]: how much each client counts, up to a common factor. `scale`, [m]: what its update is multiplied by."""

    share: NDArray[np.float64]
    scale: NDArray[np.float64]


@dataclass(frozen=True)
class Aggregate:
    """What a server optimizer steps along."""

    update: Tree
    """The combined update, zero where no client of the cohort holds the coordinate."""
    clients: float
    """The cohort's size; under privacy of clients the expected one, since the true one tells who came."""
    population: int
    reduced: Named = field(default_factory=dict)
    """Payloads after their reducers."""
    holders: Mapping[str, tuple[Array, Array]] | None = None
    """With sub-models: for each key how many of the cohort, and of the population, hold each coordinate."""

    def share(self, key: str) -> Array | float:
        """The cohort's fraction of those clients that hold each coordinate: |S|/N where all hold all."""
        if self.holders is None:
            return self.clients / self.population
        cohort, everyone = self.holders[key]
        return np.asarray(cohort / np.maximum(everyone, 1), dtype=np.float32)


class Step:
    """Everything a loss or gradient term may look at in one local step. Tensors may carry the cohort axis, all alike."""

    __slots__ = ("model", "out", "present", "published", "scalars", "start", "state", "trained", "weights", "x", "y")

    model: Model
    weights: Tensors
    """Current local weights."""
    start: Tensors
    """The weights that the round began with: the downloaded model, and the client's private keys."""
    state: dict[str, Tensors]
    """The client's own state, by the names that its `ClientState` parts use."""
    published: dict[str, Tensors]
    """What the server publishes beside the model."""
    scalars: Mapping[str, Tensor]
    """The plan's scalars, each [] or [K]."""
    present: Tensor
    """[C], whether the client holds samples of each class; true of all where steps are private by example."""
    trained: tuple[str, ...]
    """The keys that this phase moves."""
    x: Tensor
    y: Tensor
    out: Out
    """The forward pass of `weights` on `x`."""


# -- 1 to 4: before the local update ----------------------------------------------------------------------------------
class Selection(Part, Protocol):
    """Who takes part."""

    def select(self, pool: Sequence[ClientInfo], round: Round) -> list[int]:
        """Ids of the cohort, out of the clients that are available now; may be empty."""
        ...


class Schedule(Part, Protocol):
    """How much work each client does. A pure function: server and client both compute it."""

    @property
    def partial(self) -> bool:
        """Whether a client that would miss the deadline does what it can (FedProx) instead of being dropped."""
        return False

    def plan(self, client: ClientInfo, round: Round) -> LocalPlan: ...


class View(Part, Protocol):
    """What of the model a client sees: another architecture, fewer coordinates, keys of its own."""

    def model(self, base: Model) -> Model:
        """The model that this strategy trains where the request asks for `base`."""
        return base

    def shared(self, key: str, role: Role) -> bool:
        """Whether a key travels. What does not is the client's own: kept between rounds, never seen by the server."""
        del key, role
        return True

    def frame(self, client: ClientInfo, like: Tree, round: Round) -> Frame | None:
        """The sub-model of this client out of a model with the shapes of `like`; None for all of it."""
        del client, like, round
        return None


class Codec(Part, Protocol):
    """How an update becomes a message. Bytes are counted from what `encode` returns."""

    def encode(self, update: Tree, memory: Tree, rng: np.random.Generator, round: Round) -> tuple[Arrays, Tree]:
        """The message, and what to remember for this sender's next one (error feedback; empty if there is none)."""
        ...

    def decode(self, message: Arrays, like: Tree, round: Round) -> Tree:
        """The update; `like` has the shapes that both sides know."""
        ...


# -- 5 to 8: the client -----------------------------------------------------------------------------------------------
class LossTerm(Part, Protocol):
    """A summand of the local objective."""

    def __call__(self, step: Step) -> Tensor:
        """Shape [], or [K] with the cohort axis: the mean over the last batch axis alone."""
        ...


class GradientTerm(Part, Protocol):
    """A summand of the local step's direction, added to the gradient of the objective."""

    @property
    def contraction(self) -> float:
        """mu where the term holds mu * (w - start); it shortens `travel`."""
        return 0.0

    def __call__(self, step: Step) -> Tensors:
        """For some of `step.trained`, tensors of their shapes."""
        ...


class Walk(Protocol):
    """Consecutive steps of one phase that the same clients make. Gradients come with all terms, clipped and noised where
    privacy asks for it."""

    steps: int
    lr_factor: float
    weights: list[Tensor]
    """The trained tensors, to be moved in place."""

    def gradients(self) -> list[Tensor]:
        """The direction at the present weights on the next batch, aligned with `weights`. Do not write into it."""
        ...

    def buffers(self, name: str) -> list[Tensor]:
        """Tensors like `weights` that are zero when the phase begins, for momentum and the like."""
        ...


class LocalJob(Protocol):
    """A local update to be done. `x` [n, ...] and `y` [n] are there for updates that do not walk along gradients."""

    model: Model
    weights: Tensors
    x: Tensor
    y: Tensor
    rng: np.random.Generator

    def walks(self) -> Iterator[Walk]: ...


class LocalUpdate(Part, Protocol):
    """How a client moves its weights."""

    def run(self, job: LocalJob) -> Named:
        """Move `job.weights` in place. What is returned joins `LocalOutcome.measured`, if the update makes something else."""
        ...

    def travel(self, plan: LocalPlan, contraction: float) -> float:
        """See `LocalOutcome.travel`. Zero where the update is no fixed linear function of the gradients."""
        del plan, contraction
        return 0.0


class Probe(Part, Protocol):
    """A measurement that a client takes before or after its local update."""

    @property
    def name(self) -> str: ...

    @property
    def when(self) -> Literal["start", "end"]:
        return "end"

    def due(self, round: Round) -> bool:
        del round
        return True

    def measure(self, model: Model, weights: Tensors, x: Tensor, y: Tensor) -> Tree:
        """x [n, ...], y [n]: all of the client's samples. No cohort axis."""
        ...


Reducer: TypeAlias = Literal["sum", "mean", "concat", "each"]
"""How payloads of one name become one tree; `each` keeps them apart, for weightings and combiners to read."""


class ClientState(Part, Protocol):
    """What a client remembers from its last participation to the next, and what it sends beside its update.

    The platform keeps it by client id and hands it back; a dropped client's state stays as it was.
    """

    @property
    def payloads(self) -> Mapping[str, Reducer]:
        """The names that `update` may send, each with its reducer."""
        return {}

    def begin(self, start: Start, round: Round) -> Named:
        """The state before a client's first participation."""
        del start, round
        return {}

    def update(
        self, state: Named, start: Start, published: Named, outcome: LocalOutcome, round: Round
    ) -> tuple[Named, Named]:
        """The state to keep, and the payload. `state` is what this part's `begin` or last `update` returned."""
        ...


# -- 9 to 12: the server ----------------------------------------------------------------------------------------------
class Weighting(Part, Protocol):
    """How much each client counts."""

    def start(self, round: Round) -> Named:
        del round
        return {}

    def weigh(self, reports: Sequence[Report], state: Named, round: Round) -> tuple[Weights, Named]: ...


class Combiner(Part, Protocol):
    """How updates become one."""

    def combine(self, reports: Sequence[Report], share: NDArray[np.float64], round: Round) -> Tree:
        """Updates come scaled. A coordinate that nobody holds must be zero."""
        ...


class ServerOptimizer(Part, Protocol):
    """How the global model moves along the combined update."""

    def start(self, x: Tree, shared: frozenset[str]) -> Named:
        """State before round 1; `shared` names the trainable keys that travel, the only ones that `step` is given."""
        del x, shared
        return {}

    def publish(self, state: Named) -> Named:
        """Trees over shared keys that every download carries beside the model, cut to the client's frame like it."""
        del state
        return {}

    def step(self, x: Tree, aggregate: Aggregate, state: Named, round: Round) -> tuple[Tree, Named]:
        """The next global model and state. `x` holds the shared trainable keys."""
        ...


class Finish(Part, Protocol):
    """What the server does after its step, on the whole global model."""

    def finish(self, x: Tree, aggregate: Aggregate, round: Round) -> Tree: ...


class Evaluation(Part, Protocol):
    """Which model is judged; never changes any state."""

    @property
    def personal(self) -> bool:
        """Whether each client is judged by a model of its own even where no key is private."""
        return False

    def published(self, x: Tree, state: Named) -> Tree:
        """The global model to judge. `state` is the server optimizer's."""
        del state
        return x

    def refresh(self, client: ClientInfo, round: Round) -> LocalPlan | None:
        """Local steps on the client's own training data before its personal model is judged; they change no state."""
        del client, round
        return None

    def logits(self, out: Out) -> Tensor:
        """What is predicted, [B, C], from an evaluation pass."""
        return out.logits
