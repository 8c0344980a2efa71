"""How good a model is on a node's held-out rows."""

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from fedwright_federation.algorithm.model import Model
from fedwright_federation.algorithm.strategy import Strategy
from fedwright_federation.algorithm.tree import Tree
from fedwright_federation.simulation.run import Shard


def measure(strategy: Strategy, model: Model, weights: Tree, rows: Shard, device: torch.device) -> dict[str, float]:
    """`rows`, and over them `accuracy` and mean cross-entropy `loss`; of no rows, `rows` alone."""
    if not len(rows.y):
        return {"rows": 0.0}
    tensors = {key: torch.from_numpy(np.array(value)).to(device) for key, value in weights.items()}
    x, labels = torch.from_numpy(rows.x).to(device), torch.from_numpy(rows.y).to(device)
    with torch.no_grad():
        logits = strategy.evaluation.logits(model.forward(tensors, x, train=False))
        loss = cross_entropy(logits, labels)
    hits = (logits.argmax(-1) == labels).float().mean()
    return {"rows": float(len(labels)), "accuracy": float(hits), "loss": float(loss)}
