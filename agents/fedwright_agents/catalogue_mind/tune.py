"""The tuner: hyperparameters to try next, by Optuna; the study is rebuilt from the finished trials each time.

Every candidate begins with its defaults and the neighbouring step sizes, then follows the step size towards its best, and
spends the rest by TPE (Bergstra et al. 2011). Equal input gives equal output.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod, sqrt
from typing import TYPE_CHECKING

from fedwright_crds.candidate import Range, TrialScore
from fedwright_crds.documents import TuneInput, TuneOutput

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

STEP = "lr"
LARGEST_SCAN = 4096
"""Grid points up to which what TPE missed is looked for one by one."""
ASKS = 24

Values = dict[str, float]


def tune(asked: TuneInput) -> TuneOutput:
    """Distinct trials that were not made yet, as long as there are any; fixed values among them."""
    taken: list[Values] = []
    for values in _proposals(asked):
        if len(taken) == asked.trials:
            break
        if not _known(values, asked.finished, taken):
            taken.append(values)
    if not taken and asked.trials:
        taken = [_best(asked) or _defaults(asked.hyperparameters)]
    return TuneOutput(trials=tuple({**values, **asked.fixed} for values in taken))


def _proposals(asked: TuneInput) -> Iterator[Values]:
    """In order of preference, with repetitions."""
    yield from _opening(asked.hyperparameters)
    best = _best(asked)
    if best:
        yield from _along_step(asked.hyperparameters, best)
    yield from _sampled(asked)
    yield from _left(asked, best or _defaults(asked.hyperparameters))
    if best:
        yield from _between(asked.hyperparameters, best)


# -- fixed moves ------------------------------------------------------------------------------------------------------
def _opening(ranges: Sequence[Range]) -> Iterator[Values]:
    """The defaults, the step size one up and one down, then one neighbour of each other default."""
    start = _defaults(ranges)
    yield start
    for one in sorted(ranges, key=lambda one: one.name != STEP):
        around = _neighbours(one, one.default)
        yield from ({**start, one.name: value} for value in (around if one.name == STEP else around[:1]))


def _along_step(ranges: Sequence[Range], best: Values) -> Iterator[Values]:
    """The best trial's neighbours in step size: where the best lies at the end of what was tried, go on."""
    for one in ranges:
        if one.name == STEP:
            yield from ({**best, STEP: value} for value in _neighbours(one, best[STEP]))


def _between(ranges: Sequence[Range], best: Values) -> Iterator[Values]:
    """Halfway to the neighbouring step sizes, where the grid is used up."""
    for one in ranges:
        if one.name == STEP and best[STEP] > 0:
            for other in _neighbours(one, best[STEP]):
                yield {**best, STEP: sqrt(best[STEP] * other)}


def _neighbours(one: Range, value: float) -> list[float]:
    """The next greater value of the grid and the next smaller; of an interval, factors of 3 or tenths of its length."""
    if one.grid:
        above = sorted(v for v in one.grid if v > value)[:1]
        return above + sorted((v for v in one.grid if v < value), reverse=True)[:1]
    low, high = one.low, one.high
    if low is None or high is None:
        return []
    around = (value * 3, value / 3) if one.log else (value + (high - low) / 10, value - (high - low) / 10)
    return [min(max(v, low), high) for v in around]


def _defaults(ranges: Sequence[Range]) -> Values:
    return {one.name: one.default for one in ranges}


# -- Optuna -----------------------------------------------------------------------------------------------------------
def _sampled(asked: TuneInput) -> Iterator[Values]:
    searched = [one for one in asked.hyperparameters if len(one.grid) != 1 and (one.grid or one.low != one.high)]
    if not searched:
        return
    study, distributions = _study(asked, searched)
    others = {
        one.name: one.grid[0] if one.grid else one.default for one in asked.hyperparameters if one not in searched
    }
    for _ in range(ASKS):
        trial = study.ask(distributions)
        yield {**others, **{one.name: _value(one, trial.params[one.name]) for one in searched}}


def _study(asked: TuneInput, searched: Sequence[Range]) -> "tuple[Study, dict[str, BaseDistribution]]":
    import optuna  # a second, and no other role needs it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = (asked.seed + 1009 * len(asked.finished)) % 2**31
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=4)
    study = optuna.create_study(direction="maximize" if asked.higher_is_better else "minimize", sampler=sampler)
    distributions = {one.name: _distribution(one) for one in searched}
    for one in asked.finished:
        if all(name in one.hyperparameters for name in distributions):
            failed = one.value is None
            study.add_trial(
                optuna.trial.create_trial(
                    params={r.name: _parameter(r, one.hyperparameters[r.name]) for r in searched},
                    distributions=distributions,
                    value=one.value,
                    state=optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE,
                )
            )
    return study, distributions


def _distribution(one: Range) -> "BaseDistribution":
    """A grid by its positions, so that neighbours are neighbours; an interval as it is."""
    from optuna.distributions import FloatDistribution, IntDistribution

    if one.grid:
        return IntDistribution(0, len(one.grid) - 1)
    assert one.low is not None and one.high is not None
    return FloatDistribution(one.low, one.high, log=one.log and one.low > 0)


def _parameter(one: Range, value: float) -> float:
    if one.grid:
        return min(range(len(one.grid)), key=lambda n: abs(sorted(one.grid)[n] - value))
    assert one.low is not None and one.high is not None
    return min(max(value, one.low), one.high)


def _value(one: Range, parameter: float) -> float:
    return sorted(one.grid)[int(parameter)] if one.grid else float(parameter)


# -- what is left -----------------------------------------------------------------------------------------------------
def _left(asked: TuneInput, near: Values) -> Iterator[Values]:
    """Grid points, those that differ least from the best first."""
    grids = [sorted(one.grid) or [one.default] for one in asked.hyperparameters]
    if prod(len(grid) for grid in grids) > LARGEST_SCAN:
        return
    names = [one.name for one in asked.hyperparameters]
    points = [dict(zip(names, values, strict=True)) for values in product(*grids)]
    yield from sorted(points, key=lambda point: sum(point[name] != near[name] for name in names))


def _known(values: Mapping[str, float], finished: Iterable[TrialScore], taken: Iterable[Values]) -> bool:
    made = (one.hyperparameters for one in finished)
    return any(all(other.get(name) == value for name, value in values.items()) for other in (*made, *taken))


def _best(asked: TuneInput) -> Values | None:
    """The best finished trial's values of what is searched; of equals the earliest."""
    names = [one.name for one in asked.hyperparameters]
    done = [one for one in asked.finished if one.value is not None and set(names) <= one.hyperparameters.keys()]
    if not done:
        return None
    sign = 1.0 if asked.higher_is_better else -1.0
    best = max(done, key=lambda one: sign * (one.value or 0.0))
    return {name: best.hyperparameters[name] for name in names}
