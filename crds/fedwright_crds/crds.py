"""The CustomResourceDefinitions of the four kinds, generated from their models."""

from dataclasses import dataclass
from typing import Any

from fedwright_crds.base import GROUP, LONGEST_NAME, VERSION
from fedwright_crds.kinds import KINDS
from fedwright_crds.notes import notes_of
from fedwright_crds.schema import Schema, structural
from fedwright_crds.yaml_text import yaml_of

Column = dict[str, Any]


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False, note: str = "") -> Column:
    """What `kubectl get` prints; wide ones with `-o wide` alone."""
    column = {"name": name, "jsonPath": path, "type": kind}
    return column | ({"description": note} if note else {}) | ({"priority": 1} if wide else {})


def _reason(condition: str) -> Column:
    path = f'.status.conditions[?(@.type=="{condition}")].reason'
    return _column(condition, path, wide=True, note=f"Reason of the condition {condition}.")


PHASE = _column("Phase", ".status.phase")
AGE = _column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True)
class Names:
    """What a kind is called, and the columns between its phase and its age."""

    kind: str
    plural: str
    singular: str
    short: str
    columns: tuple[Column, ...]

    @property
    def file(self) -> str:
        return f"{self.plural}.yaml"


NAMES = (
    Names(
        "FLStrategyRequest",
        "flstrategyrequests",
        "flstrategyrequest",
        "flsr",
        (
            _column("Candidates", ".status.candidates", "integer"),
            _column("Judged", ".status.candidatesFinished", "integer", note="Candidates that have come to an end."),
            _column("Best", ".status.bestScore", "number", note="The objective on the selection split."),
            _column("Winner", ".status.winner"),
            _column("Generation", ".status.generation", "integer", wide=True),
            _column("Rounds", ".status.spent.simulatedRounds", "integer", wide=True, note="Simulated so far."),
            _column("Tokens", ".status.spent.tokens", "integer", wide=True),
            _reason("Paused"),
            _reason("Finished"),
        ),
    ),
    Names(
        "Candidate",
        "candidates",
        "candidate",
        "flcand",
        (
            _column("Request", ".spec.request"),
            _column("Origin", ".spec.origin"),
            _column("Score", ".status.score", "number", note="Mean over the selection seeds."),
            _column("Method", ".spec.method", wide=True),
            _column("Granted", ".spec.grant.stage", wide=True),
            _column("Title", ".spec.title", wide=True),
        ),
    ),
    Names(
        "Federation",
        "federations",
        "federation",
        "flfed",
        (
            _column("Connected", ".status.nodesConnected", "integer"),
            _column("Nodes", ".status.nodesWanted", "integer"),
            _column("Address", ".status.address"),
            _column("Certificate", ".status.certificateExpiresAt", wide=True, note="When it expires."),
        ),
    ),
    Names(
        "Deployment",
        "fldeployments",
        "fldeployment",
        "fldep",
        (
            _column("Federation", ".spec.federation"),
            _column("Round", ".status.round", "integer"),
            _column("Rounds", ".spec.rounds", "integer"),
            _column("Accuracy", ".status.accuracy", "number"),
            _column("Run", ".status.run", wide=True),
            _column("Restarts", ".status.restarts", "integer", wide=True),
        ),
    ),
)


def definition(names: Names) -> dict[str, Any]:
    """One CustomResourceDefinition."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": root_schema(names.kind)},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [PHASE, *names.columns, AGE],
    }
    called = {"kind": names.kind, "listKind": f"{names.kind}List", "plural": names.plural, "singular": names.singular}
    spec = {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {**called, "shortNames": [names.short], "categories": ["fedwright"]},
        "versions": [version],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.plural}.{GROUP}"},
        "spec": spec,
    }


def root_schema(kind: str) -> Schema:
    """A kind's schema as the API server wants it: metadata is its own affair save a name's length, a status the operator's."""
    schema = structural(KINDS[kind], notes_of(KINDS[kind]))
    properties = schema["properties"]
    name = {"type": "string", "maxLength": LONGEST_NAME}
    properties |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    properties["metadata"] = {"type": "object", "properties": {"name": name}}
    del properties["status"]["default"]
    return schema | {"required": ["spec"]}


def generated() -> dict[str, str]:
    """Every file's text by its name."""
    return {names.file: HEADER + yaml_of(definition(names)) for names in NAMES}


HEADER = "# Generated from fedwright_crds by `python -m fedwright_crds`; do not edit.\n"
