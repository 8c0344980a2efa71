"""From a task, who solves it and a seed to the request that is run. Pure."""

from dataclasses import dataclass

from pydantic import ValidationError

from fedwright_crds.base import LONGEST_LABEL, canonical
from fedwright_crds.request import FLStrategyRequest
from fedwright_operator.bench.minds import Mind
from fedwright_operator.bench.tasks import Task, TaskError

LABEL = "fedwright.dev/bench"


@dataclass(frozen=True)
class Entry:
    """One run: a mind with its whole search, or a method of the catalogue tuned as every candidate is."""

    task: Task
    who: Mind | str
    seed: int

    @property
    def name(self) -> str:
        who = self.who.slug if isinstance(self.who, Mind) else f"vs-{self.who}"
        return f"{self.task.name}-{who}-s{self.seed}"

    @property
    def request(self) -> FLStrategyRequest:
        """Without pauses and without a rollout. Raises TaskError where the task does not allow it."""
        wire = self.task.request.to_wire()
        wire["metadata"] = {"name": self.name, "labels": {LABEL: self.task.name}}
        wire["spec"] |= {
            "interaction": dict.fromkeys(("questions", "plan", "promotion"), "Automatic"),
            "deployment": {"enabled": False},
            "judging": {**wire["spec"].get("judging", {}), "seed": self.seed},
            **self._search(wire["spec"].get("search", {})),
        }
        try:
            return FLStrategyRequest.model_validate_json(canonical(wire))
        except ValidationError as problem:
            first = problem.errors()[0]
            field = ".".join(str(one) for one in first["loc"]) or f"a name of at most {LONGEST_LABEL} characters"
            raise TaskError(f"{self.name}: {field}: {first['msg']}") from None

    def _search(self, search: dict[str, object]) -> dict[str, object]:
        if isinstance(self.who, Mind):
            return {"minds": self.who.minds.to_wire()}
        alone = {"catalogueMethods": 0, "planCandidates": 0, "proposals": 0, "generations": 0}
        named = [{"name": self.who, "method": self.who}]
        return {"minds": {}, "search": {**search, **alone, "candidates": named}}


def entries(task: Task, minds: tuple[Mind, ...], seeds: int) -> list[Entry]:
    """Seed by seed, so that a comparison is there early. Minds first: what a baseline has tuned would save them time."""
    whos: tuple[Mind | str, ...] = (*minds, *task.baselines)
    return [Entry(task, who, seed) for seed in range(seeds) for who in whos]
