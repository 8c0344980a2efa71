"""Clients with corrupted inputs count less (FedNS, noise sifting, Li et al. 2024).

A trained model's gradient towards the uniform distribution over classes is large on inputs that it recognises and small
on corrupted ones. Labels play no part in it, though a model trained on wrong labels shows itself in the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedwright_federation.algorithm import (
    BySamples,
    Model,
    Named,
    Probe,
    Report,
    Round,
    Tensors,
    Tree,
    Weighting,
    Weights,
)

MEASURE = "noise"
ALIKE = 0.6
"""Two groups whose typical norms are closer than this ratio are one."""


@dataclass(frozen=True)
class GradientToUniform(Probe):
    """L1 norm of d CE(uniform, softmax(z)) / d head weight, averaged over batches, after local training (section 3).

    Gives `norm`, [1]. Taken in the first `rounds` rounds alone.
    """

    rounds: int = 1
    batch_size: int = 32

    features = frozenset({"measures-data"})
    needs = frozenset({"head"})

    @property
    def name(self) -> str:
        return MEASURE

    def due(self, round: Round) -> bool:
        return round.number <= self.rounds

    def measure(self, model: Model, weights: Tensors, x: Tensor, y: Tensor) -> Tree:
        del y
        heads = {k: v.detach().requires_grad_() for k, v in weights.items() if model.role(k) == "head" and v.dim() > 1}
        batches = [x[first : first + self.batch_size] for first in range(0, len(x), self.batch_size)]
        norms = [self._norm(model, weights | heads, list(heads.values()), batch) for batch in batches]
        return {"norm": np.array([np.mean(norms)], dtype=np.float32)}

    def _norm(self, model: Model, weights: Tensors, heads: list[Tensor], batch: Tensor) -> float:
        with torch.enable_grad():
            logits = model.forward(weights, batch, train=False).logits
            gradients = torch.autograd.grad(-torch.log_softmax(logits, -1).mean(), heads)
        return float(sum(gradient.abs().sum() for gradient in gradients))


@dataclass(frozen=True)
class Sifted(Weighting):
    """The base's weights times `clean` or `noisy` (Li et al. 2024, section 3; 1.2 and 0.1 in the authors' code).

    A client's score is its mean norm relative to the cohort's in the rounds of the probe; two means split the scores, and
    the lower group is noisy if the two are far enough apart (see `lower_group`). Clients never scored count as clean.
    """

    base: Weighting = BySamples()  # noqa: RUF009 (frozen)
    clean: float = 1.2
    noisy: float = 0.1
    separation: float = 2.8

    @property
    def features(self) -> frozenset[str]:
        return self.base.features | {"client-weights", "head-norms"}

    def start(self, round: Round) -> Named:
        return self.base.start(round)

    def weigh(self, reports: Sequence[Report], state: Named, round: Round) -> tuple[Weights, Named]:
        weights, state = self.base.weigh(reports, state, round)
        state = state | scored(reports, state)
        flagged = self.flagged(state)
        factor = np.array([self.noisy if report.client in flagged else self.clean for report in reports])
        return replace(weights, share=weights.share * factor), state

    def flagged(self, state: Named) -> frozenset[int]:
        """Clients held to be noisy."""
        counts = state.get("noise-count", {})
        clients = list(counts)
        scores = np.array([float(state["noise-score"][c][0] / counts[c][0]) for c in clients])
        low = lower_group(scores, self.separation)
        return frozenset(int(client) for client, is_low in zip(clients, low, strict=True) if is_low)


def scored(reports: Sequence[Report], state: Named) -> Named:
    """`noise-score` and `noise-count`: by client id, the sum of its relative norms and their number, [1] each."""
    found = {str(r.client): float(r.payload[MEASURE]["norm"][0]) for r in reports if MEASURE in r.payload}
    typical = float(np.mean(list(found.values()))) if found else 0.0
    if typical <= 0:
        return {}
    score, count = dict(state.get("noise-score", {})), dict(state.get("noise-count", {}))
    for client, value in found.items():
        score[client] = score.get(client, np.zeros(1, np.float32)) + np.float32(value / typical)
        count[client] = count.get(client, np.zeros(1, np.float32)) + np.float32(1)
    return {"noise-score": score, "noise-count": count}


def lower_group(norms: NDArray[np.float64], separation: float) -> NDArray[np.bool_]:
    """The lower of two groups of positive norms, each of two clients or more; nobody where there are no two groups.

    Two means split the logarithms: norms that are all alike spread by factors, and a few great ones are no group. As two
    means split even what is all alike (halves of a normal distribution lie 2.65 deviations apart), the groups' centres must
    lie separation * (1 + 5/n) pooled deviations apart, and the lower one at `ALIKE` of the other or less. In one dimension
    the best split is between neighbours, so all are tried.
    """
    nobody = np.zeros(len(norms), dtype=np.bool_)
    if len(norms) < 4:
        return nobody
    logs = np.log(np.maximum(norms, 1e-12))
    ordered = np.sort(logs)
    splits = [(ordered[:k], ordered[k:]) for k in range(2, len(ordered) - 1)]
    spreads = [len(low) * low.var() + len(high) * high.var() for low, high in splits]
    best = int(np.argmin(spreads))
    low, high = splits[best]
    between, deviation = high.mean() - low.mean(), np.sqrt(spreads[best] / len(norms))
    if between < separation * (1 + 5 / len(norms)) * deviation or between < -np.log(ALIKE):
        return nobody
    return np.asarray(logs <= low[-1], dtype=np.bool_)
