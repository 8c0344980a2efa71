"""Gradients of the local objective, exact or private. Independent clients' losses are summed, so that one backward pass
gives each its own gradient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedwright_federation.algorithm.model import Tensors
from fedwright_federation.algorithm.parts import LossTerm, Step


@dataclass(frozen=True)
class Noise:
    """What one client's private gradients need: clip norm Z, standard deviation of the noise on the sum, its own stream."""

    clip_norm: float
    deviation: float
    rng: np.random.Generator


def exact(step: Step, losses: Sequence[LossTerm], leaves: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    """The gradient at `leaves`, zero where the objective ignores one, and the objective, [] or [K]. Sets `step.out`."""
    with torch.enable_grad():
        step.out = step.model.forward(step.weights, step.x, True)
        loss = losses[0](step)
        for term in losses[1:]:
            loss = loss + term(step)
        found = torch.autograd.grad(loss.sum() if loss.dim() else loss, leaves, allow_unused=True)
    gradient = [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)]
    return gradient, loss.detach()


def private(
    step: Step, losses: Sequence[LossTerm], noise: Sequence[Noise], stacked: bool
) -> tuple[list[Tensor], Tensor]:
    """As `exact`, with every example's gradient clipped and noise added before the batch's mean (Abadi et al. 2016).

    Each example becomes a client of its own with a batch of one: the cohort axis gives its gradient.
    """
    clients, batch = (step.y.shape[0], step.y.shape[1]) if stacked else (1, step.y.shape[0])
    single = _one_example_each(step, clients, batch, stacked)
    each, loss = exact(single, losses, [single.weights[key] for key in step.trained])
    step.out = single.out._replace(stats={})
    lengths = torch.stack([g.flatten(1).square().sum(1) for g in each]).sum(0).sqrt()
    factors = (noise[0].clip_norm / lengths.clamp_min(1e-12)).clamp_max(1.0).view(clients, batch)
    summed = [torch.einsum("kb,kb...->k...", factors, g.view(clients, batch, *g.shape[1:])) for g in each]
    noisy = [(total + _draw(noise, total)) / batch for total in summed]
    if not stacked:
        return [total[0] for total in noisy], loss.mean()
    return noisy, loss.view(clients, batch).mean(1)


def _one_example_each(step: Step, clients: int, batch: int, stacked: bool) -> Step:
    def spread(tensors: Mapping[str, Tensor]) -> Tensors:
        lead = {key: value if stacked else value.unsqueeze(0) for key, value in tensors.items()}
        return {key: value.repeat_interleave(batch, 0) for key, value in lead.items()}

    single = Step()
    single.model, single.trained = step.model, step.trained
    single.weights, single.start = spread(step.weights), spread(step.start)
    for key in step.trained:
        single.weights[key].requires_grad_()
    single.state = {name: spread(tree) for name, tree in step.state.items()}
    single.published = {name: spread(tree) for name, tree in step.published.items()}
    single.scalars = spread(step.scalars)
    single.present = spread({"present": step.present})["present"]
    examples = clients * batch
    single.x = step.x.reshape(examples, 1, *step.x.shape[1 + stacked :])
    single.y = step.y.reshape(examples, 1)
    return single


def _draw(noise: Sequence[Noise], like: Tensor) -> Tensor:
    """Each client's noise from its own stream, so that it does not depend on who else is in the stack."""
    draws = [one.rng.standard_normal(like.shape[1:], dtype=np.float32) * np.float32(one.deviation) for one in noise]
    return torch.from_numpy(np.stack(draws)).to(like.device)
