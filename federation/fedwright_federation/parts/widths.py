"""Thinner models for weaker clients (HeteroFL, Diao et al. 2021): slices, the loss, and which clients count where."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedwright_federation.algorithm import (
    CLASSES,
    ClientInfo,
    ClientState,
    Combiner,
    Frame,
    LocalOutcome,
    LossTerm,
    Mask,
    Model,
    Named,
    Probe,
    Reducer,
    Report,
    Round,
    Start,
    Step,
    Tensors,
    Tree,
    View,
    WeightedMean,
    outputs,
)
from fedwright_federation.algorithm.neutral import cross_entropy
from fedwright_federation.models.sequential import Sequential


@dataclass(frozen=True)
class WidthSlices(View):
    """Each client trains the first ceil(rate * width) units of every hidden layer (section 3).

    A client's rate is the greatest of 1, 1/2, 1/4, ... `smallest` that its capability allows. Slices of one rate are
    nested in those of greater ones. `scaler` makes training multiply a thin model's hidden activations by 1/rate, before
    the norm layer (section 3, Scaler); without norm layers it does more harm than good.
    """

    smallest: float = 0.0625
    scaler: bool = False

    features = frozenset({"frames"})
    needs = frozenset({"width"})

    def __post_init__(self) -> None:
        if not 0 < self.smallest <= 1:
            raise ValueError(f"smallest is {self.smallest}, and a rate lies in (0, 1]")

    def model(self, base: Model) -> Model:
        if not self.scaler:
            return base
        if not isinstance(base, Sequential):
            raise TypeError(
                f"scaler needs a model of fedwright_federation.models, not {type(base).__name__}; turn it off"
            )
        return replace(base, scaled=True)

    def rate(self, client: ClientInfo) -> float:
        halvings = max(0, math.ceil(-math.log2(client.capability) - 1e-9))
        return max(0.5**halvings, self.smallest)

    def frame(self, client: ClientInfo, like: Tree, round: Round) -> Frame | None:
        rate = self.rate(client)
        if rate == 1.0:
            return None
        return Frame({key: _window(round.model, key, value.shape, rate) for key, value in like.items()})


def _window(model: Model, key: str, shape: tuple[int, ...], rate: float) -> tuple[NDArray[np.intp], ...]:
    kept = (
        size if group in {None, CLASSES} else math.ceil(rate * size)
        for group, size in zip(model.axes(key), shape, strict=True)
    )
    return tuple(np.arange(size, dtype=np.intp) for size in kept)


@dataclass(frozen=True)
class MaskedCrossEntropy(LossTerm):
    """Cross entropy over the classes that the client holds (section 3, "masked"), so that the others' rows see no gradient.

    `zero` keeps them in the softmax with a logit of zero, as the authors' code does; that learns more slowly.
    """

    zero: bool = False

    cohort = True

    def __call__(self, step: Step) -> Tensor:
        absent = ~step.present.bool().unsqueeze(-2)
        return cross_entropy(step.out.logits.masked_fill(absent, 0.0 if self.zero else -torch.inf), step.y)


@dataclass(frozen=True)
class LabelsHeld(Probe):
    """Which classes of its head the client holds samples of: `present`, [C], 0 or 1."""

    features = frozenset({"measures-data"})

    @property
    def name(self) -> str:
        return "labels"

    def measure(self, model: Model, weights: Tensors, x: Tensor, y: Tensor) -> Tree:
        del x
        present = torch.bincount(y, minlength=outputs(model, weights)) > 0
        return {"present": present.cpu().numpy().astype(np.float32)}


@dataclass(frozen=True)
class SendMeasured(ClientState):
    """Sends what a probe or the local update measured under `name`; remembers nothing."""

    name: str
    reducer: Reducer = "each"

    features = frozenset({"payload"})

    @property
    def payloads(self) -> dict[str, Reducer]:
        return {self.name: self.reducer}

    def update(
        self, state: Named, start: Start, published: Named, outcome: LocalOutcome, round: Round
    ) -> tuple[Named, Named]:
        del start, published, round
        found = outcome.measured.get(self.name)
        return state, {} if found is None else {self.name: found}


@dataclass(frozen=True)
class MeanOverOwners(Combiner):
    """Per coordinate the mean over its holders; a class's row of the head counts those alone who own samples of it.

    Diao et al. 2021, section 3, and the authors' code for the head. Without `labels` in the reports it is `WeightedMean`.
    """

    features = frozenset({"owned-rows"})

    def combine(self, reports: Sequence[Report], share: NDArray[np.float64], round: Round) -> Tree:
        return WeightedMean().combine([_owned(report, round.model) for report in reports], share, round)


def _owned(report: Report, model: Model) -> Report:
    labels = report.payload.get("labels")
    if labels is None or bool(labels["present"].all()):
        return report
    mask: Mask = {key: _held(report, key) for key in report.update}
    heads = [key for key in mask if model.role(key) == "head"]
    for key in heads:
        mask[key] = mask[key] & _spread(labels["present"] > 0, mask[key])
    return replace(report, mask=mask)


def _spread(present: NDArray[np.bool_], held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of the client's classes over all outputs, [C], where `held` [..., C] are the coordinates that the client holds."""
    everywhere = np.array(held.any(tuple(range(held.ndim - 1))))
    everywhere[everywhere] = present
    return everywhere


def _held(report: Report, key: str) -> NDArray[np.bool_]:
    return np.ones(report.update[key].shape, np.bool_) if report.mask is None else report.mask[key]
