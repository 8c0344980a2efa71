"""Models: against torch's own modules, for one client and for a cohort, whole and sliced."""

import numpy as np
import pytest
import torch

from fedwright_crds.task import Architecture, ModelSpec
from fedwright_federation.algorithm import CLASSES, Frame, Tensors, Tree
from fedwright_federation.models import Cnn, Mlp, build_model
from fedwright_federation.models.sequential import Sequential

MODELS = {
    "softmax": Mlp((64,), 10),
    "mlp": Mlp((64,), 10, (32, 16)),
    "mlp with batch norm": Mlp((64,), 10, (32, 16), normalised=True),
    "cnn": Cnn((8, 8), 10, (4, 6)),
    "cnn with batch norm": Cnn((8, 8), 10, (4, 6), normalised=True),
}


def tensors(tree: Tree) -> Tensors:
    return {key: torch.from_numpy(value) for key, value in tree.items()}


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_cohort_computes_what_its_clients_compute(model: Sequential) -> None:
    """Logits, features, statistics and gradients."""
    each = [tensors(model.init(seed)) for seed in range(3)]
    x, stacked = images(3, 5, 64), {key: torch.stack([tree[key] for tree in each]) for key in each[0]}
    together = model.forward(stacked, x, True)
    for i, tree in enumerate(each):
        alone = model.forward(tree, x[i], True)
        assert torch.allclose(together.logits[i], alone.logits, atol=1e-5)
        assert all(torch.allclose(a[i], b, atol=1e-5) for a, b in zip(together.features, alone.features, strict=True))
        assert all(torch.allclose(together.stats[k][i], v, atol=1e-6) for k, v in alone.stats.items())
    leaves = {key: value.clone().requires_grad_() for key, value in stacked.items() if model.role(key) != "bn_stat"}
    logits = model.forward({**stacked, **leaves}, x, True).logits
    gradients = torch.autograd.grad(logits.square().sum(), list(leaves.values()))
    own = {key: value.clone().requires_grad_() for key, value in each[1].items() if model.role(key) != "bn_stat"}
    expected = torch.autograd.grad(
        model.forward({**each[1], **own}, x[1], True).logits.square().sum(), list(own.values())
    )
    assert all(torch.allclose(g[1], e, atol=1e-3, rtol=1e-4) for g, e in zip(gradients, expected, strict=True))


def test_a_convolutional_model_equals_torch_modules() -> None:
    model = MODELS["cnn with batch norm"]
    tree, x = tensors(model.init(0)), images(7, 64)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(4, 6, 3, padding=1), torch.nn.BatchNorm2d(6), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(24, 10),
    )  # fmt: skip
    with torch.no_grad():
        for k, place in ((0, 0), (1, 4)):
            net[place].weight.copy_(tree[f"body.{k}.weight"])
            net[place].bias.copy_(tree[f"body.{k}.bias"])
        net[9].weight.copy_(tree["head.weight"].flatten(0, 1).T)
        net[9].bias.copy_(tree["head.bias"])
        out = model.forward(tree, x, True)
        assert torch.allclose(out.logits, net(x.view(7, 1, 8, 8)), atol=1e-5)
    assert torch.allclose(out.stats["norm.1.mean"], net[5].running_mean, atol=1e-6)
    assert torch.allclose(out.stats["norm.1.variance"], net[5].running_var, atol=1e-5)
    net.eval()
    evaluated = model.forward({**tree, **out.stats}, x, False)
    assert torch.allclose(evaluated.logits, net(x.view(7, 1, 8, 8)), atol=1e-5)
    assert not evaluated.stats


@pytest.mark.parametrize(
    "model", [m for m in MODELS.values() if m.blocks], ids=[n for n, m in MODELS.items() if m.blocks]
)
def test_entering_after_a_block_goes_on_to_the_same_logits(model: Sequential) -> None:
    tree, x = tensors(model.init(0)), images(5, 64)
    whole = model.forward(tree, x, False)
    for block, hidden in enumerate(whole.features, start=1):
        assert torch.equal(model.forward_from(tree, block, hidden, False).logits, whole.logits)


@pytest.mark.parametrize(
    "model", [m for m in MODELS.values() if m.blocks], ids=[n for n, m in MODELS.items() if m.blocks]
)
def test_a_thinner_or_shallower_tree_is_a_thinner_or_shallower_model(model: Sequential) -> None:
    """Half of every hidden group by `axes`; then the first block alone by `block`."""
    tree, x = model.init(0), images(5, 64)
    frame = Frame(
        {
            key: tuple(
                np.arange(n // 2 if group not in {None, CLASSES} else n)
                for n, group in zip(v.shape, model.axes(key), strict=True)
            )
            for key, v in tree.items()
        }
    )
    thin = model.forward(tensors(frame.down(tree)), x, True)
    assert thin.logits.shape == (5, 10)
    assert thin.features[-1].numel() * 2 == model.forward(tensors(tree), x, True).features[-1].numel()
    shallow = {key: value for key, value in tree.items() if model.block(key) == 0}
    assert len(model.forward(tensors(shallow), x, True).features) == 1


def test_a_scaled_thin_model_multiplies_its_activations_in_training_alone() -> None:
    tree = tensors(Mlp((64,), 10, (8,)).init(0))
    scaled, plain = Mlp((64,), 10, (32,), scaled=True), Mlp((64,), 10, (32,))
    x = images(3, 64)
    ratio = scaled.forward(tree, x, True).features[0] / plain.forward(tree, x, True).features[0]
    assert torch.allclose(ratio[~ratio.isnan()], torch.tensor(4.0))
    assert torch.equal(scaled.forward(tree, x, False).logits, plain.forward(tree, x, False).logits)


def test_a_batch_of_one_is_normalised_by_the_running_statistics() -> None:
    model, x = MODELS["mlp with batch norm"], images(1, 64)
    tree = tensors(model.init(0))
    out = model.forward(tree, x, True)
    assert torch.equal(out.logits, model.forward(tree, x, False).logits)
    assert not out.stats


def test_equal_seeds_give_equal_weights() -> None:
    model = MODELS["cnn"]
    first, again, other = model.init(1), model.init(1), model.init(2)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["head.weight"], other["head.weight"])


def test_models_are_built_from_what_a_request_says() -> None:
    spec = ModelSpec(architecture=Architecture.MLP, hidden=(16,), batch_norm=True)
    assert build_model(spec, (8, 8), 10) == Mlp((8, 8), 10, (16,), True)
    assert build_model(ModelSpec(architecture=Architecture.SOFTMAX), (30,), 2) == Mlp((30,), 2)
    assert build_model(ModelSpec(architecture=Architecture.CNN, hidden=(4, 8)), (28, 28), 10).blocks == 2
    with pytest.raises(ValueError, match="Cnn needs images"):
        build_model(ModelSpec(architecture=Architecture.CNN), (30,), 2)
    with pytest.raises(ValueError, match="use fewer blocks"):
        build_model(ModelSpec(architecture=Architecture.CNN, hidden=(4, 4, 4, 4)), (8, 8), 10)
