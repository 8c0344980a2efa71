"""A strategy is a composition of parts, one in each slot. What it does not name stays FedAvg."""

# ruff: noqa: RUF009 (parts are frozen, so one instance may be the default of all)

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, TypeAlias

from fedwright_federation.algorithm.neutral import (
    BySamples,
    CrossEntropy,
    GlobalModel,
    NoFinish,
    Raw,
    ServerSgd,
    Sgd,
    Steady,
    UniformSelection,
    WeightedMean,
    Whole,
)
from fedwright_federation.algorithm.parts import (
    ClientState,
    Codec,
    Combiner,
    Evaluation,
    Finish,
    GradientTerm,
    LocalUpdate,
    LossTerm,
    Part,
    Probe,
    Schedule,
    Selection,
    ServerOptimizer,
    View,
    Weighting,
)

Hyperparameters: TypeAlias = Mapping[str, float | int | str]


@dataclass(frozen=True)
class Strategy:
    """A federated method. Slots that end in s hold any number of parts, the others exactly one."""

    name: str = "FedAvg"
    selection: Selection = UniformSelection()
    schedule: Schedule = Steady()
    view: View = Whole()
    download: Codec = Raw()
    upload: Codec = Raw()
    losses: tuple[LossTerm, ...] = (CrossEntropy(),)
    gradients: tuple[GradientTerm, ...] = ()
    local: LocalUpdate = Sgd()
    probes: tuple[Probe, ...] = ()
    states: tuple[ClientState, ...] = ()
    weighting: Weighting = BySamples()
    combiner: Combiner = WeightedMean()
    server: ServerOptimizer = ServerSgd()
    finish: Finish = NoFinish()
    evaluation: Evaluation = GlobalModel()
    hyperparameters: Hyperparameters = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.losses:
            raise ValueError(f"{self.name} has no loss term, so clients have nothing to minimise; add CrossEntropy()")

    def parts(self) -> Iterator[tuple[str, Part]]:
        """Each part with its slot's name."""
        for slot in slots():
            value = getattr(self, slot.name)
            for part in value if isinstance(value, tuple) else (value,):
                yield slot.name, part

    @property
    def features(self) -> frozenset[str]:
        return frozenset().union(*(part.features for _, part in self.parts()))

    @property
    def needs(self) -> frozenset[str]:
        return frozenset().union(*(part.needs for _, part in self.parts()))

    @property
    def cohort(self) -> bool:
        """Whether all that runs at the client accepts the cohort axis."""
        return all(part.cohort for part in (*self.losses, *self.gradients, self.local))

    @property
    def sends_changes(self) -> bool:
        """Whether a client that holds the last model is sent the model's change, encoded, instead of the model."""
        return type(self.download) is not Raw

    @property
    def contraction(self) -> float:
        return sum(term.contraction for term in self.gradients)


def slots() -> tuple[Field[Any], ...]:
    return tuple(slot for slot in fields(Strategy) if slot.name not in {"name", "hyperparameters"})


class ClashError(ValueError):
    """Two strategies fill one slot."""


def compose(first: Strategy, *others: Strategy, name: str | None = None) -> Strategy:
    """One strategy with the parts of all, such as FedProx's gradient term and FedPAQ's codec.

    A slot that holds several parts gets them all, save a neutral one that some strategy replaces, as masked cross entropy
    does the plain one. One that holds a single part takes it from the strategy that departs from FedAvg there, the kind of
    part deciding, and from `first` where none does: so `first` gives the learning rate.
    Raises `ClashError` where two depart from FedAvg in different ways; then build the strategy by hand.
    """
    everyone = (first, *others)
    merged = {slot.name: _merge(slot, everyone) for slot in slots()}
    hyperparameters = {key: value for strategy in reversed(everyone) for key, value in strategy.hyperparameters.items()}
    label = name or "+".join(strategy.name for strategy in everyone)
    return replace(first, name=label, hyperparameters=hyperparameters, **merged)


def _merge(slot: Field[Any], strategies: tuple[Strategy, ...]) -> Any:
    values = [getattr(strategy, slot.name) for strategy in strategies]
    if slot.default is MISSING:
        raise TypeError(f"slot {slot.name} has no neutral part")
    if isinstance(values[0], tuple):
        replaced = {part for part in slot.default for value in values if part not in value}
        return tuple({part: None for value in values for part in value if part not in replaced})
    own = [value for value in values if type(value) is not type(slot.default)]
    if len(set(own)) > 1:
        kinds = ", ".join(sorted({repr(value) for value in own}))
        raise ClashError(f"slot {slot.name} is filled by {kinds}; keep one of them, or write a part that does both")
    return own[0] if own else values[0]
