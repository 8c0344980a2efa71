"""FedMLB: local features go through the frozen global model's later blocks."""

import numpy as np
import pytest
import torch
from federations import close, federate, final, same, spec, tensors, tiny

from fedwright_federation.algorithm import IllegalStrategyError, Step, require_legal
from fedwright_federation.models import Cnn, Mlp
from fedwright_federation.parts.branches import Branches, divergence
from fedwright_federation.strategies.fedavg import fedavg
from fedwright_federation.strategies.fedmlb import fedmlb

MODEL = Mlp((6,), 3, (5, 4))


def test_without_branches_it_is_fedavg_to_the_bit() -> None:
    run, shards = spec(), tiny()
    assert same(final(fedmlb(0.2, lam1=0.0, lam2=0.0), MODEL, shards, run), final(fedavg(0.2), MODEL, shards, run))


def step_at(own: int, downloaded: int) -> Step:
    step, shard = Step(), tiny()[3]
    step.model = MODEL
    step.weights = {key: value.requires_grad_() for key, value in tensors(MODEL.init(own)).items()}
    step.start = tensors(MODEL.init(downloaded))
    step.x, step.y = torch.from_numpy(shard.x), torch.from_numpy(shard.y)
    step.out = MODEL.forward(step.weights, step.x, True)
    return step


def log_softmax(z: np.ndarray) -> np.ndarray:
    shifted = z - z.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def by_hand(own: int, downloaded: int, lam1: float, lam2: float, temperature: float) -> float:
    """The mean over the two branches: local block 1 and global 2 and head; local 1 and 2 and global head."""
    w, g = ({key: value.astype(np.float64) for key, value in MODEL.init(seed).items()} for seed in (own, downloaded))
    x, y = tiny()[3]

    def block(tree: dict[str, np.ndarray], k: int, h: np.ndarray) -> np.ndarray:
        return np.maximum(h @ tree[f"body.{k}.weight"] + tree[f"body.{k}.bias"], 0)

    def head(tree: dict[str, np.ndarray], h: np.ndarray) -> np.ndarray:
        return h @ tree["head.weight"] + tree["head.bias"]

    first = block(w, 0, x)
    second = block(w, 1, first)
    main = log_softmax(head(w, second) / temperature)
    total = 0.0
    for z in (head(g, block(g, 1, first)), head(g, second)):
        hard = -log_softmax(z)[np.arange(len(y)), y].mean()
        q = log_softmax(z / temperature)
        total += lam1 * hard + lam2 * (np.exp(q) * (q - main)).sum(1).mean()
    return total / 2


@pytest.mark.parametrize(("lam1", "lam2", "temperature"), [(1.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.5, 2.0, 3.0)])
def test_the_term_is_the_papers(lam1: float, lam2: float, temperature: float) -> None:
    found = Branches(lam1, lam2, temperature)(step_at(0, 1))
    assert found.item() == pytest.approx(by_hand(0, 1, lam1, lam2, temperature), rel=1e-5)


def test_gradients_pass_through_frozen_blocks_into_local_ones() -> None:
    step = step_at(0, 1)
    Branches(1.0, 0.0)(step).backward()
    for k in range(2):
        gradient = step.weights[f"body.{k}.weight"].grad
        assert gradient is not None and gradient.any()
    head = step.weights["head.weight"].grad
    assert head is None or not head.any(), "the local head is in no branch"


def test_the_downloaded_model_does_not_move_during_the_round() -> None:
    run, shards = spec(rounds=1), tiny()
    first = final(fedmlb(0.2), MODEL, shards, run)
    assert not close(first, final(fedavg(0.2), MODEL, shards, run), 1e-4)
    assert same(first, final(fedmlb(0.2), MODEL, shards, run))


def test_frozen_blocks_use_the_running_statistics() -> None:
    """In training mode a branch would normalise with the batch's own statistics, and its loss would differ."""
    model = Mlp((6,), 3, (5, 4), True)
    step, shard = Step(), tiny()[3]
    step.model, step.start = model, tensors(model.init(1))
    step.weights = tensors(model.init(0))
    step.x, step.y = torch.from_numpy(shard.x), torch.from_numpy(shard.y)
    step.out = model.forward(step.weights, step.x, True)
    step.start["norm.1.mean"] += 3.0
    shifted = Branches(1.0, 0.0)(step)
    step.start["norm.1.mean"] -= 3.0
    assert not torch.isclose(shifted, Branches(1.0, 0.0)(step))


def test_a_divergence_is_zero_between_equals_and_positive_otherwise() -> None:
    a, b = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(4, 5, 3)
    assert torch.allclose(divergence(a, a), torch.zeros(4), atol=1e-6)
    assert (divergence(a, b) > 0).all() and divergence(a, b).shape == (4,)


def test_both_executors_agree() -> None:
    for model, features in ((MODEL, 6), (Cnn((4, 4), 3, (3, 2), True), 16)):
        one, many = (
            federate(fedmlb(0.1), model, tiny(features=features), spec(), executor=how).server.x
            for how in ("sequential", "cohort")
        )
        assert close(one, many, 1e-5)


def test_it_needs_two_blocks() -> None:
    with pytest.raises(IllegalStrategyError, match="blocks"):
        require_legal(fedmlb(), Mlp((6,), 3, (5,)))
