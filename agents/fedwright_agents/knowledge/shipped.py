"""The entries that ship with the package: the catalogue's methods, parts and rules, and the texts and templates beside this module."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import Field, TypeAdapter

from fedwright_agents.knowledge.entries import Entry, Facets, Kind, serving
from fedwright_crds.base import Strict, Word
from fedwright_federation.catalogue import Catalogue, Caution, Circumstance, Method, PartEntry, RuleEntry, catalogue

RULES_SOURCE = "rules of composition, fedwright_federation.algorithm.legality"
CHECKS_SOURCE = "contract tests, fedwright_federation.candidates"
TEMPLATES_SOURCE = "template that passes the contract tests"
FIGURES = "those reported are the papers'; others, on digits and synthetic data, were measured for this project, a few seeds each."
SLOT_NAMES = {
    "selection": "a selection of clients",
    "schedule": "a schedule of local work",
    "view": "a view of the model",
    "download": "a download codec",
    "upload": "an upload codec",
    "losses": "a loss term",
    "gradients": "a gradient correction",
    "local": "a local optimizer",
    "probes": "a probe of clients' data",
    "states": "a client state",
    "weighting": "a weighting of clients",
    "combiner": "a combiner",
    "server": "a server optimizer",
    "finish": "a finish at the server",
    "evaluation": "an evaluation",
}
"""What practitioners call a part of each slot."""
AVOIDED = -1.0
"""How well something suits a circumstance that the catalogue warns of."""

Body = Annotated[str, Field(max_length=8192)]

T = TypeVar("T")


class Note(Strict):
    title: str
    text: Body
    slots: tuple[Word, ...] = ()


class Family(Strict):
    title: str
    methods: tuple[Word, ...]
    purposes: tuple[Word, ...]
    source: str
    text: Body


_FAMILIES = TypeAdapter(dict[str, Family])
_NOTES = TypeAdapter(dict[str, Note])
_BODIES = TypeAdapter(dict[str, Body])


@cache
def shipped_entries() -> tuple[Entry, ...]:
    """In the order of their ids. Raises ValueError where texts and catalogue name different things."""
    known, families = catalogue(), _FAMILIES.validate_python(_texts("families"), strict=False)
    found = [
        *(_family(name, family) for name, family in families.items()),
        *_methods(known, families),
        *_parts(known, families),
        *_rules(known),
        *_notes("checks", "rule", Kind.RULE, CHECKS_SOURCE),
        *_notes("templates", "template", Kind.TEMPLATE, TEMPLATES_SOURCE),
    ]
    plain = _same("plain", _BODIES.validate_python(_texts("plain")), {entry.id: entry for entry in found})
    told = [entry.model_copy(update={"text": _joined(plain[entry.id], entry)}) for entry in found]
    return tuple(sorted(told, key=lambda entry: entry.id))


def _joined(plain: str, entry: Entry) -> str:
    """A rule of composition is one paragraph: each of its sentences alone is near questions about one of the things that meet in
    it, and all of them together are near questions about both."""
    return f"{plain} {entry.text}" if entry.source == RULES_SOURCE else f"{plain}\n\n{entry.text}"


def families_for(purposes: Iterable[str]) -> tuple[str, ...]:
    """The families that such circumstances belong to."""
    wanted = set(purposes)
    return tuple(
        name
        for entry in shipped_entries()
        if entry.kind is Kind.FAMILY and wanted & set(entry.facets.purposes)
        for name in entry.facets.families
    )


def words(name: str) -> str:
    """`PartialParticipation` and `partial-participation` as `partial participation`; acronyms stay."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("-", " ")
    return " ".join(word if word.isupper() else word.lower() for word in split.split())


# -- kinds ------------------------------------------------------------------------------------------------------------
def _family(name: str, family: Family) -> Entry:
    return Entry(
        id=f"family/{name}",
        kind=Kind.FAMILY,
        title=family.title,
        text=family.text,
        details=f"Methods of the catalogue: {', '.join(family.methods)}.\nFigures: {FIGURES}",
        source=family.source,
        facets=Facets(families=(name,), purposes=family.purposes),
    )


def _methods(known: Catalogue, families: Mapping[str, Family]) -> Iterator[Entry]:
    bodies = _agreeing("methods", known.methods)
    for name, method in known.methods.items():
        parts = [known.part(part) for part in method.parts]
        yield Entry(
            id=f"method/{name}",
            kind=Kind.METHOD,
            title=method.name,
            text=_paragraphs(method.purpose, bodies[name], *_served(method.serves)),
            details=_method_details(method),
            source=method.paper.citation,
            facets=Facets(
                families=tuple(key for key, family in families.items() if name in family.methods),
                slots=_sorted(part.slot for part in parts),
                needs=_sorted(need for part in parts for need in part.needs),
                purposes=_sorted(method.serves),
            ),
            suits=_suits(method.serves, method.avoid),
        )


def _method_details(method: Method) -> str:
    costs = {words(key).replace("_", " "): value for key, value in method.costs.model_dump().items() if value != 1.0}
    return _lines(
        ("Parts", ", ".join(method.parts) or "none, all slots stay neutral"),
        ("Serves", _strengths(method.serves)),
        ("Not with", _cautions(method.avoid)),
        ("Costs in multiples of FedAvg's", ", ".join(f"{key} {value:g}" for key, value in costs.items())),
        ("Recipe", method.recipe),
        ("Figures", FIGURES.rstrip(".")),
    )


