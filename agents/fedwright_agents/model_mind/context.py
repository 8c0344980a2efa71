"""What comes first in every prompt: the same words for all roles of a request, so that a provider can keep them warm."""

from collections.abc import Mapping
from typing import Any

from fedwright_agents.catalogue_mind.doubts import BYTES
from fedwright_agents.model_mind.prompts import compact, render
from fedwright_crds.documents import CodeInput, DataFacts
from fedwright_crds.request import RequestSpec
from fedwright_crds.task import ModelSpec
from fedwright_federation.catalogue import catalogue


def of_request(spec: RequestSpec, facts: DataFacts, model: ModelSpec | None) -> str:
    """For those who plan, reflect and review."""
    bytes_count = bool(BYTES & {spec.objective.metric, *(one.metric for one in spec.constraints)})
    request = render("request", spec=spec, task=spec.task, facts=_brief(facts), model=model, bytes_count=bytes_count)
    return "\n\n".join((render("shared"), render("catalogue", catalogue=catalogue()), request))


def of_tuning(spec: RequestSpec) -> Mapping[str, Any]:
    """What those who propose are told of the trials."""
    return {
        "catalogue": catalogue(),
        "trials": spec.search.trials,
        "rung": spec.rung_rounds,
        "rounds": spec.task.training.rounds,
    }


def of_code(asked: CodeInput) -> str:
    """For those who write and mend: how a strategy is written."""
    told = f"# The task\nmodel: {compact(asked.model)}\ntask: {compact(asked.task)}"
    return "\n\n".join((render("shared"), render("interface", catalogue=catalogue()), told))


def _brief(facts: DataFacts) -> Mapping[str, Any]:
    """Without a figure for each client, which would be many tokens that decide nothing."""
    wire = facts.to_wire()
    sizes, labels = wire.pop("trainSamplesPerClient"), wire.pop("labelsPerClient")
    return wire | {
        "trainSamplesPerClient": {"min": min(sizes), "max": max(sizes)},
        "labelsPerClient": {"min": min(labels), "max": max(labels)},
    }
