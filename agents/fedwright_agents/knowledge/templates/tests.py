"""`test_strategy.py`, beside a candidate's `strategy.py`: what must hold whatever the data. Plain functions with asserts."""

from .strategy import build


def test_hyperparameters_reach_their_parts() -> None:
    usual = list(build({}).parts())
    for name, value in build({}).hyperparameters.items():
        assert list(build({name: float(value) * 0.75 + 0.07}).parts()) != usual, f"{name} reaches no part"


def test_two_builds_are_equal() -> None:
    assert build({}) == build({})
