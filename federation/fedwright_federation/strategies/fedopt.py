"""FedOpt: adaptive server optimizers (Reddi et al., ICLR 2021, arXiv 2003.00295, algorithm 2)."""

from typing import Literal

from fedwright_federation.algorithm import Sgd, Strategy
from fedwright_federation.parts.server_optimizers import Adaptive


def fedadam(
    server_lr: float = 0.1, beta1: float = 0.9, beta2: float = 0.99, tau: float = 1e-3, lr: float = 0.1
) -> Strategy:
    """`tau` is the degree of adaptivity: steps are at most about server_lr a coordinate. Tune lr and server_lr together."""
    return _fedopt("FedAdam", "adam", server_lr, beta1, beta2, tau, lr)


def fedyogi(
    server_lr: float = 0.1, beta1: float = 0.9, beta2: float = 0.99, tau: float = 1e-3, lr: float = 0.1
) -> Strategy:
    """As `fedadam`, with second moments that forget slowly when they shrink."""
    return _fedopt("FedYogi", "yogi", server_lr, beta1, beta2, tau, lr)


def fedadagrad(server_lr: float = 0.1, beta1: float = 0.0, tau: float = 1e-3, lr: float = 0.1) -> Strategy:
    """As `fedadam`, with second moments that only grow."""
    return _fedopt("FedAdagrad", "adagrad", server_lr, beta1, 0.0, tau, lr)


def _fedopt(
    name: str,
    rule: Literal["adagrad", "adam", "yogi"],
    server_lr: float,
    beta1: float,
    beta2: float,
    tau: float,
    lr: float,
) -> Strategy:
    named: dict[str, float | int | str] = {"server_lr": server_lr, "beta1": beta1, "tau": tau, "lr": lr}
    return Strategy(
        name=name,
        local=Sgd(lr),
        server=Adaptive(rule, server_lr, beta1, beta2, tau),
        hyperparameters=named if rule == "adagrad" else {**named, "beta2": beta2},
    )
