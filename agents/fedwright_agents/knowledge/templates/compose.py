"""Two known methods and one part as one strategy: control variates, few bits a coordinate, and the server's own step."""

from collections.abc import Mapping

from fedwright_federation.algorithm import Strategy, compose
from fedwright_federation.strategies.fedpaq import fedpaq
from fedwright_federation.strategies.scaffold import scaffold


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    """`compose` takes each slot from whoever departs from FedAvg there, and raises ClashError where two do differently."""
    chosen = {"lr": 0.1, "server_lr": 1.0, "levels": 3.0, "momentum": 0.0, **hyperparameters}
    corrected = scaffold(chosen["lr"], chosen["server_lr"], chosen["momentum"])
    quantised = fedpaq(int(chosen["levels"]), chosen["lr"], chosen["momentum"])
    return compose(corrected, quantised, name="QuantisedScaffold")
