"""Pairs of methods that do not go together are refused with the reason, and those that do are not."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from fedwright_federation.algorithm import (
    ClashError,
    ClientState,
    Finish,
    IllegalStrategyError,
    LocalUpdate,
    Probe,
    Sgd,
    Strategy,
    View,
    WeightedMean,
    compose,
    require_legal,
)
from fedwright_federation.models import Mlp
from fedwright_federation.parts.codecs import Qsgd
from fedwright_federation.parts.lowrank import LowRank
from fedwright_federation.parts.server_optimizers import ServerControl, ServerMomentum
from fedwright_federation.parts.widths import WidthSlices
from fedwright_federation.simulation.privacy import PrivacySpec
from fedwright_federation.strategies import fedadam, fedavg, fedavgm, fedbn, fedpaq, fedprox, scaffold
from fedwright_federation.strategies.depthfl import depthfl
from fedwright_federation.strategies.feddm import feddm
from fedwright_federation.strategies.feddyn import feddyn
from fedwright_federation.strategies.fedkd import fedkd
from fedwright_federation.strategies.fedmlb import fedmlb
from fedwright_federation.strategies.fednova import fednova
from fedwright_federation.strategies.fedns import fedns
from fedwright_federation.strategies.fedpara import fedpara
from fedwright_federation.strategies.fedrep import fedrep
from fedwright_federation.strategies.heterofl import heterofl
from fedwright_federation.strategies.moon import moon

MODEL = Mlp((8,), 3, (6, 5), normalised=True)


@dataclass(frozen=True)
class LocalAdam(Sgd):
    """Adam at the client, for which no path length is defined."""

    features = frozenset({"nonlinear-local"})


@dataclass(frozen=True)
class Untold(LocalUpdate):
    """Moves somehow, and declares nothing."""

    cohort = True

    def run(self, job):  # type: ignore[no-untyped-def]
        return {}


@dataclass(frozen=True)
class Means(Probe):
    """Measures samples, and declares nothing."""

    name = "means"

    def measure(self, model, weights, x, y):  # type: ignore[no-untyped-def]
        return {"x": x.mean(0).numpy()}


@dataclass(frozen=True)
class Telling(ClientState):
    """Sends something, and declares nothing."""

    @property
    def payloads(self):  # type: ignore[no-untyped-def]
        return {"means": "mean"}

    def update(self, state, start, published, outcome, round):  # type: ignore[no-untyped-def]
        return {}, dict(outcome.measured)


@dataclass(frozen=True)
class Median(WeightedMean):
    """The coordinate-wise median (Yin et al. 2018)."""

    features = frozenset({"order-statistic"})

    def combine(self, reports, share, round):  # type: ignore[no-untyped-def]
        return {k: np.median([r.update[k] for r in reports], axis=0).astype(np.float32) for k in reports[0].update}


@dataclass(frozen=True)
class RankSlices(View):
    """Cuts columns of the factors."""

    features = frozenset({"factorised", "frames", "rank-frames"})


@dataclass(frozen=True)
class FreshSlices(WidthSlices):
    """Other units every round (as FedRolex does)."""

    features = frozenset({"frames", "fresh-frames"})


@dataclass(frozen=True)
class RefreshStatistics(Finish):
    """HeteroFL's static batch norm: statistics are measured anew after training."""

    features = frozenset({"batch-statistics"})

    def finish(self, x, aggregate, round):  # type: ignore[no-untyped-def]
        return x


def by_hand(strategy: Strategy, **slots: object) -> Callable[[], Strategy]:
    return lambda: replace(strategy, **slots)  # type: ignore[arg-type]


def both(first: Strategy, second: Strategy) -> Strategy:
    """All terms and states of both, with the first one's single parts."""
    return replace(
        first,
        losses=tuple(dict.fromkeys((*first.losses, *second.losses))),
        gradients=(*first.gradients, *second.gradients),
        states=(*first.states, *second.states),
    )


