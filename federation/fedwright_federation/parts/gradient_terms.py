"""What is added to the direction of each local step."""

from dataclasses import dataclass

from fedwright_federation.algorithm import GradientTerm, Step, Tensors


@dataclass(frozen=True)
class Proximal(GradientTerm):
    """mu (w - x), the gradient of (mu/2) ||w - x||^2 with x the round's start (FedProx, equation 2)."""

    mu: float = 0.0

    cohort = True

    @property
    def features(self) -> frozenset[str]:
        return frozenset({"proximal"} if self.mu else ())

    @property
    def contraction(self) -> float:
        return self.mu

    def __call__(self, step: Step) -> Tensors:
        if not self.mu:
            return {}
        return {key: self.mu * (step.weights[key] - step.start[key]) for key in step.trained}


@dataclass(frozen=True)
class ControlCorrection(GradientTerm):
    """c - c_i (SCAFFOLD, algorithm 1, line 10), on the keys that travel."""

    features = frozenset({"control-variates"})
    cohort = True

    def __call__(self, step: Step) -> Tensors:
        server, client = step.published["control"], step.state["control"]
        return {key: server[key] - client[key] for key in step.trained if key in client}
