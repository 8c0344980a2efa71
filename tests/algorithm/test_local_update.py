"""How far a local update travels: the norm by which FedNova and SCAFFOLD divide."""

import pytest

from fedwright_federation.algorithm import LocalPlan, Phase, Sgd


def plan(*steps: int) -> LocalPlan:
    return LocalPlan(tuple(Phase(s) for s in steps))


def test_plain_sgd_travels_its_steps() -> None:
    assert Sgd(lr=0.1).travel(plan(7), 0.0) == pytest.approx(0.7)


@pytest.mark.parametrize(("rho", "tau"), [(0.9, 10), (0.5, 3), (0.99, 50)])
def test_momentum_travels_as_fednova_says(rho: float, tau: int) -> None:
    """Wang et al. 2020, section 4: ||a||_1 = [tau - rho (1 - rho^tau)/(1 - rho)]/(1 - rho)."""
    norm = (tau - rho * (1 - rho**tau) / (1 - rho)) / (1 - rho)
    assert Sgd(lr=0.2, momentum=rho).travel(plan(tau), 0.0) == pytest.approx(0.2 * norm)


@pytest.mark.parametrize("mu", [0.01, 1.0])
def test_a_proximal_term_shortens_the_way_as_fednova_says(mu: float) -> None:
    """Wang et al. 2020, section 4: ||a||_1 = [1 - (1 - lr mu)^tau]/(lr mu)."""
    assert Sgd(lr=0.1).travel(plan(20), mu) == pytest.approx((1 - (1 - 0.1 * mu) ** 20) / mu)


def test_momentum_begins_anew_in_each_phase_and_phases_have_their_own_rate() -> None:
    sgd = Sgd(lr=0.1, momentum=0.9)
    assert sgd.travel(plan(4, 4), 0.0) == pytest.approx(2 * sgd.travel(plan(4), 0.0))
    halved = LocalPlan((Phase(4, lr_factor=0.5),))
    assert sgd.travel(halved, 0.0) == pytest.approx(0.5 * sgd.travel(plan(4), 0.0))


def test_a_budget_cuts_the_last_phases_first() -> None:
    assert [phase.steps for phase in plan(5, 5, 5).within(7).phases] == [5, 2, 0]
    assert plan(5, 5).within(100) == plan(5, 5)
