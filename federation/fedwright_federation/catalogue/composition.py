"""Compositions of catalogue parts, and what is wrong with them by the catalogue's own rules. Nothing here needs torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedwright_crds.candidate import Range
from fedwright_crds.task import Architecture, ModelSpec
from fedwright_federation.catalogue.entries import PartEntry, RuleEntry
from fedwright_federation.catalogue.load import Catalogue

PLURAL = frozenset({"losses", "gradients", "probes", "states"})
"""Slots that hold any number of parts."""
SLOTS = (
    "selection schedule view download upload losses gradients local probes states weighting combiner server finish "
    "evaluation".split()
)
LOCAL = "LocalSgd"
"""What every composition has in slot `local` if it names nothing else: without it there is no learning rate."""


class PartsClashError(ValueError):
    """Two parts want one slot."""


@dataclass(frozen=True)
class Objection:
    """A rule that a composition breaks. A warning has `fatal` False."""

    rule: str
    reason: str
    fatal: bool = True


@dataclass(frozen=True)
class Composition:
    """Parts by name, in the order of slots; what is not named is FedAvg's."""

    catalogue: Catalogue
    parts: tuple[str, ...]

    @property
    def ranges(self) -> tuple[Range, ...]:
        return self.catalogue.ranges(self.parts)

    @property
    def entries(self) -> tuple[PartEntry, ...]:
        return tuple(self.catalogue.part(name) for name in self.parts)

    @property
    def features(self) -> frozenset[str]:
        return frozenset().union(*(part.features for part in self.entries))

    def of(self, slot: str) -> tuple[str, ...]:
        return tuple(name for name in self.parts if self.catalogue.part(name).slot == slot)

    def objections(self, model: ModelSpec, privacy_unit: str | None = None, heads: int = 1) -> list[Objection]:
        """What is wrong with it on this model, and on a task with so many heads; the algorithm's own `check`, from data."""
        able = capabilities(model)
        views = [(name, self.catalogue.part(name)) for name in self.of("view")]
        missing = [one for name, part in views for one in _missing(name, part, able)]
        if missing:
            return missing
        for _, part in views:
            able = (able - part.removes) | part.provides
        others = zip(self.parts, self.entries, strict=True)
        missing = [one for name, part in others if part.slot != "view" for one in _missing(name, part, able)]
        facts = self.features | self._derived | {f"model:{capability}" for capability in able}
        facts |= {"frames", "heads"} if heads > 1 else set()
        broken = [rule for rule in self.catalogue.rules if _applies(rule, facts, privacy_unit)]
        return missing + [Objection(rule.name, rule.reason, rule.fatal) for rule in broken]

    @property
    def _derived(self) -> frozenset[str]:
        """What no single part declares."""
        changes = {"changes-down"} if self.of("download") else set()
        alone = {"one-by-one"} if not all(part.cohort for part in self.entries) else set()
        return frozenset(changes | alone)

    def legal(self, model: ModelSpec, privacy_unit: str | None = None, heads: int = 1) -> bool:
        return not any(objection.fatal for objection in self.objections(model, privacy_unit, heads))


def _missing(name: str, part: PartEntry, able: frozenset[str]) -> list[Objection]:
    reason = "{} in slot {} needs a model with {}; choose another model or drop the part"
    lacking = sorted(part.needs - able)
    return [Objection("missing-capability", reason.format(name, part.slot, need)) for need in lacking]


def capabilities(model: ModelSpec) -> frozenset[str]:
    """What a model of the request can do, as `Model.capabilities` says it."""
    if model.architecture is Architecture.SOFTMAX:
        return frozenset({"head"})
    hidden = {"body", "features", "width"} if model.hidden else set()
    blocks = {"blocks"} if len(model.hidden) > 1 else set()
    norm = {"batch_norm"} if model.batch_norm else set()
    return frozenset({"head"} | hidden | blocks | norm)


def of_method(catalogue: Catalogue, method: str) -> Composition:
    return compose(catalogue, catalogue.method(method).parts)


def compose(catalogue: Catalogue, *groups: Sequence[str]) -> Composition:
    """The parts of all groups together, such as two methods'. Raises PartsClashError, UnknownEntryError.

    A neutral part gives way to any other of its slot, and of several neutral ones the last stays. A part that wraps
    another of its slot leaves room for it.
    """
    names = list(dict.fromkeys(name for group in groups for name in group))
    for slot in SLOTS:
        names = _settled(catalogue, slot, names)
    if not any(catalogue.part(name).slot == "local" for name in names):
        names.append(LOCAL)
    names.sort(key=lambda name: (SLOTS.index(catalogue.part(name).slot), catalogue.part(name).wraps is not None))
    return Composition(catalogue, tuple(names))


def extend(composition: Composition, parts: Iterable[str]) -> Composition:
    """The composition with these parts, each in place of what was in its slot, where that holds one part only."""
    catalogue, names = composition.catalogue, list(composition.parts)
    for added in parts:
        entry = catalogue.part(added)
        if entry.slot not in PLURAL and entry.wraps is None:
            names = [n for n in names if catalogue.part(n).slot != entry.slot or catalogue.part(n).wraps]
        names.append(added)
    return compose(catalogue, names)


def _settled(catalogue: Catalogue, slot: str, names: list[str]) -> list[str]:
    """The names, less those of the slot that give way. Only what may stand once is settled: cores, and base losses."""
    rivals = [name for name in names if _single(catalogue.part(name), slot)]
    own = [name for name in rivals if not catalogue.part(name).neutral]
    if len(own) > 1:
        raise PartsClashError(f"slot {slot} is filled by {' and '.join(own)}; keep one of them")
    staying = own or rivals[-1:]
    return [name for name in names if name not in rivals or name in staying]


def _single(part: PartEntry, slot: str) -> bool:
    if part.slot != slot or part.wraps is not None:
        return False
    return part.base or slot not in PLURAL


def _applies(rule: RuleEntry, features: frozenset[str], privacy_unit: str | None) -> bool:
    wanted = rule.unit is None or rule.unit == privacy_unit
    return wanted and rule.all_of <= features and not rule.unless & features
