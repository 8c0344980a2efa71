"""What clients remember, and send beside their update."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedwright_federation.algorithm import ClientState, LocalOutcome, Named, Reducer, Round, Start


@dataclass(frozen=True)
class ControlVariate(ClientState):
    """SCAFFOLD, option II (algorithm 1, line 12): c_i <- c_i - c + (x - y)/(eta a), and the change is sent.

    eta a is the outcome's `travel`: eta K for plain SGD, and FedNova's norm where momentum or a proximal term bends the
    path, so that c_i stays a weighted mean of the gradients that were met.
    """

    features = frozenset({"control-variates", "needs-travel", "client-state", "payload"})

    @property
    def payloads(self) -> Mapping[str, Reducer]:
        return {"control": "sum"}

    def begin(self, start: Start, round: Round) -> Named:
        del round
        return {"control": {key: np.zeros_like(start.weights[key]) for key in sorted(start.shared)}}

    def update(
        self, state: Named, start: Start, published: Named, outcome: LocalOutcome, round: Round
    ) -> tuple[Named, Named]:
        del start, round
        own, server = state["control"], published["control"]
        inverse = np.float32(1.0 / outcome.travel)
        new = {key: value - server[key] - inverse * outcome.update[key] for key, value in own.items()}
        return {"control": new}, {"control": {key: value - own[key] for key, value in new.items()}}
