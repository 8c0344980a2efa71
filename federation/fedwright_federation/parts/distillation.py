"""A large private teacher and a small shared student that learn from each other (FedKD, C. Wu et al. 2022)."""

import math
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from fedwright_federation.algorithm import CLASSES, Evaluation, LossTerm, Model, Out, Role, Step, Tensors, Tree, View
from fedwright_federation.algorithm.neutral import cross_entropy
from fedwright_federation.models.layers import uniform
from fedwright_federation.models.sequential import Sequential
from fedwright_federation.parts.branches import divergence
from fedwright_federation.parts.surgery import Surgery

PREFIX = "teacher."
ADAPTER = "teacher.adapter"


@dataclass(frozen=True)
class TeacherAndStudent(View):
    """The requested model becomes every client's own teacher; the student, `width` times as wide, is what is shared."""

    width: float = 0.5

    features = frozenset({"private-keys"})

    def model(self, base: Model) -> Model:
        if not isinstance(base, Sequential):
            raise TypeError(f"a student needs a model of fedwright_federation.models, not {type(base).__name__}")
        hidden = tuple(math.ceil(self.width * units) for units in base.hidden)
        return WithTeacher(replace(base, hidden=hidden), base)

    def shared(self, key: str, role: Role) -> bool:
        del role
        return not key.startswith(PREFIX)


@dataclass(frozen=True)
class WithTeacher(Surgery):
    """The student's own keys, the teacher's under `teacher.`, and `teacher.adapter` [d_student, d_teacher].

    `Out.logits` is the student's and `Out.exits` holds the teacher's; `Out.features` is the teacher's last, then the student's.
    """

    teacher: Model

    @property
    def capabilities(self) -> frozenset[str]:
        return (self.base.capabilities - {"blocks", "width"}) | {"teacher"}

    def init(self, seed: int) -> Tree:
        tree, teacher = self.base.init(seed), self.teacher.init(seed)
        rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
        last = f"body.{self.blocks - 1}.bias"
        narrow, wide = tree[last].shape[0], teacher[last].shape[0]
        adapter = uniform(rng, narrow, (narrow, wide))
        return tree | {PREFIX + key: value for key, value in teacher.items()} | {ADAPTER: adapter}

    def forward(self, tree: Tensors, x: Tensor, train: bool) -> Out:
        own = {key: value for key, value in tree.items() if not key.startswith(PREFIX)}
        other = {key.removeprefix(PREFIX): v for key, v in tree.items() if key.startswith(PREFIX) and key != ADAPTER}
        student, teacher = self.base.forward(own, x, train), self.teacher.forward(other, x, train)
        stats = {**student.stats, **{PREFIX + key: value for key, value in teacher.stats.items()}}
        return Out(student.logits, (teacher.features[-1], *student.features), stats, (teacher.logits,))

    def role(self, key: str) -> Role:
        if not key.startswith(PREFIX):
            return self.base.role(key)
        running = key != ADAPTER and self.teacher.role(key.removeprefix(PREFIX)) == "bn_stat"
        return "bn_stat" if running else "teacher"

    def block(self, key: str) -> int:
        return self.blocks if key == ADAPTER else self.base.block(key.removeprefix(PREFIX))

    def axes(self, key: str) -> tuple[str | None, ...]:
        if not key.startswith(PREFIX):
            return self.base.axes(key)
        if key == ADAPTER:
            return (None, None)
        return tuple(group if group == CLASSES else None for group in self.teacher.axes(key.removeprefix(PREFIX)))


@dataclass(frozen=True)
class MutualDistillation(LossTerm):
    """The teacher's own cross entropy and what both models learn from each other (Wu et al. 2022, Methods).

    L_t + weight * (KL(s || t) + KL(t || s) + MSE(H_t, H_s W)) / (L_t + L_s): the target of each divergence is held fixed,
    so that each model follows its own objective, and so is the denominator, which lets models that are still bad learn
    from labels alone. H is the last block's output, its mean over space; L_s is the strategy's own cross entropy.
    """

    weight: float = 1.0

    needs = frozenset({"teacher", "features"})
    cohort = True

    def __call__(self, step: Step) -> Tensor:
        student, teacher = step.out.logits, step.out.exits[0]
        own = cross_entropy(teacher, step.y)
        doubt = (own + cross_entropy(student, step.y)).detach().clamp_min(1e-6)
        mutual = divergence(student.detach(), teacher) + divergence(teacher.detach(), student)
        return own + self.weight * (mutual + self._hidden(step)) / doubt

    def _hidden(self, step: Step) -> Tensor:
        leading = step.y.dim()
        teacher, student = (flat_mean(step.out.features[i], leading) for i in (0, -1))
        return (teacher - student @ step.weights[ADAPTER]).square().mean((-2, -1))


def flat_mean(features: Tensor, leading: int) -> Tensor:
    """[B, d], or [K, B, d], of features with or without axes of space."""
    return features if features.dim() == leading + 1 else features.flatten(leading + 1).mean(-1)


@dataclass(frozen=True)
class TeacherPredicts(Evaluation):
    """Each client is judged by its own teacher."""

    needs = frozenset({"teacher"})

    @property
    def personal(self) -> bool:
        return True

    def logits(self, out: Out) -> Tensor:
        return out.exits[-1]
