"""Multi-level branched regularisation (FedMLB, Kim, Kim and Han 2022): local features must suit the global model's blocks."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fedwright_federation.algorithm import LossTerm, Step
from fedwright_federation.algorithm.neutral import cross_entropy


@dataclass(frozen=True)
class Branches(LossTerm):
    """mean over k of cross_entropy * CE(z_k, y) + divergence * KL(softmax(z_k/T) || softmax(z/T)) (section 3).

    z_k are the logits of the hybrid branch: the client's own first k blocks, then the round's global ones, frozen and as in
    evaluation, k = 1 to the number of blocks. Gradients flow through the frozen blocks into the local ones.
    """

    cross_entropy: float = 1.0
    divergence: float = 1.0
    temperature: float = 1.0

    features = frozenset({"global-head"})
    needs = frozenset({"blocks"})
    cohort = True

    def __call__(self, step: Step) -> Tensor:
        branches = [self._branch(step, block, h) for block, h in enumerate(step.out.features, start=1)]
        return torch.stack(branches).mean(0)

    def _branch(self, step: Step, block: int, hidden: Tensor) -> Tensor:
        logits = step.model.forward_from(step.start, block, hidden, train=False).logits
        hard = cross_entropy(logits, step.y)
        soft = divergence(logits / self.temperature, step.out.logits / self.temperature)
        return self.cross_entropy * hard + self.divergence * soft


def divergence(target: Tensor, logits: Tensor) -> Tensor:
    """KL(softmax(target) || softmax(logits)), the mean over the batch; [..., B, C] gives [...]."""
    log_target = torch.log_softmax(target, -1)
    return (log_target.exp() * (log_target - torch.log_softmax(logits, -1))).sum(-1).mean(-1)
