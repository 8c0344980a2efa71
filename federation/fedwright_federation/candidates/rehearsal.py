"""A tiny federation for contract tests: a few clients with random samples of the task's shape, a few rounds.

It runs a strategy in the ways in which the platform may run it, so that their results can be compared. It knows nothing of
the task's data.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fedwright_crds.documents import Contract
from fedwright_federation.algorithm import (
    Array,
    Codec,
    GradientTerm,
    LossTerm,
    Model,
    Named,
    Part,
    Report,
    Round,
    Step,
    Strategy,
    Tensors,
    Training,
    Tree,
    Weighting,
    Weights,
)
from fedwright_federation.algorithm.tree import finite
from fedwright_federation.candidates.failures import CandidateError, failure
from fedwright_federation.heads import Heads
from fedwright_federation.simulation.client import Assignment, ClientRuntime
from fedwright_federation.simulation.clock import draw_devices
from fedwright_federation.simulation.engine import Executor, Simulation
from fedwright_federation.simulation.memory import ClientMemory
from fedwright_federation.simulation.messages import Download, Upload
from fedwright_federation.simulation.run import Checkpoint, RunSpec, Shard
from fedwright_federation.simulation.server import RoundReport, ServerRuntime

CLIENTS = 4
ROUNDS = 3
"""One more than two, so that a client which was left out comes back to its state."""
SAMPLES = 12
SEED = 20
GREATEST_SCALE = 1e4
"""Of an update, by a weighting."""

Build = Callable[[], Strategy]


@dataclass(frozen=True)
class Rehearsal:
    """What all runs of one candidate share."""

    model: Model
    shards: tuple[Shard, ...]
    run: RunSpec


@dataclass(frozen=True)
class Outcome:
    """What a run left: the global model, everyone's judged model, and each round's report."""

    x: Tree
    checkpoint: Checkpoint
    reports: tuple[RoundReport, ...]


def rehearsal(contract: Contract, model: Model, heads: Heads) -> Rehearsal:
    """Clients hold two labels each, on devices of the task's kind, and none has a deadline to miss."""
    asked = contract.task.training
    training = Training(
        ROUNDS, participation=0.75, steps=3, batch_size=min(asked.batch_size, 8), weight_decay=asked.weight_decay
    )
    devices = contract.task.devices.model_copy(update={"round_deadline_seconds": None})
    shards = tuple(_shard(contract, client, heads.count(client)) for client in range(CLIENTS))
    return Rehearsal(model, shards, RunSpec(training, CLIENTS, seed=SEED, devices=devices))


def _shard(contract: Contract, client: int, classes: int) -> Shard:
    rng = np.random.default_rng(np.random.SeedSequence([SEED, client]))
    x = rng.normal(size=(SAMPLES, *contract.input_shape)).astype(np.float32)
    y = (client + np.arange(SAMPLES) % 2) % classes
    return Shard(x, y.astype(np.int64))


def pooled(strategy: Strategy, given: Rehearsal, executor: Executor) -> Outcome:
    """All clients in one process. Raises CandidateError where a term or the server's step has another shape than it must."""
    simulation = Simulation(sound(strategy), given.model, given.shards, given.run, executor)
    initial, reports = dict(simulation.server.x), []
    for number in range(1, ROUNDS + 1):
        reports.append(simulation.step())
        require_sound(simulation.server.x, initial, number)
    return Outcome(dict(simulation.server.x), simulation.checkpoint(), tuple(reports))


def require_sound(x: Tree, initial: Tree, number: int) -> None:
    """The global model has the keys, shapes and dtype that it began with, and finite values."""
    if x.keys() != initial.keys():
        raise _fault(
            "Shape", f"after round {number} the global model has keys {sorted(x)}, and began with {sorted(initial)}"
        )
    for key, value in initial.items():
        if x[key].shape != value.shape:
            raise _fault("Shape", f"{key} has shape {x[key].shape} after round {number}, not {value.shape}")
        if x[key].dtype != np.float32:
            raise _fault("Dtype", f"{key} is {x[key].dtype} after round {number}; return float32")
    if not finite(x):
        raise _fault("Finite", f"after round {number} the global model has NaN or infinity; check signs and divisions")


def _fault(check: str, message: str) -> CandidateError:
    return CandidateError(failure(check, message))


def sound(strategy: Strategy) -> Strategy:
    """The strategy with its terms watched for the shapes of what they return, and its weighting for what it gives."""
    return replace(
        strategy,
        losses=tuple(_SoundLoss(term) for term in strategy.losses),
        gradients=tuple(_SoundGradient(term) for term in strategy.gradients),
        weighting=_SoundWeighting(strategy.weighting),
    )


@dataclass(frozen=True)
class _Watched(Part):
    """What a watched part says of itself is what the part says."""

    inner: Any

    @property
    def features(self) -> frozenset[str]:
        return frozenset(self.inner.features)

    @property
    def needs(self) -> frozenset[str]:
        return frozenset(self.inner.needs)

    @property
    def cohort(self) -> bool:
        return bool(self.inner.cohort)


@dataclass(frozen=True)
class _SoundLoss(_Watched, LossTerm):
    def __call__(self, step: Step) -> Tensor:
        value: Tensor = self.inner(step)
        wanted = step.y.shape[:-1]
        if not isinstance(value, Tensor) or value.shape != wanted:
            found = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            name = type(self.inner).__name__
            raise _fault(
                "Shape", f"{name} gave {found}, not {list(wanted)}; take the mean over the last batch axis alone"
            )
        return value