def _parts(known: Catalogue, families: Mapping[str, Family]) -> Iterator[Entry]:
    bodies, users = _agreeing("parts", known.parts), _users(known)
    for name, part in known.parts.items():
        methods = users.get(name, ())
        papers = dict.fromkeys(known.methods[method].paper.citation for method in methods)
        yield Entry(
            id=f"part/{name}",
            kind=Kind.PART,
            title=f"{name}: {SLOT_NAMES[part.slot]}",
            text=_paragraphs(f"{part.purpose} {bodies[name]}", *_served(part.serves)),
            details=_part_details(known, name, part, methods),
            source="; ".join(papers)[:512] or "algorithm interface",
            facets=Facets(
                families=tuple(key for key, family in families.items() if set(methods) & set(family.methods)),
                slots=(part.slot,),
                needs=_sorted(part.needs),
                purposes=_sorted(part.serves),
            ),
            suits=_suits(part.serves, part.avoid),
        )


def _part_details(known: Catalogue, name: str, part: PartEntry, methods: Iterable[str]) -> str:
    ranges = [f"{one.name} {one.default:g} of {[*one.grid]}" for one in known.ranges((name,))]
    return _lines(
        ("Class", part.reference),
        ("Used by", ", ".join(methods)),
        ("Model must have", ", ".join(sorted(part.needs))),
        ("Declares", ", ".join(sorted(part.features))),
        ("Hyperparameters", "; ".join(ranges)),
        ("Serves", _strengths(part.serves)),
        ("Not with", _cautions(part.avoid)),
    )


def _rules(known: Catalogue) -> Iterator[Entry]:
    by_name: dict[str, list[RuleEntry]] = defaultdict(list)
    for rule in known.rules:
        by_name[rule.name].append(rule)
    notes = _same("rules", _NOTES.validate_python(_texts("rules"), strict=False), by_name)
    for name, rules in by_name.items():
        private = any(rule.unit for rule in rules)
        yield Entry(
            id=f"rule/{name}",
            kind=Kind.RULE,
            title=notes[name].title,
            text=f"{notes[name].text} {'Refused' if rules[0].fatal else 'Warned of'}: {rules[0].reason}.",
            details="\n".join(_condition(rule) for rule in rules),
            source=RULES_SOURCE,
            facets=Facets(families=("private",) if private else (), purposes=("Privacy",) if private else ()),
        )


def _condition(rule: RuleEntry) -> str:
    """Which features, as parts declare them, make the rule apply."""
    unless = f" unless {' or '.join(sorted(rule.unless))}" if rule.unless else ""
    unit = f" under privacy of unit {rule.unit}" if rule.unit else ""
    return f"Applies to {' with '.join(sorted(rule.all_of))}{unless}{unit}."


def _notes(file: str, prefix: str, kind: Kind, source: str) -> Iterator[Entry]:
    for name, note in _NOTES.validate_python(_texts(file), strict=False).items():
        yield Entry(
            id=f"{prefix}/{name}",
            kind=kind,
            title=note.title,
            text=note.text,
            code=_template(name) if kind is Kind.TEMPLATE else "",
            source=source,
            facets=Facets(slots=note.slots),
        )


# -- reading and wording ----------------------------------------------------------------------------------------------
def _texts(name: str) -> Any:
    return yaml.safe_load((files(__package__) / "texts" / f"{name}.yaml").read_text(encoding="utf-8"))


def _template(name: str) -> str:
    return (files(__package__) / "templates" / f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")


def _agreeing(file: str, known: Mapping[str, object]) -> Mapping[str, str]:
    return _same(file, _BODIES.validate_python(_texts(file)), known)


def _same(file: str, texts: Mapping[str, T], known: Mapping[str, object]) -> Mapping[str, T]:
    if odd := sorted(texts.keys() ^ known.keys()):
        raise ValueError(
            f"texts/{file}.yaml and the entries do not name the same: {', '.join(odd)}; write or remove them"
        )
    return texts


def _users(known: Catalogue) -> Mapping[str, tuple[str, ...]]:
    used: dict[str, list[str]] = defaultdict(list)
    for name, method in known.methods.items():
        for part in method.parts:
            used[part].append(name)
    return {part: tuple(methods) for part, methods in used.items()}


def _served(serves: Iterable[Circumstance]) -> Iterator[str]:
    """A paragraph for each: who asks for a remedy names the circumstance, and other paragraphs often tell the remedy alone."""
    return (serving(words(name)) for name in serves)


def _suits(serves: Mapping[Circumstance, float], avoid: Iterable[Caution]) -> dict[str, float]:
    return {words(one.when): AVOIDED for one in avoid} | {words(name): value for name, value in serves.items()}


def _strengths(serves: Mapping[Circumstance, float]) -> str:
    return ", ".join(f"{words(name)} {value:g}" for name, value in serves.items())


def _cautions(cautions: Iterable[Caution]) -> str:
    return "; ".join(f"{words(one.when)}: {one.why}" for one in cautions)


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(texts)


def _lines(*named: tuple[str, str]) -> str:
    return "\n".join(f"{name}: {value}." for name, value in named if value)


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({str(name) for name in names}))
