"""One candidate judged: FedAvg on digits in the boxes, against a bare torch loop of the same arithmetic and Flower's Ray backend.

All three train an MLP 64-64-10 for as many steps on as many rows. The boxes are warm, as they are for every candidate but
the first; their time is that of the whole work, all four steps of it. Flower's SuperLink is warm too, and runs the packaged app.
"""

import statistics
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn
from torch.nn import functional

from benchmarks.fedavg import CODE
from benchmarks.ray_backend import RayBackend
from benchmarks.table import Row
from fedwright_boxes import LocalBoxes, image_digests
from fedwright_boxes.memory import tree_pss_mib
from fedwright_crds.base import Digest, Strict, canonical
from fedwright_crds.documents import DataFacts, JudgeSpec, PackageInput, Score, Split
from fedwright_crds.judging_work import inspect_work, judging_work
from fedwright_crds.request import Objective
from fedwright_crds.task import Data, DataSource, ModelSpec, Partition, PartitionKind, Task, Training
from fedwright_crds.work import Input, Outcome, Work, WorkResult
from fedwright_federation.packaging.package import app_files
from fedwright_federation.tasks import load_task
from fedwright_operator.local.artifacts import Artifacts

REPETITIONS = 7
MODEL = ModelSpec(hidden=(64,))
LEARNING_RATE = 0.1


@dataclass(frozen=True)
class Setting:
    """How many clients, how many of them a round, how many rounds; the targets are the project's own."""

    name: str
    clients: int
    participation: float
    rounds: int
    at_least_times_ray: float
    at_most_times_bare: float | None = None

    @property
    def task(self) -> Task:
        training = Training(rounds=self.rounds, participation=self.participation, local_epochs=1.0, batch_size=16)
        partition = Partition(kind=PartitionKind.IID, min_samples=2)
        return Task(data=Data(source=DataSource.DIGITS), partition=partition, clients=self.clients, training=training)


SETTINGS = (
    Setting("10 clients x 10 rounds x 1 epoch", 10, 1.0, 10, at_least_times_ray=20, at_most_times_bare=1.5),
    Setting("100 clients, 10% a round, 20 rounds", 100, 0.1, 20, at_least_times_ray=30),
)


def measure() -> list[Row]:
    """Ours first and alone: its memory is that of this process's whole tree."""
    with TemporaryDirectory(prefix="fedwright-bench-") as folder:
        Path(folder).chmod(0o755)
        with Judge(Path(folder)) as judge:
            ours = {setting: judge.measure(setting) for setting in SETTINGS}
        with RayBackend(Path(folder, "flower")) as ray:
            return [row for setting in SETTINGS for row in _rows(setting, ours[setting], ray)]


def _rows(setting: Setting, measured: tuple[float, float, float], ray: RayBackend) -> list[Row]:
    ours, overhead, peak = measured
    bare = _median(lambda: _bare_loop(setting), REPETITIONS)
    on_ray = ray.seconds(_app(setting), _node_data(setting), setting.clients)
    name, bound = setting.name, setting.at_most_times_bare
    return [
        Row(f"{name}: in the boxes", ours, "s", f"median of {REPETITIONS}, warm, all four steps"),
        Row(f"{name}: bare torch loop", bare, "s", f"median of {REPETITIONS}"),
        Row(f"{name}: flwr run on Ray", on_ray, "s", "warm SuperLink, the packaged app"),
        Row(f"{name}: Ray / boxes", on_ray / ours, "times", f"at least {setting.at_least_times_ray:g}"),
        Row(f"{name}: boxes / bare loop", ours / bare, "times", f"at most {bound}" if bound else ""),
        Row(f"{name}: overhead of the four steps", overhead, "s", "work's time less that inside simulate and predict"),
        Row(f"{name}: peak memory", peak, "MiB", "proportional set size of the whole tree, at most 819"),
    ]


