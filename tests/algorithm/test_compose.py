"""Composing strategies, and the compositions that are refused."""

from dataclasses import replace

import pytest

from fedwright_federation.algorithm import (
    ClashError,
    LocalUpdate,
    Sgd,
    Strategy,
    check,
    compose,
)
from fedwright_federation.algorithm.legality import PRIVACY_RULES, RULES
from fedwright_federation.models import Mlp
from fedwright_federation.parts.codecs import Qsgd
from fedwright_federation.parts.gradient_terms import Proximal
from fedwright_federation.parts.schedules import PartialWork
from fedwright_federation.parts.server_optimizers import Adaptive, ServerControl
from fedwright_federation.parts.views import NORM, PrivateRoles
from fedwright_federation.parts.weighting import Uniform
from fedwright_federation.simulation.privacy import PrivacySpec
from fedwright_federation.strategies import fedadam, fedavg, fedavgm, fedbn, fedpaq, fedprox, scaffold

MODEL = Mlp((8,), 3, (6, 5), normalised=True)


def test_a_strategy_that_names_nothing_is_fedavg() -> None:
    assert replace(fedavg(), hyperparameters={}) == Strategy()
    assert Strategy().features == frozenset()
    assert check(Strategy(), MODEL) == []


def test_fedprox_with_fedpaqs_codec_and_fedadams_server_is_one_strategy() -> None:
    mixed = compose(fedprox(mu=0.2, lr=0.05), fedpaq(levels=3), fedadam(server_lr=0.01))
    assert mixed.name == "FedProx+FedPAQ+FedAdam"
    assert mixed.gradients == (Proximal(0.2),)
    assert mixed.schedule == PartialWork()
    assert mixed.upload == Qsgd(3)
    assert isinstance(mixed.server, Adaptive)
    assert mixed.weighting == Uniform()
    assert mixed.local == Sgd(0.05), "the first strategy gives the learning rate"
    assert mixed.hyperparameters["lr"] == 0.05
    assert mixed.hyperparameters["levels"] == 3
    assert check(mixed, MODEL) == []


def test_the_order_of_composition_keeps_every_part() -> None:
    left, right = compose(fedbn(), fedprox()), compose(fedprox(), fedbn())
    assert left.view == right.view == PrivateRoles(NORM)
    assert left.gradients == right.gradients
    assert left.schedule == right.schedule == PartialWork()


def test_two_strategies_that_fill_one_slot_clash_by_name() -> None:
    with pytest.raises(ClashError, match=r"slot server is filled by Adaptive\(.*ServerMomentum"):
        compose(fedadam(), fedavgm())


def test_a_wrapping_server_part_lets_two_server_rules_meet() -> None:
    both = replace(scaffold(), server=ServerControl(fedadam().server))
    assert "server-state" in both.features
    assert check(both, MODEL) == []


def test_a_strategy_without_a_loss_is_no_strategy() -> None:
    with pytest.raises(ValueError, match="has no loss term"):
        Strategy(losses=())


# -- refusals ----------------------------------------------------------------------------------------------------------
class Declares:
    """A part that declares features, to try the rules on."""

    def __init__(self, *features: str) -> None:
        self.features = frozenset(features)
        self.needs = frozenset()
        self.cohort = True


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_applies_to_its_features_and_to_nothing_less(rule) -> None:
    def rules(features: frozenset[str]) -> set[str]:
        strategy = replace(Strategy(), probes=(Declares(*features),))
        return {found.rule for found in check(strategy, MODEL)}

    assert rule.name in rules(rule.all_of)
    for feature in rule.all_of:
        assert rule.name not in rules(rule.all_of - {feature})
    for feature in rule.unless:
        assert rule.name not in rules(rule.all_of | {feature})


@pytest.mark.parametrize("unit", PRIVACY_RULES)
def test_what_privacy_cannot_honour_names_the_field(unit: str) -> None:
    for rule in PRIVACY_RULES[unit]:
        features = {f for f in rule.all_of if not f.startswith("model:")}
        strategy = replace(Strategy(), probes=(Declares(*features),))
        found = check(strategy, MODEL, PrivacySpec(unit, 1.0, 1e-3))
        assert rule.name in {refusal.rule for refusal in found}
        assert all(refusal.reason.startswith("spec.privacy: ") for refusal in found if refusal.rule == rule.name)


def test_a_missing_capability_names_the_part_the_slot_and_the_capability() -> None:
    (refusal,) = check(fedbn(), Mlp((8,), 3))
    assert refusal.fatal
    assert refusal.reason.startswith("PrivateRoles in slot view needs a model with batch_norm")


def test_private_steps_need_parts_that_accept_one_example_at_a_time() -> None:
    class Ours(LocalUpdate):
        pass

    strategy = replace(Strategy(), local=Ours())
    (refusal,) = check(strategy, Mlp((8,), 3), PrivacySpec("Example", 1.0, 1e-3))
    assert refusal.rule == "private-cohort"
