"""A schedule: clients with few samples make fewer steps, and everyone's steps grow shorter."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fedwright_federation.algorithm import ClientInfo, LocalPlan, Phase, Round, Schedule, Sgd, Strategy


@dataclass(frozen=True)
class StepsBySamples(Schedule):
    """min(most, ceil(per_sample * n_i)) steps at lr (1 - fall * progress). Pure: server and client both compute it."""

    per_sample: float = 0.5
    most: int = 50
    fall: float = 0.5

    def plan(self, client: ClientInfo, round: Round) -> LocalPlan:
        steps = min(self.most, math.ceil(self.per_sample * client.samples))
        return LocalPlan((Phase(steps, lr_factor=1.0 - self.fall * round.progress),))


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    chosen = {"lr": 0.1, "per_sample": 0.5, "fall": 0.5, **hyperparameters}
    return Strategy(
        name="StepsBySamples",
        schedule=StepsBySamples(chosen["per_sample"], fall=chosen["fall"]),
        local=Sgd(lr=chosen["lr"]),
        hyperparameters=chosen,
    )
