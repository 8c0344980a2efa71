"""A local update: Adam at the client, its moments fresh in every phase."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedwright_federation.algorithm import LocalJob, LocalUpdate, Named, Strategy


@dataclass(frozen=True)
class LocalAdam(LocalUpdate):
    """m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  w <- w - lr m^ / (sqrt(v^) + eps) (Kingma and Ba 2015).

    It is no fixed linear function of its gradients, so it says `nonlinear-local` and its `travel` stays 0. A small eps
    would blow rounding errors up to whole steps.
    """

    lr: float = 0.01
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-3

    features = frozenset({"nonlinear-local"})
    cohort = True

    def run(self, job: LocalJob) -> Named:
        for walk in job.walks():
            first, second = walk.buffers("first"), walk.buffers("second")
            for t in range(1, walk.steps + 1):
                rate = self.lr * walk.lr_factor / (1 - self.b1**t)
                for w, g, m, v in zip(walk.weights, walk.gradients(), first, second, strict=True):
                    m.mul_(self.b1).add_(g, alpha=1 - self.b1)
                    v.mul_(self.b2).addcmul_(g, g, value=1 - self.b2)
                    w.addcdiv_(m, (v / (1 - self.b2**t)).sqrt_().add_(self.eps), value=-rate)
        return {}


def build(hyperparameters: Mapping[str, float]) -> Strategy:
    chosen = {"lr": 0.01, **hyperparameters}
    return Strategy(name="LocalAdam", local=LocalAdam(lr=chosen["lr"]), hyperparameters=chosen)
