"""A loss term: predictions that are too sure of themselves cost something."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fedwright_federation.algorithm import CrossEntropy, LossTerm, Sgd, Step, Strategy


@dataclass(frozen=True)
class ConfidencePenalty(LossTerm):
    """weight * mean over the batch of sum_c p_c log p_c, the negative entropy (Pereyra et al. 2017)."""

    weight: float = 0.1

    cohort = True

    def __call__(self, step: Step) -> Tensor:
        logs = torch.log_softmax(step.out.logits, dim=-1)
        return self.weight * (logs.exp() * logs).sum(-1).mean(-1)


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    chosen = {"lr": 0.1, "weight": 0.1, **hyperparameters}
    return Strategy(
        name="ConfidencePenalty",
        losses=(CrossEntropy(), ConfidencePenalty(chosen["weight"])),
        local=Sgd(lr=chosen["lr"]),
        hyperparameters=chosen,
    )
