"""Methods put together from configuration alone: each composition runs, and is its parent where the other's knob is neutral."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from federations import (
    Net,
    accuracy,
    batches,
    by_label,
    close,
    digits,
    federate,
    final,
    prepare,
    same,
    server_state,
    spec,
    tiny,
)

from fedwright_federation.algorithm import Strategy, check, compose
from fedwright_federation.algorithm.legality import refusals
from fedwright_federation.models import Mlp
from fedwright_federation.parts.codecs import Qsgd
from fedwright_federation.parts.views import PrivateRoles
from fedwright_federation.parts.weighting import Uniform
from fedwright_federation.parts.widths import WidthSlices
from fedwright_federation.simulation.run import Shard
from fedwright_federation.strategies import fedadam, fedavgm, fedbn, fedpaq, fedprox, scaffold
from fedwright_federation.strategies.depthfl import depthfl
from fedwright_federation.strategies.feddyn import feddyn
from fedwright_federation.strategies.fedmlb import fedmlb
from fedwright_federation.strategies.fednova import fednova
from fedwright_federation.strategies.fedns import fedns
from fedwright_federation.strategies.fedpara import fedpara
from fedwright_federation.strategies.fedrep import fedrep
from fedwright_federation.strategies.heterofl import heterofl
from fedwright_federation.strategies.moon import moon

MODEL, NORMED, BIG = Mlp((20,), 3, (16,)), Mlp((20,), 3, (16,), True), 10**6
FINE = 2**15
"""So many levels that quantising moves nothing that the tolerance sees."""


def uniform(strategy: Strategy) -> Strategy:
    return replace(strategy, weighting=Uniform())


@dataclass(frozen=True)
class Reduction:
    """A composition with one knob at neutral, and what it must then be. `tolerance` 0 means to the bit."""

    composed: Callable[[], Strategy]
    parent: Callable[[], Strategy]
    tolerance: float = 0.0
    model: Mlp = MODEL


EIGHT_AND_MORE = {
    "fedprox+scaffold": lambda: compose(scaffold(0.1), fedprox(0.3)),
    "fedavgm+fedpaq": lambda: compose(fedavgm(0.9, 0.3), fedpaq(3)),
    "fedbn+fedprox": lambda: compose(fedbn(0.1), fedprox(0.3)),
    "fedrep+fedpaq": lambda: compose(fedrep(0.1), fedpaq(3)),
    "fednova+fedns": lambda: fedns(0.1, base="travel"),
    "fedpara+feddyn": lambda: compose(fedpara(0.1), feddyn(0.1)),
    "depthfl+feddyn": lambda: compose(depthfl(0.1), feddyn(0.1)),
    "moon+fedadam": lambda: compose(moon(0.1), fedadam(0.05)),
    "heterofl+fedprox": lambda: compose(heterofl(0.1), fedprox(0.3)),
    "heterofl+fedpaq": lambda: compose(heterofl(0.1), fedpaq(3)),
    "heterofl+fedavgm": lambda: compose(heterofl(0.1), fedavgm(0.5, 0.5)),
    "heterofl+feddyn": lambda: compose(heterofl(0.1, owners=0), feddyn(0.1)),
    "depthfl+fedpaq": lambda: compose(depthfl(0.1), fedpaq(3)),
    "fedmlb+fedavgm+fedpaq": lambda: compose(fedmlb(0.1), fedavgm(0.5, 0.5), fedpaq(3)),
    "fedrep+fednova+fedadam": lambda: compose(fedrep(0.1), fednova(), fedadam(0.05)),
}


@pytest.mark.parametrize("name", EIGHT_AND_MORE)
def test_it_is_legal_runs_and_moves(name: str) -> None:
    strategy, run = EIGHT_AND_MORE[name](), spec(rounds=3)
    model = Mlp((20,), 3, (16, 16), True)
    assert refusals(check(strategy, model)) == []
    for capabilities in ([1.0] * 4, [1.0, 0.5, 0.5, 0.3]):
        simulation = prepare(strategy, model, tiny(features=20), run, capabilities, "cohort")
        start = simulation.server.x
        reports = [simulation.step() for _ in range(3)]
        assert all(not report.rejected and len(report.reported) == 4 for report in reports)
        assert all(np.isfinite(value).all() for value in simulation.server.x.values())
        assert not close(start, simulation.server.x, 1e-3)


REDUCTIONS = {
    "fedprox+scaffold, mu 0": Reduction(lambda: compose(scaffold(0.1), fedprox(0.0)), lambda: scaffold(0.1)),
    "fedavgm+fedpaq, beta 0": Reduction(lambda: compose(fedavgm(0.0, 1.0), fedpaq(3)), lambda: fedpaq(3)),
    "fedavgm+fedpaq, no rounding": Reduction(
        lambda: compose(fedavgm(0.9, 0.3), fedpaq(FINE)), lambda: uniform(fedavgm(0.9, 0.3)), 1e-3
    ),
    "fedbn+fedprox, mu 0": Reduction(lambda: compose(fedbn(0.1), fedprox(0.0)), lambda: fedbn(0.1), model=NORMED),
    "fedbn+fedprox, nothing private": Reduction(
        lambda: replace(compose(fedbn(0.1), fedprox(0.3)), view=PrivateRoles()), lambda: fedprox(0.3), model=NORMED
    ),
    "fedrep+fedpaq, no head of its own": Reduction(
        lambda: compose(fedrep(0.1, head_share=0), fedpaq(3)), lambda: fedpaq(3)
    ),
    "fedrep+fedpaq, no rounding": Reduction(
        lambda: compose(fedrep(0.1), fedpaq(FINE)), lambda: uniform(fedrep(0.1)), 1e-3
    ),
    "fednova+fedns, nobody stands out": Reduction(
        lambda: fedns(0.1, base="travel", separation=1e9), lambda: fednova(0.1), 1e-6
    ),
    "fednova+fedns, equal work": Reduction(lambda: fedns(0.1, base="travel"), lambda: fedns(0.1)),
    "fedpara+feddyn, alpha 0": Reduction(
        lambda: compose(fedpara(0.1), feddyn(alpha=0.0)), lambda: uniform(fedpara(0.1))
    ),
    "fedpara+feddyn, all dense": Reduction(
        lambda: compose(fedpara(0.1, smallest=BIG), feddyn(alpha=0.2)), lambda: feddyn(0.1, 0.2)
    ),
    "depthfl+feddyn, alpha 0": Reduction(
        lambda: compose(depthfl(0.1), feddyn(alpha=0.0)), lambda: depthfl(0.1), model=Mlp((20,), 3, (16, 8))
    ),
    "depthfl+feddyn, one exit": Reduction(lambda: compose(depthfl(0.1), feddyn(alpha=0.2)), lambda: feddyn(0.1, 0.2)),
    "moon+fedadam, mu 0": Reduction(
        lambda: compose(moon(0.1, mu=0.0, projection=0), fedadam(0.05)), lambda: fedadam(0.05)
    ),
    "moon+fedadam, steps of one": Reduction(
        lambda: compose(moon(0.1), fedadam(2.0, beta1=0.0, beta2=1.0, tau=1.0)), lambda: moon(0.1), 1e-5
    ),
    "heterofl+fedprox, all whole": Reduction(
        lambda: compose(heterofl(0.1), fedprox(0.3)), lambda: uniform(fedprox(0.3))
    ),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_with_one_knob_at_neutral_it_is_the_other_method(name: str) -> None:
    case, run, shards = REDUCTIONS[name], spec(rounds=3), tiny(features=20)
    composed, parent = (final(build(), case.model, shards, run) for build in (case.composed, case.parent))
    if case.tolerance:
        assert close(composed, parent, case.tolerance)
    else:
        assert same(composed, parent)


def test_in_the_first_round_scaffold_corrects_nothing_so_that_fedprox_is_left() -> None:
    run, shards = spec(rounds=1), tiny(features=20)
    assert same(
        final(compose(scaffold(0.1), fedprox(0.3)), MODEL, shards, run),
        final(uniform(fedprox(0.3)), MODEL, shards, run),
    )


def test_a_client_that_holds_a_slice_quantises_the_slice() -> None:
    """The norm is that of the slice's tensors, and only its coordinates take bits."""
    run = spec(rounds=1)
    simulation = prepare(compose(heterofl(0.1), fedpaq(3)), MODEL, tiny(features=20), run, [1.0, 0.5, 0.5, 0.5])
    uploads = simulation._train(simulation.server.configure(1))
    plain = prepare(heterofl(0.1), MODEL, tiny(features=20), run, [1.0, 0.5, 0.5, 0.5])
    exact = plain._train(plain.server.configure(1))
    for client, width in ((0, 16), (1, 8)):
        upload, update = uploads[client], exact[client]
        assert upload and update
        coordinates = (20 + 1 + 3) * width + 3
        assert upload.update["codes"].size == -(-coordinates * Qsgd(3).bits // 8)
        norms = [np.linalg.norm(update.update[key]) for key in sorted(update.update)]
        assert np.allclose(upload.update["norms"], norms, rtol=1e-5)
    simulation.server.aggregate(1, uploads)


def test_factors_of_a_thin_client_compose_to_a_slice_of_the_weights() -> None:
    """FedPara under width slices, by hand: the view that factorises, with frames over the rows."""

    @dataclass(frozen=True)
    class ThinFactors(type(fedpara().view)):  # type: ignore[misc]
        def frame(self, client, like, round):  # type: ignore[no-untyped-def]
            return WidthSlices().frame(client, like, round)

    model = Mlp((20,), 3, (32, 32))
    strategy = replace(fedpara(0.1), view=ThinFactors(0.0), weighting=Uniform())
    simulation = prepare(strategy, model, tiny(features=20), spec(rounds=2), [1.0, 0.5, 0.5, 0.5])
    shapes = {
        client: {key: value.shape for key, value in download.model.items()}
        for client, download in simulation.server.configure(1).items()
    }
    assert shapes[0]["body.1.weight.x1"] == (32, 6) and shapes[1]["body.1.weight.x1"] == (16, 6)
    assert not simulation.step().rejected


def test_a_control_variate_of_a_client_with_its_own_head_is_the_mean_gradient_of_the_body() -> None:
    """The head's steps move nothing of what travels, so they do not count in the divisor."""
    run, shards = spec(rounds=1, steps=6), tiny(features=20)
    simulation = prepare(compose(fedrep(0.1, head_share=0.5), scaffold(0.1)), MODEL, shards, run)
    simulation.step()
    for i, (x, y) in enumerate(shards):
        net, total = Net.of(MODEL.init(run.seed)), np.zeros((20, 16))
        for step, rows in enumerate(batches(run, 1, i, len(y))):
            gradient = net.gradient(x[rows], y[rows])
            moving = "head." if step < 3 else "body."
            total += gradient["body.0.weight"] if step >= 3 else 0
            net.move({key: value for key, value in gradient.items() if key.startswith(moving)}, 0.1)
        found = simulation.memories[i].merged_states()["control"]["body.0.weight"]
        assert np.allclose(found, total / 3, atol=1e-5)


def test_under_width_slices_feddyns_h_is_the_mean_over_the_holders_of_each_coordinate() -> None:
    """Clients without some labels too: their rows of the head move by decay alone, and count all the same."""
    shards = tiny(features=20)
    shards[1] = Shard(shards[1].x[shards[1].y != 2], shards[1].y[shards[1].y != 2])
    strategy, run = compose(heterofl(0.1, owners=0), feddyn(0.1, alpha=0.3)), spec(rounds=6, decay=1e-2)
    simulation = prepare(strategy, MODEL, shards, run, [1.0, 0.5, 0.5, 0.3])
    for _ in range(6):
        simulation.step()
    frames = [WidthSlices().frame(d, simulation.server.x, run.round(1, MODEL)) for d in simulation.devices]
    for key, h in server_state(simulation, "dynamic").items():
        total, holders = np.zeros_like(h), np.zeros_like(h)
        for i, memory in simulation.memories.items():
            own, frame = memory.merged_states()["dynamic"][key], frames[i]
            lifted, mask = frame.lift({key: own}, {key: h}) if frame else ({key: own}, {key: np.ones_like(h)})
            total, holders = total + lifted[key], holders + mask[key]
        assert np.allclose(h, total / holders, atol=1e-6), key


def test_putting_scaffold_under_fedpaqs_codec_keeps_most_of_its_gain() -> None:
    """Three kinds of parts at once, where each matters: label skew, and few bits."""
    train, test = digits()
    shards, run = by_label(train, 10, 1), spec(rounds=12, steps=30, clients=10, batch=16, decay=1e-3)
    sizes, scores = {}, {}
    for strategy in (compose(scaffold(0.3), fedpaq(15)), scaffold(0.3), fedpaq(15, 0.3)):
        simulation = prepare(strategy, Mlp((64,), 10), shards, run, executor="cohort")
        sizes[strategy.name] = sum(simulation.step().upload_bytes for _ in range(run.training.rounds))
        scores[strategy.name] = accuracy(simulation, test)
    assert sizes["SCAFFOLD+FedPAQ"] < 0.6 * sizes["SCAFFOLD"]
    assert scores["SCAFFOLD+FedPAQ"] > scores["FedPAQ"] + 0.02
    assert scores["SCAFFOLD+FedPAQ"] > scores["SCAFFOLD"] - 0.05


def test_executors_agree_on_compositions() -> None:
    for name in ("depthfl+feddyn", "moon+fedadam", "heterofl+feddyn", "fedrep+fednova+fedadam"):
        one, many = (
            federate(
                EIGHT_AND_MORE[name](), Mlp((20,), 3, (16, 8)), tiny(features=20), spec(), [1.0, 0.5, 0.5, 1.0], how
            )
            for how in ("sequential", "cohort")
        )
        assert close(one.server.x, many.server.x, 1e-5), name