@dataclass(frozen=True)
class _SoundGradient(_Watched, GradientTerm):
    @property
    def contraction(self) -> float:
        return float(self.inner.contraction)

    def __call__(self, step: Step) -> Tensors:
        extra: Tensors = self.inner(step)
        name = type(self.inner).__name__
        for key, value in extra.items():
            if key not in step.trained:
                raise _fault("Shape", f"{name} gave {key}, which this phase does not train; give keys of step.trained")
            if value.shape != step.weights[key].shape:
                raise _fault(
                    "Shape", f"{name} gave {key} of size {list(value.shape)}, not {list(step.weights[key].shape)}"
                )
        return extra


@dataclass(frozen=True)
class _SoundWeighting(_Watched, Weighting):
    """Shares are not negative and sum to more than zero; scales are positive and bounded; one of each a report."""

    def start(self, round: Round) -> Named:
        state: Named = self.inner.start(round)
        return state

    def weigh(self, reports: Sequence[Report], state: Named, round: Round) -> tuple[Weights, Named]:
        weights, state = self.inner.weigh(reports, state, round)
        share, scale = np.asarray(weights.share), np.asarray(weights.scale)
        if share.shape != (len(reports),) or scale.shape != (len(reports),):
            raise _fault("Weights", f"{len(reports)} reports got shares {share.shape} and scales {scale.shape}")
        if not np.isfinite(share).all() or (share < 0).any() or share.sum() <= 0:
            raise _fault("Weights", f"shares {share.tolist()} must be at least 0 and sum to more than 0")
        if not np.isfinite(scale).all() or (scale <= 0).any() or scale.max() > GREATEST_SCALE:
            raise _fault("Weights", f"scales {scale.tolist()} must lie in (0, {GREATEST_SCALE:g}]")
        return weights, state


def apart(builds: Sequence[Build], given: Rehearsal) -> Outcome:
    """The server (first build) and each client with a strategy of its own; all that passes or is kept goes as bytes.

    What a client remembers, what the server holds and every message is written down and read back in each round.
    """
    server_build, *client_builds = builds
    devices = draw_devices(given.run.devices, [SAMPLES] * CLIENTS, given.run.seed)
    server = ServerRuntime(server_build(), given.model, given.run, devices)
    clients = [ClientRuntime(build(), given.model, given.run) for build in client_builds]
    kept: dict[int, Tree] = {}
    reports = []
    for number in range(1, ROUNDS + 1):
        uploads: dict[int, Upload | None] = {}
        for i, download in server.configure(number).items():
            memory = ClientMemory.from_tree(_rewritten(kept[i])) if i in kept else None
            given_i = Assignment(devices[i], _received(download), given.shards[i], memory)
            upload, memory = clients[i].train(given_i)
            uploads[i] = Upload.decode(upload.encode()) if upload else None
            if memory is not None:
                kept[i] = memory.to_tree()
        reports.append(server.aggregate(number, uploads))
        server.restore({key: value.copy() for key, value in server.state().items()})
    return Outcome(dict(server.x), Checkpoint(ROUNDS, server.judged(), {}), tuple(reports))


def _received(download: Download) -> Download:
    """As bytes and back, with arrays of its own: those of a decoded message are read-only."""
    decoded = Download.decode(download.encode())
    published = {name: {k: v.copy() for k, v in tree.items()} for name, tree in decoded.published.items()}
    return replace(decoded, model={key: value.copy() for key, value in decoded.model.items()}, published=published)


def _rewritten(tree: Tree) -> Tree:
    return {key: np.frombuffer(v.tobytes(), dtype=np.float32).reshape(v.shape).copy() for key, v in tree.items()}


def travelling(strategy: Strategy, model: Model) -> Tree:
    """A fresh model's trainable keys that clients send."""
    fresh = {key: (model.role(key), value) for key, value in model.init(SEED).items()}
    return {key: v for key, (role, v) in fresh.items() if role != "bn_stat" and strategy.view.shared(key, role)}


def sent_through(codec: Codec, update: Tree, like: Tree, rounds: Iterable[Round]) -> Tree:
    """The sum of what one client's messages of the same update decode to, a message a round."""
    rng, memory = np.random.default_rng(SEED), dict[str, Array]()
    came = {key: np.zeros_like(value) for key, value in like.items()}
    for round in rounds:
        message, memory = codec.encode({key: value.copy() for key, value in update.items()}, memory, rng, round)
        decoded = codec.decode(message, like, round)
        came = {key: value + decoded[key] for key, value in came.items()}
    return came


def cosine_of(left: Tree, right: Tree) -> float | None:
    """Over all coordinates; None where either is zero."""
    a, b = (np.concatenate([tree[key].ravel() for key in sorted(right)]).astype(np.float64) for tree in (left, right))
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / scale if scale else None


def largest_difference(left: Tree, right: Tree) -> float:
    """Largest |a - b| / max(1, |a|) over all coordinates; infinite where keys or shapes differ."""
    if left.keys() != right.keys() or any(left[key].shape != right[key].shape for key in left):
        return float("inf")
    return max((_gap(left[key], right[key]) for key in left), default=0.0)


def _gap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if not a.size:
        return 0.0
    gap = np.abs(a.astype(np.float64) - b) / np.maximum(1.0, np.abs(a))
    return float(np.nan_to_num(gap, nan=np.inf).max())