REFUSED: dict[str, tuple[Callable[[], Strategy], str]] = {
    "SCAFFOLD and local Adam": (by_hand(scaffold(), local=LocalAdam()), "travel-undefined"),
    "FedNova and local Adam": (by_hand(fednova(), local=LocalAdam()), "travel-undefined"),
    "SCAFFOLD and FedDyn": (lambda: both(scaffold(), feddyn()), "double-correction"),
    "FedDyn and server momentum": (by_hand(feddyn(), server=ServerMomentum()), "dynamic-server"),
    "FedDyn and FedAdam": (by_hand(feddyn(), server=fedadam().server), "dynamic-server"),
    "SCAFFOLD around FedDyn's server": (by_hand(feddyn(), server=ServerControl(feddyn().server)), "double-correction"),
    "FedDyn and weights by samples": (by_hand(feddyn(), weighting=fedavg().weighting), "dynamic-weights"),
    "FedDyn and FedNova": (by_hand(feddyn(), weighting=fednova().weighting), "dynamic-weights"),
    "FedDyn and the median": (by_hand(feddyn(), combiner=Median()), "dynamic-order-statistic"),
    "FedDyn and rows of the head by owners": (lambda: compose(feddyn(), heterofl()), "dynamic-owned-rows"),
    "SCAFFOLD and a local update that tells no length": (by_hand(scaffold(), local=Untold()), "travel-undefined"),
    "FedNova and FedDM": (by_hand(feddm(), weighting=fednova().weighting), "travel-without-steps"),
    "SCAFFOLD and FedDM": (lambda: both(feddm(), scaffold()), "travel-without-steps"),
    "SCAFFOLD and FedNova": (by_hand(scaffold(), weighting=fednova().weighting), "control-weights"),
    "SCAFFOLD and HeteroFL": (by_hand(scaffold(), view=WidthSlices()), "control-frames"),
    "SCAFFOLD and DepthFL": (by_hand(scaffold(), view=depthfl().view), "control-frames"),
    "FedDyn and other units every round": (by_hand(feddyn(), view=FreshSlices()), "state-of-changing-shape"),
    "MOON and other units every round": (by_hand(moon(projection=0), view=FreshSlices()), "state-of-changing-shape"),
    "SCAFFOLD and other units every round": (by_hand(scaffold(), view=FreshSlices()), "state-of-changing-shape"),
    "FedPara and slices of the rank": (by_hand(fedpara(), view=RankSlices()), "ranks-sliced"),
    "the median and HeteroFL": (by_hand(heterofl(), combiner=Median()), "order-statistic-frames"),
    "the median and FedNS": (by_hand(fedns(), combiner=Median()), "order-statistic-weights"),
    "FedBN and static batch norm": (by_hand(fedbn(), finish=RefreshStatistics()), "private-statistics-refreshed"),
    "FedDM and FedAvgM": (lambda: compose(feddm(), fedavgm()), "synthetic-server-optimizer"),
    "FedDM and QSGD": (by_hand(feddm(), upload=Qsgd(1)), "synthetic-codec"),
    "FedKD's downloads and HeteroFL": (by_hand(heterofl(), download=LowRank()), "changes-of-frames"),
}


@pytest.mark.parametrize("pair", REFUSED)
def test_a_pair_that_is_wrong_is_refused_with_its_reason(pair: str) -> None:
    build, rule = REFUSED[pair]
    with pytest.raises(IllegalStrategyError) as caught:
        require_legal(build(), MODEL)
    found = {refusal.rule: refusal.reason for refusal in caught.value.refusals}
    assert rule in found
    assert len(found[rule]) > 40 and f"[{rule}] {found[rule]}" in str(caught.value)


