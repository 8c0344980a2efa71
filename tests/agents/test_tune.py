"""The tuner: where it starts, where it goes, and that it repeats itself."""

import math

import pytest

from fedwright_agents.catalogue_mind.tune import tune
from fedwright_crds.candidate import Range, TrialScore
from fedwright_crds.documents import TuneInput
from fedwright_federation.catalogue import catalogue, of_method

LR = Range(name="lr", default=0.1, grid=(0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0), log=True)
MU = Range(name="mu", default=0.1, grid=(0.001, 0.01, 0.1, 1.0), log=True)
WIDE = Range(name="tau", default=0.01, low=1e-4, high=1.0, log=True)


def order(
    *ranges: Range, finished: tuple[TrialScore, ...] = (), trials: int = 4, higher: bool = True, seed: int = 0
) -> TuneInput:
    return TuneInput(
        hyperparameters=ranges,
        finished=finished,
        higher_is_better=higher,
        trials=trials,
        seed=seed,
        fixed={"beta": 0.9},
    )


def score(values: dict[str, float], value: float | None) -> TrialScore:
    return TrialScore(hyperparameters=values, rounds=10, seed=0, value=value)


def search(best: dict[str, float], *ranges: Range, total: int, batch: int = 4, higher: bool = True) -> list[TrialScore]:
    """A whole search on a bowl around `best`, in units of decades."""
    done: list[TrialScore] = []
    while len(done) < total:
        trials = tune(order(*ranges, finished=tuple(done), trials=min(batch, total - len(done)), higher=higher)).trials
        for values in trials:
            distance = sum(abs(math.log10(values[name] / at)) for name, at in best.items())
            done.append(score(values, -distance if higher else distance))
    return done


def test_it_begins_with_the_default_and_the_neighbouring_step_sizes() -> None:
    trials = tune(order(LR, MU)).trials
    assert [one["lr"] for one in trials] == [0.1, 0.3, 0.03, 0.1]
    assert [one["mu"] for one in trials] == [0.1, 0.1, 0.1, 1.0]
    assert all(one["beta"] == 0.9 for one in trials)


def test_every_method_of_the_catalogue_begins_with_the_same_step_sizes() -> None:
    """Fairness: equal numbers of trials over one grid of step sizes."""
    known = catalogue()
    methods = [one for one in known.methods if one != "feddm"]
    starts = {tuple(t["lr"] for t in tune(order(*of_method(known, one).ranges, trials=3)).trials) for one in methods}
    assert starts == {(0.1, 0.3, 0.03)}


@pytest.mark.parametrize("best", [0.003, 0.03, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("higher", [True, False])
def test_eight_trials_find_the_best_step_size_even_at_the_grids_edge(best: float, higher: bool) -> None:
    done = search({"lr": best}, LR, total=8, batch=4, higher=higher)
    assert best in {one.hyperparameters["lr"] for one in done}


def test_two_dimensions_are_searched_towards_the_best() -> None:
    done = search({"lr": 1.0, "mu": 0.001}, LR, MU, total=16)
    assert max(one.value or 0.0 for one in done) >= -1.1


def test_no_trial_is_made_twice_while_there_are_others() -> None:
    done = search({"lr": 1.0, "mu": 0.01}, LR, MU, total=28)
    assert len({tuple(sorted(one.hyperparameters.items())) for one in done}) == 28


def test_equal_input_gives_equal_trials() -> None:
    finished = tuple(search({"lr": 0.3}, LR, WIDE, total=6))
    assert tune(order(LR, WIDE, finished=finished)) == tune(order(LR, WIDE, finished=finished))


def test_an_interval_is_searched_within_its_bounds() -> None:
    done = search({"lr": 0.3, "tau": 0.001}, LR, WIDE, total=14)
    assert all(1e-4 <= one.hyperparameters["tau"] <= 1.0 for one in done)
    assert len({one.hyperparameters["tau"] for one in done}) > 3


def test_failed_trials_are_passed_over() -> None:
    finished = (score({"lr": 0.1}, None), score({"lr": 0.3}, None), score({"lr": 0.03}, 0.4), score({"lr": 1.0}, None))
    trials = tune(order(LR, finished=finished, trials=1)).trials
    assert trials[0]["lr"] == 0.01


def test_a_grid_that_is_used_up_is_refined_between_its_points() -> None:
    finished = tuple(score({"lr": value}, -abs(math.log10(value / 0.2))) for value in LR.grid)
    (trial,) = tune(order(LR, finished=finished, trials=1)).trials
    assert trial["lr"] == pytest.approx(math.sqrt(0.3 * 1.0)) or trial["lr"] == pytest.approx(math.sqrt(0.1 * 0.3))


def test_something_is_always_proposed() -> None:
    only = Range(name="levels", default=1, grid=(1, 3))
    finished = (score({"levels": 1}, 0.5), score({"levels": 3}, 0.4))
    assert tune(order(only, finished=finished, trials=2)).trials == ({"levels": 1, "beta": 0.9},)
