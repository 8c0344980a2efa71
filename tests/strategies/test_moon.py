"""MOON: features near the global model's and away from the client's own last ones."""

import math

import numpy as np
import pytest
import torch
from federations import Net, close, federate, final, prepare, same, spec, tensors, tiny

from fedwright_federation.algorithm import IllegalStrategyError, Step, require_legal
from fedwright_federation.models import Cnn, Mlp
from fedwright_federation.parts.contrast import ModelContrast, WithProjection
from fedwright_federation.strategies.fedavg import fedavg
from fedwright_federation.strategies.moon import moon

MODEL = Mlp((6,), 3, (5,))


def test_without_contrast_it_is_fedavg_to_the_bit() -> None:
    run, shards = spec(), tiny()
    plain = moon(0.2, mu=0.0, projection=0)
    assert same(final(plain, MODEL, shards, run), final(fedavg(0.2), MODEL, shards, run))


def step_at(own: int, downloaded: int, last: int) -> Step:
    """A local step where the three models are those of three seeds."""
    step, shard = Step(), tiny()[3]
    step.model = MODEL
    step.weights = {key: value.requires_grad_() for key, value in tensors(MODEL.init(own)).items()}
    step.start, step.state = tensors(MODEL.init(downloaded)), {"previous": tensors(MODEL.init(last))}
    step.x, step.y = torch.from_numpy(shard.x), torch.from_numpy(shard.y)
    step.out = MODEL.forward(step.weights, step.x, True)
    return step


def test_the_loss_is_the_papers() -> None:
    step = step_at(0, 1, 2)
    z, towards, away = (Net.of(MODEL.init(seed)).hidden(step.x.numpy().astype(np.float64)) for seed in range(3))

    def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-8)

    near, far = np.exp(cosine(z, towards) / 0.3), np.exp(cosine(z, away) / 0.3)
    assert ModelContrast(2.0, 0.3)(step).item() == pytest.approx(2.0 * np.mean(-np.log(near / (near + far))), rel=1e-5)


def test_no_gradient_enters_the_frozen_models() -> None:
    step = step_at(0, 1, 2)
    for tree in (step.start, step.state["previous"]):
        for value in tree.values():
            value.requires_grad_()
    ModelContrast()(step).backward()
    assert step.weights["body.0.weight"].grad is not None
    assert all(v.grad is None for tree in (step.start, step.state["previous"]) for v in tree.values())


def test_in_a_first_participation_the_term_is_log_two_and_pulls_nowhere() -> None:
    step = step_at(0, 1, 1)
    value = ModelContrast(3.0)(step)
    value.backward()
    assert value.item() == pytest.approx(3.0 * math.log(2))
    assert all(w.grad is None or w.grad.abs().max() < 1e-6 for w in step.weights.values())


def test_features_of_length_zero_leave_gradients_finite() -> None:
    step = step_at(0, 1, 2)
    for value in step.weights.values():
        value.data.zero_()
    step.out = MODEL.forward(step.weights, step.x, True)
    ModelContrast()(step).backward()
    assert all(w.grad is None or torch.isfinite(w.grad).all() for w in step.weights.values())


def test_a_client_is_kept_away_from_its_own_last_model_however_long_ago_that_was() -> None:
    """Of four clients one takes part a round; each keeps what it had when it last did."""
    run = spec(rounds=12, participation=0.25)
    simulation = prepare(moon(0.2), MODEL, tiny(), run)
    after: dict[int, dict[str, np.ndarray]] = {}
    for number in range(1, 13):
        before = simulation.server.x
        uploads = simulation._train(simulation.server.configure(number))
        for client, upload in uploads.items():
            assert upload
            after[client] = {key: before[key] + np.asarray(upload.update[key]) for key in before}
        simulation.server.aggregate(number, uploads)
        for client, weights in after.items():
            assert close(simulation.memories[client].merged_states()["previous"], weights)
    assert len(after) > 2


def test_the_projection_is_one_more_block_before_the_head() -> None:
    for base in (MODEL, Mlp((6,), 3, (5, 4), True), Cnn((4, 4), 3, (2, 3))):
        model = WithProjection(base)
        tree = tensors(model.init(0))
        x = torch.rand(7, math.prod(base.input_shape))
        whole = model.forward(tree, x, False)
        assert model.blocks == base.blocks + 1 == len(whole.features)
        for block in range(1, model.blocks + 1):
            entered = model.forward_from(tree, block, whole.features[block - 1], False)
            assert torch.allclose(entered.logits, whole.logits, atol=1e-6)
        assert {model.role(key) for key in tree if key.startswith("projection")} == {"projection"}
        assert model.block("head.weight") == model.blocks


def test_the_projection_is_two_layers_by_hand() -> None:
    model = WithProjection(MODEL)
    tree, x = model.init(0), tiny()[0].x
    net = Net.of({key: value for key, value in tree.items() if not key.startswith("projection")})
    w = {key: value.astype(np.float64) for key, value in tree.items()}
    z = net.hidden(x) @ w["projection.0.weight"] + w["projection.0.bias"]
    z = np.maximum(z, 0) @ w["projection.1.weight"] + w["projection.1.bias"]
    expected = z @ w["head.weight"] + w["head.bias"]
    assert np.allclose(model.forward(tensors(tree), torch.from_numpy(x), False).logits.numpy(), expected, atol=1e-5)


def test_both_executors_agree() -> None:
    for model in (MODEL, Cnn((4, 4), 3, (3,), True)):
        shards = tiny(features=math.prod(model.input_shape))
        one, many = (
            federate(moon(0.1), model, shards, spec(), executor=how).server.x for how in ("sequential", "cohort")
        )
        assert close(one, many, 1e-5)


def test_it_needs_features() -> None:
    with pytest.raises(IllegalStrategyError, match="features"):
        require_legal(moon(), Mlp((6,), 3))
