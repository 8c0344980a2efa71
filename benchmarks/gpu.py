"""What a GPU does for a node: local updates, and rounds of a real federation, beside the same on the CPU of the same machine.

Images are noise of CIFAR-10's shape and size by class (no data set is needed): what is measured is the arithmetic.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.fedavg import CODE
from benchmarks.table import Row
from fedwright_crds.documents import DeployInput, DeploymentMetrics, PackageInput
from fedwright_crds.federation import Placement
from fedwright_crds.task import Architecture, Data, DataSource, ModelSpec, Task, Training
from fedwright_federation.algorithm import ClientInfo, Tree
from fedwright_federation.algorithm.parts import Training as SharedTraining
from fedwright_federation.flower.deploy import Job, Submission
from fedwright_federation.flower.home import Home
from fedwright_federation.flower.site import MachineSite
from fedwright_federation.flower.status import Status
from fedwright_federation.models import build_model
from fedwright_federation.packaging.fedwright_app.device import device_of
from fedwright_federation.packaging.package import app_files, zipped
from fedwright_federation.simulation.client import Assignment, ClientRuntime
from fedwright_federation.simulation.messages import Download
from fedwright_federation.simulation.run import RunSpec, Shard
from fedwright_federation.strategies.fedavg import fedavg

SHAPE, CLASSES, SAMPLES, BATCH, LR = (3, 32, 32), 10, 5_000, 64, 0.05
NODES, ROUNDS, REPETITIONS = 2, 4, 3
READY_SECONDS = 120.0


@dataclass(frozen=True)
class Net:
    """A model of the benchmark."""

    title: str
    spec: ModelSpec


NETS = (
    Net("MLP 3072-64-10", ModelSpec(hidden=(64,))),
    Net("CNN 32-64-128", ModelSpec(architecture=Architecture.CNN, hidden=(32, 64, 128))),
)


def measure() -> list[Row]:
    if not torch.cuda.is_available():
        raise SystemExit(f"PyTorch {torch.__version__} sees no GPU here; run this where it does")
    gpu = torch.cuda.get_device_name()
    rows = [_start(gpu), *(row for net in NETS for row in _local_updates(net, gpu))]
    with TemporaryDirectory(prefix="fedwright-gpu-") as folder:
        return rows + _federations(Path(folder), gpu)


def _start(gpu: str) -> Row:
    """Each message to a node is answered by a process of its own, so each pays this."""
    command = [sys.executable, "-c", _FIRST_STEP]
    seconds = median(float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(REPETITIONS))
    return Row("a GPU's first convolution in a new process", seconds, "s", f"{gpu}, PyTorch is imported already")


_FIRST_STEP = """
import time
import torch
from fedwright_federation.packaging.fedwright_app.device import device_of
began = time.perf_counter()
device = device_of({"device": "cuda"})
x, weight = torch.ones(64, 3, 32, 32, device=device), torch.ones(32, 3, 3, 3, device=device, requires_grad=True)
torch.nn.functional.conv2d(x, weight).sum().backward()
torch.cuda.synchronize()
print(time.perf_counter() - began)
"""


# -- one client's local update ------------------------------------------------------------------------------------------
def _local_updates(net: Net, gpu: str) -> list[Row]:
    shard = _shard(0)
    cpu, there, again = (_epoch(net, device, shard) for device in ("cpu", "cuda", "cuda"))
    apart = max(float(np.abs(cpu.model[key] - there.model[key]).max()) for key in cpu.model)
    same = all(np.array_equal(there.model[key], again.model[key]) for key in again.model)
    name = f"{net.title}: an epoch of {SAMPLES} samples"
    return [
        Row(f"{name} on the CPU", cpu.seconds, "s", f"one thread, median of {REPETITIONS}"),
        Row(f"{name} on the GPU", there.seconds, "s", f"{gpu}, repeats {'exactly' if same else 'NOT exactly'}"),
        Row(f"{name}: CPU / GPU", cpu.seconds / there.seconds, "times"),
        Row(f"{name}: largest difference", apart, "", "of a weight, between the two"),
    ]


@dataclass(frozen=True)
class _Epoch:
    seconds: float
    model: Tree


def _epoch(net: Net, device: str, shard: Shard) -> _Epoch:
    torch.set_num_threads(1)
    run = RunSpec(SharedTraining(1, epochs=1.0, batch_size=BATCH), 1, seed=1)
    runtime = ClientRuntime(fedavg(lr=LR), build_model(net.spec, SHAPE, CLASSES), run, device_of({"device": device}))
    given = Assignment(ClientInfo(0, len(shard.y)), Download(1, dict(runtime.initial)), shard, None)
    runtime.train(given)  # libraries and kernels are loaded now
    times = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        upload = runtime.train(given).upload
        times.append(time.perf_counter() - began)
    assert upload is not None
    return _Epoch(median(times), {key: runtime.initial[key] + change for key, change in upload.update.items()})


# -- a federation --------------------------------------------------------------------------------------------------------
def _federations(folder: Path, gpu: str) -> list[Row]:
    """Real SuperLink and SuperNodes; a round's time has all of Flower in it, and the app's start at its node."""
    found = {}
    for place in (Placement.ANY, Placement.GPU):
        with _fleet(folder / place.value, place) as home:
            found[place] = _deployed(home)
    name = f"{NETS[1].title}: a round of {NODES} nodes, {SAMPLES} samples each"
    cpu, there = (median(one.seconds or 0.0 for one in found[place].rounds[1:]) for place in found)
    accuracies = [f"{one.rounds[-1].accuracy or 0.0:.3f}" for one in found.values()]
    return [
        Row(f"{name}, on CPUs", cpu, "s", f"median of {ROUNDS - 1}; accuracy at the end {accuracies[0]}"),
        Row(f"{name}, on GPUs", there, "s", f"{gpu}, shared; accuracy at the end {accuracies[1]}"),
        Row(f"{name}: CPU / GPU", cpu / there, "times"),
    ]


@contextmanager
def _fleet(root: Path, place: Placement) -> Iterator[Home]:
    home, spec = Home(root / "home"), root / "spec.json"
    root.mkdir()
    spec.write_text(json.dumps({"groups": [_group(root, place, number) for number in range(NODES)]}))
    command = [sys.executable, "-m", "fedwright_federation.flower.fleet", "--home", str(home.root), "--spec", str(spec)]
    with subprocess.Popen(command) as process:
        try:
            until = time.monotonic() + READY_SECONDS
            while not (home.status.exists() and Status.read(home.status).ready):
                if time.monotonic() > until or process.poll() is not None:
                    raise SystemExit("the federation did not come up")
                time.sleep(0.1)
            yield home
        finally:
            process.terminate()


def _group(root: Path, place: Placement, number: int) -> dict[str, object]:
    path, shard, held = root / f"node-{number}.npz", _shard(number), _shard(100 + number)
    np.savez(path, x=shard.x, y=shard.y, x_test=held.x[:1000], y_test=held.y[:1000])
    return {"name": f"n{number}", "nodes": 1, "placement": place.value, "data": {"path": str(path)}}


def _deployed(home: Home) -> DeploymentMetrics:
    order = Job.of(DeployInput(job="gpu", rounds=ROUNDS), zipped(app_files(_settings(), CODE)), MachineSite(home))
    Submission(order).follow(lambda: False, lambda _: None)
    metrics = order.metrics()
    if metrics is None or not order.done:
        raise SystemExit("the run did not end")
    return metrics


def _settings() -> PackageInput:
    training = Training(local_epochs=1.0, batch_size=BATCH)
    return PackageInput(
        name="fedavg",
        title="FedAvg",
        request="gpu",
        task=Task(data=Data(source=DataSource.DIGITS), clients=NODES, training=training),
        model=NETS[1].spec,
        hyperparameters={"lr": LR},
        rounds=ROUNDS,
        input_shape=SHAPE,
        classes=CLASSES,
    )


def _shard(number: int) -> Shard:
    """Noise around a picture for each class."""
    pictures = np.random.default_rng(0).normal(size=(CLASSES, *SHAPE)).astype(np.float32)
    rng = np.random.default_rng([1, number])
    y = rng.integers(0, CLASSES, SAMPLES)
    return Shard(0.2 * pictures[y] + rng.normal(size=(SAMPLES, *SHAPE)).astype(np.float32), y)
