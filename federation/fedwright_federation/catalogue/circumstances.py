"""What holds for a request, as strengths in [0, 1], out of its spec and of what is known of its data."""

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import TypeAlias

from fedwright_crds.documents import DataFacts
from fedwright_crds.request import RequestSpec
from fedwright_crds.task import Architecture, DeviceProfile, Metric, ModelSpec, Scope, Task
from fedwright_federation.catalogue.entries import Circumstance

Circumstances: TypeAlias = Mapping[Circumstance, float]
"""Those that hold, each with its strength."""

STRONG_LABEL_SKEW = 0.5
STRONG_FEATURE_SHIFT = 1.0
"""In standard deviations."""
NEGLIGIBLE = 0.15
"""A strength below which a circumstance does not hold."""
SMALL_MODEL_UNITS = 128
"""Hidden units up to which factors and synthetic samples save nothing."""
BYTES = {Metric.UPLOAD_MEBIBYTES, Metric.DOWNLOAD_MEBIBYTES}


def circumstances(facts: DataFacts, spec: RequestSpec, model: ModelSpec) -> Circumstances:
    """Strengths of all circumstances that hold."""
    found = {**_of_data(facts, spec.task), **_of_devices(spec.task), **_of_wishes(spec)}
    found |= _opposites(found, spec.task, model)
    return {name: strength for name, strength in found.items() if strength > NEGLIGIBLE}


def _of_data(facts: DataFacts, task: Task) -> dict[Circumstance, float]:
    sizes = facts.train_samples_per_client
    largest = max(sizes, default=0)
    uneven = 1 - min(sizes) / largest if largest else 0.0
    by_epochs = task.training.local_steps is None
    return {
        Circumstance.LABEL_SKEW: min(1.0, facts.label_skew / STRONG_LABEL_SKEW),
        Circumstance.FEATURE_SHIFT: min(1.0, facts.feature_shift / STRONG_FEATURE_SHIFT)
        if task.feature_shift or facts.label_skew < NEGLIGIBLE
        else 0.0,
        Circumstance.LABEL_NOISE: 1.0 if task.label_noise else 0.0,
        Circumstance.MULTI_TASK: 1.0 if len(task.heads) > 1 else 0.0,
        Circumstance.CONTINUAL: 1.0 if task.continual else 0.0,
        Circumstance.SINGLE_LABEL: _share(label == 1 for label in facts.labels_per_client),
        Circumstance.UNEQUAL_WORK: uneven if by_epochs else 0.0,
    }


def _share(each: Iterable[bool]) -> float:
    return fmean(found) if (found := [float(one) for one in each]) else 0.0


def _of_devices(task: Task) -> dict[Circumstance, float]:
    devices = task.devices
    slow = devices.straggler_fraction if devices.profile is DeviceProfile.STRAGGLERS else 0.0
    deadline = devices.round_deadline_seconds is not None
    return {
        Circumstance.PARTIAL_PARTICIPATION: 1.0 - task.training.participation,
        Circumstance.STRAGGLERS: (0.5 + slow / 2) if deadline else slow,
        Circumstance.WEAK_DEVICES: slow if devices.profile is DeviceProfile.STRAGGLERS else 0.0,
    }


def _of_wishes(spec: RequestSpec) -> dict[Circumstance, float]:
    metrics = {spec.objective.metric} | {one.metric for one in spec.constraints}
    personal = spec.objective.scope is Scope.PER_CLIENT or spec.objective.metric is Metric.WORST_TENTH_ACCURACY
    rounds = spec.task.training.rounds
    quick = spec.objective.metric is Metric.ROUNDS_TO_TARGET
    return {
        Circumstance.BANDWIDTH: 1.0 if spec.objective.metric in BYTES else 0.5 if metrics & BYTES else 0.0,
        Circumstance.PERSONALISATION: 1.0 if personal else 0.0,
        Circumstance.GLOBAL_SCOPE: 0.0 if personal else 1.0,
        Circumstance.PRIVACY: 1.0 if spec.privacy else 0.0,
        Circumstance.FEW_ROUNDS: max(0.5 if quick else 0.0, min(1.0, 5 / rounds)),
        Circumstance.MANY_ROUNDS: 1.0 if rounds >= 20 else 0.0,
    }


def _opposites(found: Mapping[Circumstance, float], task: Task, model: ModelSpec) -> dict[Circumstance, float]:
    def without(circumstance: Circumstance) -> float:
        return 1.0 if found[circumstance] <= NEGLIGIBLE else 0.0

    equal = max(found[Circumstance.STRAGGLERS], found[Circumstance.UNEQUAL_WORK]) <= NEGLIGIBLE
    small = model.architecture is Architecture.SOFTMAX or sum(model.hidden) <= SMALL_MODEL_UNITS
    return {
        Circumstance.IID: without(Circumstance.LABEL_SKEW),
        Circumstance.NO_FEATURE_SHIFT: without(Circumstance.FEATURE_SHIFT),
        Circumstance.EQUAL_WORK: 1.0 if equal else 0.0,
        Circumstance.UNIFORM_DEVICES: without(Circumstance.WEAK_DEVICES),
        Circumstance.SMALL_PARTICIPATION: 1.0 if task.training.participation < 0.15 else 0.0,
        Circumstance.SMALL_MODEL: 1.0 if small else 0.0,
        Circumstance.CLEAN_LABELS: without(Circumstance.LABEL_NOISE),
        Circumstance.BYTES_DO_NOT_COUNT: without(Circumstance.BANDWIDTH),
    }
