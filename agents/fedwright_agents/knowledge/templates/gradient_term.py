"""A gradient term: a pull back to the start of the round, on the head alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedwright_federation.algorithm import GradientTerm, Sgd, Step, Strategy, Tensors


@dataclass(frozen=True)
class HeadPull(GradientTerm):
    """mu (w - start) for keys of the head; other keys are left out, which adds nothing to them."""

    mu: float = 0.1

    cohort = True

    def __call__(self, step: Step) -> Tensors:
        keys = [key for key in step.trained if step.model.role(key) == "head"]
        return {key: self.mu * (step.weights[key] - step.start[key]) for key in keys}


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    chosen = {"lr": 0.1, "mu": 0.1, **hyperparameters}
    return Strategy(
        name="HeadPull", gradients=(HeadPull(chosen["mu"]),), local=Sgd(lr=chosen["lr"]), hyperparameters=chosen
    )
