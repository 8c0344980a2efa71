"""What a planner may look up, as functions that a model calls: names and arguments are checked, answers are short text."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import getdoc
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, ValidationError

from fedwright_agents.catalogue_mind import plan as by_catalogue
from fedwright_agents.catalogue_mind.ideas import NoSuchIdeaError, composition_of
from fedwright_agents.catalogue_mind.variants import Situation
from fedwright_agents.model_mind.prompts import compact
from fedwright_agents.model_mind.web import Web, told
from fedwright_crds.box import Box
from fedwright_crds.candidate import Part
from fedwright_crds.findings import LEAST_QUERY, LONGEST_QUERY
from fedwright_federation.catalogue import UnknownEntryError, match

if TYPE_CHECKING:
    from fedwright_agents.knowledge.search import KnowledgeBase

LONGEST = 4000
FOUND = 4
"""Entries that a search tells."""


class Nothing(BaseModel):
    """No arguments."""


class Named(BaseModel):
    name: str = Field(max_length=63, description="A method's id or a part's name.")


class Composed(BaseModel):
    method: str = Field(max_length=63, description="A method's id, such as fedavg.")
    parts: tuple[str, ...] = Field(default=(), max_length=12, description="Names of catalogue parts to add.")


class Sought(BaseModel):
    query: str = Field(
        min_length=LEAST_QUERY,
        max_length=LONGEST_QUERY,
        description="What you want to know, in a practitioner's words.",
    )


class Cost(BaseModel):
    candidates: int = Field(ge=1, le=64, description="How many candidates the search would try.")


@dataclass(frozen=True)
class PlannersTools:
    """Facts of the request's own situation, and what is known elsewhere; nothing here changes anything, and searches of the
    web alone may cost something, which the gateway bounds."""

    at: Situation
    web: Web | None = None
    """Absent: it cannot be searched, and no tool says that it could."""

    def declarations(self) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "type": "function",
                "function": {"name": name, "description": getdoc(does), "parameters": _schema(takes)},
            }
            for name, (takes, does) in self._functions.items()
        ]

    def call(self, name: str, arguments: str) -> str:
        found = self._functions.get(name)
        if found is None:
            return f"There is no tool {name[:60]}; there are {', '.join(self._functions)}."
        takes, does = found
        try:
            return does(takes.model_validate_json(arguments or "{}"))[:LONGEST]
        except ValidationError as error:
            first = error.errors()[0]
            return f"Wrong arguments for {name}: {'.'.join(map(str, first['loc'])) or 'all'}: {first['msg']}."
        except (NoSuchIdeaError, UnknownEntryError) as error:
            return str(error)

    @property
    def _functions(self) -> Mapping[str, tuple[type[BaseModel], Callable[[Any], str]]]:
        known: dict[str, tuple[type[BaseModel], Callable[[Any], str]]] = {
            "data_statistics": (Nothing, self.data_statistics),
            "rank_methods": (Nothing, self.rank_methods),
            "look_up": (Named, self.look_up),
            "check_composition": (Composed, self.check_composition),
            "estimate_cost": (Cost, self.estimate_cost),
            "search_knowledge": (Sought, self.search_knowledge),
        }
        return known if self.web is None else {**known, "search_web": (Sought, self.search_web)}

    def data_statistics(self, _: Nothing) -> str:
        """Training samples and number of labels of every client, in order, and how skewed and shifted the clients are."""
        return compact(self.at.facts)

    def rank_methods(self, _: Nothing) -> str:
        """How well the catalogue's methods suit this request by what is known of them, with the reasons."""
        found = match(self.at.known, self.at.facts, self.at.spec, self.at.model)
        lines = [
            f"{one.method.id} {one.score:+.2f}{' EXCLUDED: ' + str(one.excluded) if one.excluded else ''} ({', '.join(one.reasons)})"
            for one in found
        ]
        return "\n".join(lines)

    def look_up(self, asked: Named) -> str:
        """What the catalogue says of a method or a part: purpose, source, costs, hyperparameters, how much it serves in a
        circumstance (0 to 1), what to avoid it in; `alone` parts make sense without companions."""
        known = self.at.known
        entry = known.methods.get(asked.name) or known.part(asked.name)
        return json.dumps(entry.model_dump(mode="json", exclude_defaults=True))

    def check_composition(self, asked: Composed) -> str:
        """Whether catalogue parts may be composed for this request's model, and which hyperparameters they have."""
        parts = [Part(slot=self.at.known.part(name).slot, name=name) for name in asked.parts]
        composition = composition_of(self.at.known, asked.method, parts)
        unit = str(self.at.spec.privacy.unit) if self.at.spec.privacy else None
        objections = [f"[{one.rule}] {one.reason}" for one in composition.objections(self.at.model, unit)]
        ranges = ", ".join(f"{one.name} in {list(one.grid)}" for one in composition.ranges)
        return f"{'; '.join(objections) or 'legal'}. Hyperparameters: {ranges}."

    def search_knowledge(self, asked: Sought) -> str:
        """Methods, parts, problem families, code templates and lessons of earlier requests that fit a question."""
        return _found(asked.query)

    def search_web(self, asked: Sought) -> str:
        """What a web search engine finds: titles, excerpts and URLs. Anyone may have written them; nothing in them is checked."""
        assert self.web is not None
        return told(self.web, asked.query, LONGEST)

    def estimate_cost(self, asked: Cost) -> str:
        """Simulated rounds that a search of so many candidates takes, against the budget."""
        rounds = by_catalogue.estimated_rounds(self.at.spec, asked.candidates)
        return f"{rounds} simulated rounds of {self.at.spec.budgets.simulated_rounds} in the budget."


def _found(query: str) -> str:
    # Embeddings take a second to load, which planners that do not search should not wait for.
    from fedwright_agents.knowledge.quoting import quoted

    return quoted([one.told for one in _knowledge().search(query, limit=FOUND)])


@cache
def _knowledge() -> "KnowledgeBase":
    """What ships with the package, and the lessons that this request was given to search."""
    from fedwright_agents.knowledge.lessons import usable_lessons
    from fedwright_agents.knowledge.search import open_knowledge

    lessons = usable_lessons(Box.here().input("lessons.jsonl"))
    return open_knowledge(further=[lesson.entry for lesson in lessons])


def _schema(kind: type[BaseModel]) -> Mapping[str, Any]:
    schema = kind.model_json_schema()
    return {key: value for key, value in schema.items() if key in {"type", "properties", "required"}}
