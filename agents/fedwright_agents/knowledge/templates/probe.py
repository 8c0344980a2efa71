"""A probe with the weighting that reads it: clients whose local loss is high at the start count more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fedwright_federation.algorithm import (
    Model,
    Named,
    Probe,
    Report,
    Round,
    Sgd,
    Strategy,
    Tensors,
    Tree,
    Weighting,
    Weights,
)
from fedwright_federation.algorithm.neutral import cross_entropy
from fedwright_federation.parts.widths import SendMeasured


@dataclass(frozen=True)
class StartingLoss(Probe):
    """Cross entropy of the downloaded model on the client's samples, shape [1]."""

    features = frozenset({"measures-data"})

    @property
    def name(self) -> str:
        return "loss"

    @property
    def when(self) -> Literal["start", "end"]:
        return "start"

    def measure(self, model: Model, weights: Tensors, x: Tensor, y: Tensor) -> Tree:
        with torch.no_grad():
            loss = cross_entropy(model.forward(weights, x, train=False).logits, y)
        return {"value": np.array([float(loss)], dtype=np.float32)}


@dataclass(frozen=True)
class ByLoss(Weighting):
    """share_i proportional to n_i (1e-3 + loss_i)^power (q-FedAvg's idea, Li et al. 2020)."""

    power: float = 1.0

    features = frozenset({"client-weights"})

    def weigh(self, reports: Sequence[Report], state: Named, round: Round) -> tuple[Weights, Named]:
        del round
        losses = np.array([float(report.payload["loss"]["value"][0]) for report in reports])
        share = np.array([report.samples for report in reports]) * (1e-3 + losses) ** self.power
        return Weights(share / share.sum(), np.ones(len(reports))), state


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    chosen = {"lr": 0.1, "power": 1.0, **hyperparameters}
    return Strategy(
        name="ByStartingLoss",
        local=Sgd(lr=chosen["lr"]),
        probes=(StartingLoss(),),
        states=(SendMeasured("loss", "each"),),
        weighting=ByLoss(chosen["power"]),
        hyperparameters=chosen,
    )
