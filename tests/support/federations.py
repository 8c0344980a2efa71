"""Small federations for tests of methods: data with known structure, devices of chosen strength, runs, and a network whose
gradients are written out by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from fedwright_federation.algorithm import Model, Strategy, Training, Tree
from fedwright_federation.simulation.batches import reshuffled
from fedwright_federation.simulation.clock import draw_devices
from fedwright_federation.simulation.engine import Executor, Simulation
from fedwright_federation.simulation.run import RunSpec, Shard
from fedwright_federation.simulation.seeds import stream
from fedwright_federation.simulation.server import ServerRuntime

Floats = NDArray[np.float64]


# -- data -------------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=1)
def digits() -> tuple[Shard, Shard]:
    """Training and test digits, inputs in [0, 1]."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    x, y = (x[order] / 16).astype(np.float32), y[order].astype(np.int64)
    return Shard(x[:1347], y[:1347]), Shard(x[1347:], y[1347:])


def iid(data: Shard, clients: int) -> list[Shard]:
    return [Shard(data.x[i::clients], data.y[i::clients]) for i in range(clients)]


def by_label(data: Shard, clients: int, labels: int, seed: int = 0) -> list[Shard]:
    """Each client gets shards of `labels` labels, cut from the samples sorted by label."""
    order = np.argsort(data.y, kind="stable")
    pieces = np.array_split(order, clients * labels)
    drawn = np.random.default_rng(seed).permutation(len(pieces)).reshape(clients, labels)
    rows = [np.concatenate([pieces[p] for p in own]) for own in drawn]
    return [Shard(data.x[own], data.y[own]) for own in rows]


def tiny(clients: int = 4, features: int = 6, classes: int = 3, seed: int = 0, present: bool = True) -> list[Shard]:
    """Random inputs, and labels that depend on them; unequal sizes. With `present` every client holds every class."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(features, classes))
    shards = []
    for i in range(clients):
        x = rng.normal(size=(12 + 3 * i, features)).astype(np.float32)
        y = (x @ truth).argmax(1)
        if present:
            y[:classes] = np.arange(classes)
        shards.append(Shard(x, y.astype(np.int64)))
    return shards


# -- runs -------------------------------------------------------------------------------------------------------------
def spec(
    rounds: int = 3,
    steps: int = 5,
    clients: int = 4,
    batch: int = 4,
    participation: float = 1.0,
    decay: float = 0.0,
    seed: int = 1,
) -> RunSpec:
    training = Training(rounds, participation, steps=steps, batch_size=batch, weight_decay=decay)
    return RunSpec(training, clients, seed)


def federate(
    strategy: Strategy,
    model: Model,
    shards: Sequence[Shard],
    run: RunSpec,
    capabilities: Sequence[float] | None = None,
    executor: Executor = "sequential",
) -> Simulation:
    """All rounds run, on devices of the given capabilities."""
    simulation = prepare(strategy, model, shards, run, capabilities, executor)
    for _ in range(run.training.rounds):
        simulation.step()
    return simulation


def prepare(
    strategy: Strategy,
    model: Model,
    shards: Sequence[Shard],
    run: RunSpec,
    capabilities: Sequence[float] | None = None,
    executor: Executor = "sequential",
) -> Simulation:
    """Nothing run yet."""
    simulation = Simulation(strategy, model, shards, run, executor)
    if capabilities:
        devices = draw_devices(run.devices, [len(shard.y) for shard in shards], run.seed)
        simulation.devices = [replace(d, capability=c) for d, c in zip(devices, capabilities, strict=True)]
        simulation.server = ServerRuntime(strategy, model, run, simulation.devices)
    return simulation


def final(strategy: Strategy, model: Model, shards: Sequence[Shard], run: RunSpec) -> Tree:
    return federate(strategy, model, shards, run).server.x


def server_state(simulation: Simulation, name: str) -> Tree:
    prefix = f"server/{name}/"
    found = simulation.snapshot().server
    return {k.removeprefix(prefix): np.asarray(v, np.float32) for k, v in found.items() if k.startswith(prefix)}


def accuracy(simulation: Simulation, test: Shard | Sequence[Shard]) -> float:
    """Of the judged model on the test set, or of each client's own model on its own test set, the mean over clients."""
    checkpoint = simulation.checkpoint()
    if isinstance(test, Shard):
        return score(simulation, checkpoint.model, test)
    trees = [checkpoint.model | checkpoint.personal.get(i, {}) for i in range(len(test))]
    return float(np.mean([score(simulation, tree, own) for tree, own in zip(trees, test, strict=True)]))


def score(simulation: Simulation, tree: Tree, test: Shard) -> float:
    with torch.no_grad():
        out = simulation.client.model.forward(tensors(tree), torch.from_numpy(test.x), train=False)
        predicted = simulation.strategy.evaluation.logits(out).argmax(-1).numpy()
    return float((predicted == test.y).mean())


def tensors(tree: Tree) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(value) for key, value in tree.items()}


# -- comparisons ------------------------------------------------------------------------------------------------------
def same(left: Tree, right: Tree) -> bool:
    """To the bit."""
    return left.keys() == right.keys() and all(np.array_equal(left[key], right[key]) for key in left)


def close(left: Tree, right: Tree, tolerance: float = 1e-6) -> bool:
    return left.keys() == right.keys() and all(np.allclose(left[k], right[k], atol=tolerance, rtol=0) for k in left)


# -- a network by hand ------------------------------------------------------------------------------------------------
@dataclass
class Net:
    """One hidden layer of ReLU units, or none, in float64; the keys are those of `Mlp`."""

    weights: dict[str, Floats]

    @classmethod
    def of(cls, tree: Tree) -> "Net":
        return cls({key: value.astype(np.float64) for key, value in tree.items()})

    def copy(self) -> "Net":
        return Net({key: value.copy() for key, value in self.weights.items()})

    def hidden(self, x: Floats) -> Floats:
        if "body.0.weight" not in self.weights:
            return x
        return np.maximum(x @ self.weights["body.0.weight"] + self.weights["body.0.bias"], 0)

    def logits(self, x: Floats) -> Floats:
        return self.hidden(x) @ self.weights["head.weight"] + self.weights["head.bias"]

    def gradient(
        self, x: NDArray[np.float32], y: NDArray[np.int64], kept: Floats | None = None, instead: float = 0.0
    ) -> dict[str, Floats]:
        """Of the mean cross entropy; where `kept` is 0 a logit is replaced by `instead`."""
        inputs, keep = x.astype(np.float64), np.ones(self.weights["head.bias"].shape) if kept is None else kept
        h = self.hidden(inputs)
        z = np.where(keep > 0, self.logits(inputs), instead)
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        p[np.arange(len(y)), y] -= 1
        dz = p * keep / len(y)
        found = {"head.weight": h.T @ dz, "head.bias": dz.sum(0)}
        if "body.0.weight" in self.weights:
            dh = dz @ self.weights["head.weight"].T * (h > 0)
            found |= {"body.0.weight": inputs.T @ dh, "body.0.bias": dh.sum(0)}
        return found

    def move(self, direction: dict[str, Floats], lr: float) -> None:
        for key, value in direction.items():
            self.weights[key] = self.weights[key] - lr * value


def batches(run: RunSpec, number: int, client: int, samples: int, steps: int | None = None) -> NDArray[np.int64]:
    """The rows that the platform draws for this client's local steps."""
    training = run.training
    rng = stream(run.seed, "batches", number, client, run.salt)
    return reshuffled(rng, samples, steps or training.steps or 0, min(training.batch_size, samples))
