"""Local updates, of one client or of a whole cohort at once.

A cohort is stacked along a leading axis, and clients that have made their steps drop off its end; everything else is the
same code. What runs here is told by the strategy's client-side parts; batches, gradients and privacy are the platform's.
It runs on the device that holds the samples; what goes in and comes out beside them lies in main memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedwright_federation.algorithm.model import Model, Tensors, outputs
from fedwright_federation.algorithm.parts import LocalPlan, Phase, Step
from fedwright_federation.algorithm.strategy import Strategy
from fedwright_federation.algorithm.tree import Named, Tree
from fedwright_federation.simulation.gradients import Noise, exact, private

CHUNK = 64
"""Steps whose batches are gathered together."""


@dataclass
class LocalTask:
    """One client's work, ready to run. Trees are in the client's own frame."""

    client: int
    plan: LocalPlan
    weights: Tree
    state: Named
    published: Named
    x: Tensor
    y: Tensor
    batches: NDArray[np.int64]
    """[steps, b] rows of x."""
    rng: np.random.Generator
    noise: Noise | None = None


@dataclass(frozen=True)
class LocalResult:
    weights: Tree
    loss: float
    measured: Named = field(default_factory=dict)


def run_alone(strategy: Strategy, model: Model, weight_decay: float, task: LocalTask) -> LocalResult:
    """One client, without the cohort axis."""
    return _run(strategy, model, weight_decay, [task], stacked=False)[0]


def run_cohort(strategy: Strategy, model: Model, weight_decay: float, tasks: Sequence[LocalTask]) -> list[LocalResult]:
    """All clients, in as few stacks as their shapes allow; results in the order of the tasks."""
    results: dict[int, LocalResult] = {}
    for group in stackable(tasks):
        results |= zip((t.client for t in group), _run(strategy, model, weight_decay, group, True), strict=True)
    return [results[task.client] for task in tasks]


def stackable(tasks: Sequence[LocalTask]) -> list[list[LocalTask]]:
    """Groups of equal batch and array shapes, ordered so that in every phase those with fewer steps come later."""
    groups: dict[object, list[list[LocalTask]]] = {}
    for task in sorted(tasks, key=lambda t: tuple(-phase.steps for phase in t.plan.phases)):
        shapes = tuple((key, value.shape) for key, value in task.weights.items())
        rows = groups.setdefault((task.batches.shape[1], shapes, _kinds(task.plan), task.x.shape[1:]), [])
        row = next((row for row in rows if _covers(row[-1].plan, task.plan)), None)
        if row is None:
            rows.append(row := [])
        row.append(task)
    return [row for rows in groups.values() for row in rows]


def _kinds(plan: LocalPlan) -> tuple[object, ...]:
    return tuple((phase.roles, phase.lr_factor) for phase in plan.phases)


def _covers(longer: LocalPlan, shorter: LocalPlan) -> bool:
    return all(a.steps >= b.steps for a, b in zip(longer.phases, shorter.phases, strict=True))


def _run(
    strategy: Strategy, model: Model, weight_decay: float, tasks: Sequence[LocalTask], stacked: bool
) -> list[LocalResult]:
    job = Job(strategy, model, weight_decay, tasks, stacked)
    with torch.no_grad():
        measured = strategy.local.run(job)
        losses = job.mean_losses()
    columns = [(key, value.cpu().numpy()) for key, value in job.weights.items()]
    if not stacked:
        return [LocalResult(dict(columns), losses[0], measured)]
    return [
        LocalResult({key: value[i].copy() for key, value in columns}, losses[i], measured) for i in range(len(tasks))
    ]


class Job:
    """A `LocalJob`: the stacked tensors, and walks over the plan's phases."""

    def __init__(
        self, strategy: Strategy, model: Model, weight_decay: float, tasks: Sequence[LocalTask], stacked: bool
    ) -> None:
        self.strategy, self.model, self.weight_decay = strategy, model, weight_decay
        self.tasks, self.stacked, self.device = tasks, stacked, tasks[0].x.device
        self.weights = self._join([task.weights for task in tasks], own=True)
        self.start = self._join([task.weights for task in tasks])
        self.state = self._join_named([task.state for task in tasks])
        self.published = self._join_named([task.published for task in tasks])
        self.scalars = {
            name: self._stack([torch.tensor(task.plan.scalars[name], device=self.device) for task in tasks])
            for name in tasks[0].plan.scalars
        }
        self.present = self._stack([_present(task, outputs(model, task.weights)) for task in tasks])
        self.x = tasks[0].x if len(tasks) == 1 else torch.cat([task.x for task in tasks])
        self.y = tasks[0].y if len(tasks) == 1 else torch.cat([task.y for task in tasks])
        self.rng = tasks[0].rng
        self.offsets = np.cumsum([0] + [len(task.y) for task in tasks[:-1]])
        self.losses: list[Tensor] = []
        self.buffers: dict[str, Tensors] = {}

    def walks(self) -> Iterator["Stretch"]:
        done = np.zeros(len(self.tasks), dtype=np.int64)
        for index, phase in enumerate(self.tasks[0].plan.phases):
            self.buffers.clear()
            trained = self._trained(phase)
            steps = [task.plan.phases[index].steps for task in self.tasks]
            begin = 0
            for end in sorted({s for s in steps if s}):
                active = sum(s >= end for s in steps)
                yield Stretch(self, trained, phase.lr_factor, active, self._rows(done[:active] + begin, end - begin))
                begin = end
            done += steps

    def narrow(self, tensors: Mapping[str, Tensor], active: int) -> Tensors:
        """The first `active` clients' tensors, sharing memory."""
        if not self.stacked or active == len(self.tasks):
            return dict(tensors)
        return {key: value.narrow(0, 0, active) for key, value in tensors.items()}

    def mean_losses(self) -> list[float]:
        """Each client's mean over its steps; zero where it made none."""
        if not self.stacked:
            return [torch.stack(self.losses).mean().item() if self.losses else 0.0]
        totals = torch.zeros(len(self.tasks), device=self.device)
        for loss in self.losses:
            totals[: len(loss)] += loss
        return [total / max(1, task.plan.steps) for total, task in zip(totals.tolist(), self.tasks, strict=True)]

    def _trained(self, phase: Phase) -> tuple[str, ...]:
        roles = {key: self.model.role(key) for key in self.weights}
        return tuple(k for k, r in roles.items() if r != "bn_stat" and (phase.roles is None or r in phase.roles))

    def _rows(self, first: NDArray[np.int64], steps: int) -> Tensor:
        """[steps, b] or [steps, active, b] rows of the joined data."""
        if not self.stacked:
            return self._here(self.tasks[0].batches[first[0] : first[0] + steps])
        each = [
            task.batches[at : at + steps] + offset
            for task, at, offset in zip(self.tasks, first, self.offsets, strict=False)
        ]
        return self._here(np.stack(each, axis=1))

    def _stack(self, each: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(each)) if self.stacked else each[0]

    def _join(self, trees: Sequence[Tree], own: bool = False) -> Tensors:
        """Tensors that share memory with the trees where there is nothing to stack and they need not be our own."""
        if self.stacked:
            return {key: self._here(np.stack([tree[key] for tree in trees])) for key in trees[0]}
        return {key: self._here(value.copy() if own else value) for key, value in trees[0].items()}

    def _here(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _join_named(self, nameds: Sequence[Named]) -> dict[str, Tensors]:
        return {name: self._join([named[name] for named in nameds]) for name in nameds[0]}


class Stretch:
    """A `Walk`: steps of one phase by the first `active` clients of a job."""

    def __init__(self, job: Job, trained: tuple[str, ...], lr_factor: float, active: int, rows: Tensor) -> None:
        self.job, self.lr_factor, self.steps, self.rows, self.at = job, lr_factor, len(rows), rows, 0
        self.active = active
        held = job.narrow(job.weights, active)
        leaves = {key: held[key].detach().requires_grad_() for key in trained}
        self.weights = list(leaves.values())
        self.step = step = Step()
        step.model, step.trained, step.weights = job.model, trained, held | leaves
        step.start = job.narrow(job.start, active)
        step.state = {name: job.narrow(tree, active) for name, tree in job.state.items()}
        step.published = {name: job.narrow(tree, active) for name, tree in job.published.items()}
        step.scalars = job.narrow(job.scalars, active)
        step.present = job.narrow({"present": job.present}, active)["present"]
        self.noise = [task.noise for task in job.tasks[:active] if task.noise is not None]

    def buffers(self, name: str) -> list[Tensor]:
        if name not in self.job.buffers:
            self.job.buffers[name] = {key: torch.zeros_like(self.job.weights[key]) for key in self.step.trained}
        return list(self.job.narrow(self.job.buffers[name], self.active).values())

    def gradients(self) -> list[Tensor]:
        step, job = self.step, self.job
        if self.at % CHUNK == 0:
            rows = self.rows[self.at : self.at + CHUNK]
            self.xs, self.ys = job.x[rows].unbind(), job.y[rows].unbind()
        step.x, step.y = self.xs[self.at % CHUNK], self.ys[self.at % CHUNK]
        self.at += 1
        losses = job.strategy.losses
        if self.noise:
            direction, loss = private(step, losses, self.noise, job.stacked)
        else:
            direction, loss = exact(step, losses, self.weights)
        job.losses.append(loss)
        for key, value in step.out.stats.items():
            step.weights[key].copy_(value)
        if job.weight_decay:
            direction = list(torch._foreach_add(direction, self.weights, alpha=job.weight_decay))
        return self._corrected(direction)

    def _corrected(self, direction: list[Tensor]) -> list[Tensor]:
        """With the gradient terms."""
        for term in self.job.strategy.gradients:
            extra = term(self.step)
            direction = [
                value + extra[key] if key in extra else value
                for key, value in zip(self.step.trained, direction, strict=True)
            ]
        return direction


def _present(task: LocalTask, classes: int) -> Tensor:
    """All of them in private steps: which are there is a figure of samples that no clipping of one's gradient hides."""
    if task.noise is not None:
        return torch.ones(classes, dtype=torch.bool, device=task.y.device)
    return torch.bincount(task.y, minlength=classes) > 0
