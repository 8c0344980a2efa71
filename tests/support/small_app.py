"""A small task and candidates for tests of the packaged app: digits-like blobs on two or three nodes."""

from pathlib import Path

import numpy as np

from fedwright_crds.documents import CandidateCode, PackageInput
from fedwright_crds.task import Data, DataSource, Head, ModelSpec, Task, Training
from fedwright_federation.algorithm import Strategy, on_heads
from fedwright_federation.algorithm.parts import Training as SharedTraining
from fedwright_federation.heads import Heads
from fedwright_federation.models import build_model
from fedwright_federation.packaging.fedwright_app.results import model_digest
from fedwright_federation.packaging.package import app_files, zipped
from fedwright_federation.simulation.engine import SimulationResult, simulate
from fedwright_federation.simulation.run import RunSpec, Shard

SHAPE, CLASSES, SEED = (6,), 3, 11

HEADS = (Head(name="three"), Head(name="two", groups=((0,), (1, 2))))
"""What `<method>-on-heads` has: nodes tell 3, 2, 3, ... classes apart."""

METHODS = {
    "scaffold": ("fedwright_federation.strategies.scaffold", {"lr": 0.2}),
    "fedrep": ("fedwright_federation.strategies.fedrep", {"lr": 0.2, "head_share": 0.5}),
    "fedpaq": ("fedwright_federation.strategies.fedpaq", {"lr": 0.2}),
    "fedbn": ("fedwright_federation.strategies.fedbn", {"lr": 0.2}),
    "heterofl": ("fedwright_federation.strategies.heterofl", {"lr": 0.2}),
    "fedavg-on-heads": ("fedwright_federation.strategies.fedavg", {"lr": 0.2}),
    "fedrep-on-heads": ("fedwright_federation.strategies.fedrep", {"lr": 0.2, "head_share": 0.5}),
}


def heads(method: str) -> tuple[Head, ...]:
    return HEADS if method.endswith("-on-heads") else ()


def code(method: str) -> CandidateCode:
    module, _ = METHODS[method]
    name = module.rpartition(".")[2]
    text = f"""from {module} import {name}

from .client import settled


def build(hyperparameters):
    return {name}(**settled(hyperparameters))
"""
    return CandidateCode(files={"strategy.py": text, "client.py": "def settled(given):\n    return dict(given)\n"})


def settings(method: str, rounds: int = 3, clients: int = 2) -> PackageInput:
    return PackageInput(
        name=f"small-{method}",
        title=f'A small "{method}"',
        request="small",
        task=Task(
            data=Data(source=DataSource.DIGITS),
            clients=clients,
            heads=heads(method),
            training=Training(batch_size=8, local_steps=4),
        ),
        model=ModelSpec(hidden=(8,), batch_norm=method == "fedbn"),
        hyperparameters=METHODS[method][1],
        seed=SEED,
        rounds=rounds,
        input_shape=SHAPE,
        classes=sum(head.classes(CLASSES) for head in heads(method)) or CLASSES,
    )


def shards(clients: int = 2, rows: int = 40, method: str = "") -> list[Shard]:
    """Blobs whose classes are shared unevenly. With heads the last two classes are one to every other client."""
    made = []
    for client in range(clients):
        rng = np.random.default_rng(client)
        y = rng.choice(CLASSES, rows + 5 * client, p=np.roll([0.6, 0.3, 0.1], client))
        x = rng.normal(size=(len(y), *SHAPE)) + 2.0 * np.eye(CLASSES, SHAPE[0])[y]
        most = 1 if heads(method) and client % 2 else CLASSES - 1
        made.append(Shard(x.astype(np.float32), np.minimum(y, most).astype(np.int64)))
    return made


def write_shards(folder: Path, given: list[Shard]) -> list[Path]:
    """What nodes load: all rows of the shard to train on, and some more to measure on."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"client-{i}.npz" for i in range(len(given))]
    for path, shard in zip(paths, given, strict=True):
        np.savez(path, x=shard.x, y=shard.y, x_test=shard.x[:10], y_test=shard.y[:10])
    return paths


def package(method: str, rounds: int = 3, clients: int = 2) -> bytes:
    return zipped(app_files(settings(method, rounds, clients), code(method)))


def unpack(folder: Path, method: str, rounds: int = 3, clients: int = 2) -> Path:
    for name, content in app_files(settings(method, rounds, clients), code(method)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def simulated(method: str, given: list[Shard], rounds: int = 3) -> SimulationResult:
    """The same run in the simulator, client by client."""
    import importlib

    module, hyperparameters = METHODS[method]
    strategy: Strategy = getattr(importlib.import_module(module), module.rpartition(".")[2])(**hyperparameters)
    settled = settings(method)
    model = build_model(settled.model, SHAPE, settled.classes)
    strategy = on_heads(strategy, Heads(settled.task.outputs(settled.classes)))
    run = RunSpec(SharedTraining(rounds=rounds, steps=4, batch_size=8), len(given), SEED)
    return simulate(strategy, model, given, run, "sequential")


def model_digest_of(result: SimulationResult) -> str:
    return model_digest(result.checkpoints[-1].model)
