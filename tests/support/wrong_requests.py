"""Requests that must be refused, as manifests: by the models on one machine, by the API server on a cluster."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]

GOOD: Document = {
    "apiVersion": "fedwright.dev/v1alpha1",
    "kind": "FLStrategyRequest",
    "metadata": {"name": "good"},
    "spec": {"goal": "Tell digits apart.", "task": {"data": {"source": "Digits"}}},
}


@dataclass(frozen=True)
class Wrong:
    """One mistake in the good request: where, what is written there, and the message that a person should read."""

    field: str
    value: Any
    message: str
    """Of `load_manifests`, after the place."""
    cluster: str
    """A part of what the API server says, which names the field."""

    @property
    def document(self) -> Document:
        return with_field(GOOD, self.field, self.value)


def with_field(document: Document, path: str, value: Any) -> Document:
    """A copy with one field set; None removes it."""
    changed = deepcopy(document)
    *above, last = path.split(".")
    part = changed
    for name in above:
        part = part.setdefault(name, {})
    if value is None:
        part.pop(last)
    else:
        part[last] = value
    return changed


TASK, SEARCH, BUDGETS = "spec.task", "spec.search", "spec.budgets"

WRONG = {
    "a name with an empty part": Wrong(
        "metadata.name",
        "a..b",
        "metadata.name is \"a..b\"; give a name of lower-case letters, digits, '-' and '.', at most 200 characters",
        "metadata.name",
    ),
    "a name that is no label": Wrong(
        "metadata.name",
        "a" * 64,
        "metadata.name has 64 characters and is a label of the request's candidates; shorten it to at most 63",
        "metadata.name",
    ),
    "a namespace that is a path": Wrong(
        "metadata.namespace",
        "../../x",
        "metadata.namespace is \"../../x\"; give a name of lower-case letters, digits and '-', at most 63 characters",
        "namespace",
    ),
    "a label that is no word": Wrong(
        "metadata.labels",
        {"team a": "x"},
        'metadata.labels."team a": "team a" cannot be a name here; '
        "give a name of letters, digits, '-', '_' and '.', or domain/name",
        "metadata.labels",
    ),
    "an unknown field": Wrong(
        "spec.task.clints", 20, "spec.task.clints is not a field; write clients", 'unknown field "spec.task.clints"'
    ),
    "a field in snake case": Wrong(
        "spec.task.training",
        {"local_steps": 5},
        "spec.task.training.local_steps is not a field; write localSteps",
        'unknown field "spec.task.training.local_steps"',
    ),
    "text for a number": Wrong(
        "spec.task.training",
        {"rounds": "forty"},
        'spec.task.training.rounds is "forty"; give a whole number from 2 to 2,000',
        "spec.task.training.rounds",
    ),
    "a unit in a number": Wrong(
        BUDGETS,
        {"wallSeconds": "10 minutes"},
        'spec.budgets.wallSeconds is "10 minutes"; give a whole number from 10 to 10,000,000',
        "spec.budgets.wallSeconds",
    ),
    "too many clients": Wrong(
        f"{TASK}.clients",
        20000,
        "spec.task.clients is 20000; give a whole number from 2 to 1,000",
        "spec.task.clients",
    ),
    "nothing asked": Wrong(
        "spec.goal",
        None,
        "spec.goal is missing; give text of 1 to 16,384 characters",
        "spec.goal",
    ),
    "an unknown source": Wrong(
        f"{TASK}.data.source",
        "Digit",
        'spec.task.data.source is "Digit"; '
        "give one of Digits, BreastCancer, Mnist5k, Synthetic, SharedRepresentation, EntryPoint",
        "spec.task.data.source",
    ),
    "batch norm over private examples": Wrong(
        "spec",
        {
            **GOOD["spec"],
            "model": {"batchNorm": True},
            "privacy": {"unit": "Example", "epsilon": 8, "delta": 1e-3},
        },
        "spec.model.batchNorm is true: it mixes the examples of a batch, and privacy.unit is Example; set batchNorm to false",
        "model.batchNorm",
    ),
    "an objective that only the final measures": Wrong(
        "spec.objective.metric",
        "MembershipAuc",
        "spec.objective.metric is MembershipAuc, which the final alone measures; make it a constraint, and choose an objective "
        "that the search can follow, such as Accuracy",
        "objective.metric",
    ),
    "epsilon of zero": Wrong(
        "spec.privacy",
        {"epsilon": 0, "delta": 1e-5},
        "spec.privacy.epsilon is 0; give a number above 0 and at most 1,000",
        "spec.privacy.epsilon",
    ),
    "a mapping for a list": Wrong(
        "spec.constraints",
        {"metric": "Accuracy"},
        "spec.constraints is a mapping with metric; give a list of at most 8 entries",
        "spec.constraints",
    ),
    "one name for two candidates": Wrong(
        f"{SEARCH}.candidates",
        [{"name": "a", "method": "fedavg"}, {"name": "a", "method": "fedprox"}],
        "spec.search.candidates: entries 0 and 1 are both a; rename or remove one",
        "spec.search.candidates[1]",
    ),
    "an entry point without its source": Wrong(
        f"{TASK}.data.entryPoint",
        "mine:load",
        "spec.task.data.entryPoint is given exactly when source is EntryPoint; set both or neither",
        "spec.task.data.entryPoint",
    ),
    "a search of the web without a model": Wrong(
        "spec.minds",
        {"search": "web"},
        "spec.minds.search is web, but minds.planner is catalogue, which searches nothing; name a model there, or remove search",
        "minds.search",
    ),
    "an entry point that is none": Wrong(
        f"{TASK}.data",
        {"source": "EntryPoint", "entryPoint": "load data"},
        'spec.task.data.entryPoint is "load data"; give module:function, at most 255 characters',
        "spec.task.data.entryPoint",
    ),
    "two lengths of local training": Wrong(
        f"{TASK}.training",
        {"localEpochs": 1, "localSteps": 5},
        "spec.task.training.localEpochs and localSteps exclude each other; remove one",
        "spec.task.training.localSteps",
    ),
    "fewer rounds than tasks": Wrong(
        TASK,
        {"data": {"source": "Digits"}, "continual": {"tasks": 5}, "training": {"rounds": 3}},
        "spec.task.training.rounds is 3, fewer than continual.tasks; raise rounds to at least 5",
        "spec.task.training.rounds",
    ),
    "more heads than clients": Wrong(
        TASK,
        {"data": {"source": "Digits"}, "clients": 2, "heads": [{"name": "a"}, {"name": "b"}, {"name": "c"}]},
        "spec.task.heads are 3 and clients 2, but each head needs a client; raise clients or remove heads",
        "spec.task.heads",
    ),
    "one name for two heads": Wrong(
        f"{TASK}.heads",
        [{"name": "parity", "groups": [[0, 2], [1, 3]]}, {"name": "parity"}],
        "spec.task.heads has the name parity twice; rename one",
        "spec.task.heads",
    ),
    "nobody takes part": Wrong(
        f"{TASK}.training",
        {"participation": 0.01},
        "spec.task.training.participation leaves less than one client a round; raise participation or clients",
        "spec.task.training.participation",
    ),
    "more clients than samples": Wrong(
        f"{TASK}.clients",
        800,
        "spec.task.clients is 800 and partition.minSamples 8, but Digits has only 1,797 samples; "
        "lower clients to at most 224",
        "spec.task.clients",
    ),
    "clients that the data does not have": Wrong(
        f"{TASK}.partition",
        {"kind": "Natural"},
        "spec.task.partition.kind is Natural, but Digits does not come by client; "
        "choose IID, Dirichlet or Pathological",
        "spec.task.partition.kind",
    ),
    "a range upside down": Wrong(
        f"{TASK}.featureShift",
        {"scaleLow": 4.0},
        "spec.task.featureShift.scaleLow is 4, above scaleHigh 3; swap them",
        "spec.task.featureShift.scaleLow",
    ),
    "an objective that the task cannot measure": Wrong(
        "spec.objective",
        {"metric": "Forgetting"},
        "spec.objective.metric: Forgetting needs a continual task; set task.continual or choose another metric",
        "spec.objective.metric",
    ),
    "a constraint that the task cannot measure": Wrong(
        "spec",
        {
            "goal": "Be fair.",
            "task": {"data": {"source": "Digits"}, "clients": 12},
            "constraints": [{"metric": "WorstTenthAccuracy", "margin": 0.01}],
        },
        "spec.constraints[0].metric: WorstTenthAccuracy needs at least 20 clients and task.clients is 12; "
        "raise it or choose Accuracy",
        "spec.constraints",
    ),
    "the worst of one head": Wrong(
        "spec.objective",
        {"metric": "WorstHeadAccuracy"},
        "spec.objective.metric: WorstHeadAccuracy needs a task of several heads; "
        "give task.heads at least two or choose Accuracy",
        "spec.objective.metric",
    ),
    "a target without its metric": Wrong(
        "spec.objective",
        {"targetAccuracy": 0.9},
        "spec.objective.targetAccuracy goes with the metric RoundsToTarget; set both or neither",
        "spec.objective.targetAccuracy",
    ),
    "a budget for half a candidate": Wrong(
        BUDGETS,
        {"candidates": 1},
        "spec.budgets.candidates is 1, too small for FedAvg and one candidate; raise it to at least 2",
        "spec.budgets.candidates",
    ),
    "a budget for too few rounds": Wrong(
        BUDGETS,
        {"simulatedRounds": 100},
        "spec.budgets.simulatedRounds is 100, too small for one candidate beside FedAvg; raise it to at least 1280",
        "spec.budgets.simulatedRounds",
    ),
}