WARNED: dict[str, tuple[Callable[[], Strategy], str]] = {
    "FedDyn and FedProx": (lambda: compose(feddyn(), fedprox()), "double-proximal"),
    "SCAFFOLD and low rank": (by_hand(scaffold(), upload=LowRank()), "biased-with-state"),
    "FedDyn and low rank": (by_hand(feddyn(), upload=LowRank()), "biased-dynamic"),
    "FedRep and MOON": (lambda: compose(fedrep(), moon(projection=0)), "global-head-private"),
    "FedRep and FedMLB": (lambda: compose(fedrep(), fedmlb()), "global-head-private"),
}


@pytest.mark.parametrize("pair", WARNED)
def test_a_pair_that_is_doubtful_runs_with_a_warning(pair: str) -> None:
    build, rule = WARNED[pair]
    assert rule in {warning.rule for warning in require_legal(build(), MODEL)}


@pytest.mark.parametrize(
    ("strategies", "slot"),
    [
        ((fednova(), fedpaq()), "weighting"),
        ((fednova(), fedns()), "weighting"),
        ((feddyn(), fedavgm()), "server"),
        ((scaffold(), feddyn()), "server"),
        ((feddm(), fedpaq()), "upload"),
        ((fedpara(), heterofl()), "view"),
        ((fedrep(), fedbn()), "view"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(s.name for s in value),
)
def test_two_methods_that_fill_one_slot_are_told_so(strategies: tuple[Strategy, ...], slot: str) -> None:
    with pytest.raises(ClashError, match=f"slot {slot} is filled by"):
        compose(*strategies)


LEGAL: dict[str, Callable[[], Strategy]] = {
    "SCAFFOLD with local momentum": lambda: scaffold(momentum=0.9),
    "FedProx and SCAFFOLD": lambda: compose(fedprox(), scaffold()),
    "FedDyn and DepthFL": lambda: compose(feddyn(), depthfl()),
    "FedDyn and HeteroFL": lambda: compose(feddyn(), heterofl(owners=0)),
    "QSGD and HeteroFL": lambda: compose(heterofl(), fedpaq()),
    "QSGD and FedAvgM": lambda: compose(fedavgm(), fedpaq()),
    "QSGD and FedNova": by_hand(fednova(), upload=Qsgd(3)),
    "FedNova with momentum and FedProx": lambda: compose(fednova(momentum=0.9), fedprox()),
    "FedBN and FedAdam": lambda: compose(fedbn(), fedadam()),
    "FedRep and FedAdam": lambda: compose(fedrep(), fedadam()),
    "FedPara and SCAFFOLD": lambda: compose(fedpara(), scaffold()),
    "FedMLB and FedDyn": lambda: compose(fedmlb(), feddyn()),
    "FedKD alone": fedkd,
    "FedNS on FedNova": lambda: fedns(base="travel"),
}


@pytest.mark.parametrize("pair", LEGAL)
def test_a_pair_that_is_right_is_neither_refused_nor_warned_of(pair: str) -> None:
    assert require_legal(LEGAL[pair](), MODEL) == []


@pytest.mark.parametrize(
    ("build", "unit", "rule"),
    [
        (scaffold, "Client", "private-payload"),
        (heterofl, "Client", "private-frames"),
        (fednova, "Client", "private-weights"),
        (fedns, "Client", "private-weights"),
        (feddm, "Client", "private-synthetic"),
        (by_hand(fedavg(), states=(Telling(),)), "Client", "private-payload"),
        (by_hand(fedavg(), probes=(Means(),)), "Example", "private-payload"),
        (by_hand(fedavg(), combiner=Median()), "Client", "private-combiner"),
        (feddm, "Example", "private-synthetic"),
        (heterofl, "Example", "private-payload"),
        (fedns, "Example", "private-payload"),
    ],
)
def test_what_only_a_sum_would_hide_is_refused_under_privacy(
    build: Callable[[], Strategy], unit: str, rule: str
) -> None:
    with pytest.raises(IllegalStrategyError, match=rf"\[{rule}\] spec\.privacy"):
        require_legal(build(), Mlp((8,), 3, (6, 5)), PrivacySpec(unit, 1.0, 1e-3))