# -- ours -------------------------------------------------------------------------------------------------------------
class Judge:
    """Warm boxes that judge."""

    def __init__(self, folder: Path) -> None:
        self._artifacts = Artifacts(folder / "artifacts")
        self._boxes = LocalBoxes(self._artifacts, scratch=folder / "scratch")
        self._images = image_digests()

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *_: object) -> None:
        self._boxes.close()

    def measure(self, setting: Setting) -> tuple[float, float, float]:
        """Median seconds of a work, of which outside the candidate's own steps, and the peak memory in MiB."""
        facts = self._document(
            DataFacts, self._run(inspect_work(self._put("task.json", setting.task), self._images)), "facts.json"
        )
        self._judge(setting, facts, seed=0)
        peak, done = [0.0], threading.Event()
        watcher = threading.Thread(target=_watch, args=(peak, done))
        watcher.start()
        runs = [self._judge(setting, facts, seed) for seed in range(1, REPETITIONS + 1)]
        done.set()
        watcher.join()
        return statistics.median(total for total, _ in runs), statistics.median(outside for _, outside in runs), peak[0]

    def _judge(self, setting: Setting, facts: DataFacts, seed: int) -> tuple[float, float]:
        spec = JudgeSpec(
            task=setting.task,
            model=MODEL,
            objective=Objective(),
            hyperparameters={"lr": LEARNING_RATE},
            rounds=setting.rounds,
            seed=seed,
            split=Split.SELECTION,
        )
        work = judging_work(self._put("judge.json", spec), self._put("code.json", CODE), self._images, spec, facts)
        began = time.perf_counter()
        result = self._run(work)
        total = time.perf_counter() - began
        score = self._document(Score, result, "score.json")
        if not score.ok or score.metrics["Accuracy/Global"] < 0.3:
            raise SystemExit(f"the judged run is no good: {score}")
        inside = sum(one.cpu_seconds for one in result.verdicts if one.step in {"simulate", "predict"})
        return total, total - inside

    def _run(self, work: Work) -> WorkResult:
        result = self._boxes.run(work, threading.Event())
        if result.outcome is not Outcome.SUCCEEDED:
            raise SystemExit(f"{work.kind}: {result.message} {result.verdicts}")
        return result

    def _put(self, name: str, document: Strict) -> Input:
        return Input(name=name, digest=self._artifacts.write(canonical(document.to_wire())))

    def _document(self, kind: type, result: WorkResult, output: str):  # type: ignore[no-untyped-def]
        return kind.model_validate_json(self._artifacts.read(_digest(result.outputs, output)))


def _digest(outputs: Mapping[str, Digest], name: str) -> Digest:
    if name not in outputs:
        raise SystemExit(f"no {name} among {sorted(outputs)}")
    return outputs[name]


def _watch(peak: list[float], done: threading.Event) -> None:
    while not done.wait(0.1):
        peak[0] = max(peak[0], tree_pss_mib())


# -- the others -------------------------------------------------------------------------------------------------------
def _bare_loop(setting: Setting) -> None:
    """FedAvg as one writes it in an afternoon: a module, torch's SGD, state dicts averaged by hand."""
    torch.set_num_threads(1)
    data = load_task(setting.task, 1)
    shards = [data.shard(client) for client in range(setting.clients)]
    rows = [(torch.from_numpy(shard.x), torch.from_numpy(shard.y)) for shard in shards]
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    state = {key: value.clone() for key, value in model.state_dict().items()}
    cohort_size = max(1, round(setting.participation * setting.clients))
    for _ in range(setting.rounds):
        cohort = torch.randperm(setting.clients, generator=generator)[:cohort_size].tolist()
        total = sum(len(rows[client][1]) for client in cohort)
        averaged = {key: torch.zeros_like(value) for key, value in state.items()}
        for client in cohort:
            model.load_state_dict(state)
            _local_epoch(model, *rows[client], generator)
            for key, value in model.state_dict().items():
                averaged[key] += value * (len(rows[client][1]) / total)
        state = averaged


def _local_epoch(model: nn.Module, x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    for batch in torch.randperm(len(y), generator=generator).split(16):
        optimizer.zero_grad()
        functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()


def _app(setting: Setting) -> dict[str, bytes]:
    settings = PackageInput(
        name="fedavg",
        title="FedAvg",
        request="bench",
        task=setting.task,
        model=MODEL,
        hyperparameters={"lr": LEARNING_RATE},
        rounds=setting.rounds,
        input_shape=(1, 8, 8),
        classes=10,
    )
    return app_files(settings, CODE)


def _node_data(setting: Setting) -> list[dict[str, object]]:
    data = load_task(setting.task, 1)
    return [{"x": data.shard(client).x, "y": data.shard(client).y} for client in range(setting.clients)]


def _median(work: Callable[[], None], repetitions: int) -> float:
    work()
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
