"""The structural schema and the models accept the same documents, up to checks across fields; nothing is lost on the way."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from pydantic import BaseModel, ValidationError
from wrong_requests import GOOD

from fedwright_crds.base import Strict
from fedwright_crds.candidate import CandidateSpec, CandidateStatus
from fedwright_crds.crds import root_schema
from fedwright_crds.deployment import DeploymentSpec, DeploymentStatus
from fedwright_crds.federation import FederationSpec, FederationStatus
from fedwright_crds.kinds import KINDS
from fedwright_crds.manifests import dump_yaml, load_manifests
from fedwright_crds.request import FLStrategyRequest, RequestSpec, RequestStatus
from fedwright_crds.schema import structural

Schema = dict[str, Any]

few = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


def documents(schema: Schema) -> st.SearchStrategy[Any]:
    """Documents that a structural schema accepts."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema.get("minimum", -(2**40)), schema.get("maximum", 2**40))
        case "number":
            return st.floats(
                schema.get("minimum", -1e12),
                schema.get("maximum", 1e12),
                exclude_min=schema.get("exclusiveMinimum", False),
                exclude_max=schema.get("exclusiveMaximum", False),
            )
        case "string":
            return texts(schema)
        case "array":
            return st.lists(documents(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
        case _:
            return objects(schema)


def texts(schema: Schema) -> st.SearchStrategy[str]:
    if "pattern" in schema:
        found = st.from_regex(schema["pattern"], fullmatch=True)
        return found.filter(lambda text: len(text) <= schema["maxLength"])
    characters = st.characters(codec="utf-8")
    return st.text(characters, min_size=schema.get("minLength", 0), max_size=min(20, schema["maxLength"]))


def objects(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    if values := schema.get("additionalProperties"):
        return st.dictionaries(st.from_regex("[a-zA-Z]{1,8}", fullmatch=True), documents(values), max_size=3)
    needed = set(schema.get("required", ()))
    parts = {name: documents(part) for name, part in schema["properties"].items()}
    return st.fixed_dictionaries(
        {name: part for name, part in parts.items() if name in needed},
        optional={name: part for name, part in parts.items() if name not in needed},
    )


SPECS: list[type[Strict]] = [RequestSpec, CandidateSpec, FederationSpec, DeploymentSpec]
STATUSES: list[type[Strict]] = [RequestStatus, CandidateStatus, FederationStatus, DeploymentStatus]
SCHEMAS = {model: structural(model) for model in SPECS + STATUSES}
REQUEST = Draft4Validator(root_schema("FLStrategyRequest"))

CROSS_FIELD = {"value_error", "enum", "too_short"}
"""What a schema leaves to rules: checks across fields, also where a list lacks the entry that failed one, and the names
of a map that is keyed by an enum."""


@pytest.mark.parametrize("model", SPECS + STATUSES, ids=lambda model: model.__name__)
@few
@given(data=st.data())
def test_a_model_takes_what_the_schema_takes_and_gives_it_back(model: type[Strict], data: st.DataObject) -> None:
    schema = SCHEMAS[model]
    document = data.draw(documents(schema))
    try:
        read = model.model_validate_json(json.dumps(document), by_alias=True, by_name=False)
    except ValidationError as problem:
        found = {error["type"] for error in problem.errors()}
        assert found <= CROSS_FIELD and found != {"too_short"}
        return
    wire = read.to_wire()
    Draft4Validator(schema).validate(wire)
    assert model.model_validate_json(json.dumps(wire), by_alias=True, by_name=False) == read


LOOSE = ("search", "judging", "review", "minds", "interaction", "deployment", "answers", "model", "privacy")
"""Fields of a request that no check ties to another."""


@few
@given(data=st.data())
def test_a_request_survives_a_manifest(data: st.DataObject) -> None:
    parts = SCHEMAS[RequestSpec]["properties"]
    chosen = data.draw(st.fixed_dictionaries({}, optional={name: documents(parts[name]) for name in LOOSE}))
    document = deepcopy(GOOD)
    document["spec"] |= {**chosen, "budgets": {"simulatedRounds": 10**9}}
    try:
        request = FLStrategyRequest.model_validate_json(json.dumps(document))
    except ValidationError as problem:
        assume(problem.errors()[0]["type"] != "value_error")
        raise
    assert load_manifests(dump_yaml(request)) == [request]


@pytest.mark.parametrize("sign", ["\x85", "\u2028", "\u2029", "a\x85b c", "two\nlines"])
def test_what_yaml_takes_for_a_line_break_survives_a_manifest(sign: str) -> None:
    document = deepcopy(GOOD)
    document["spec"]["answers"] = [{"question": "0", "answer": sign}]
    request = FLStrategyRequest.model_validate_json(json.dumps(document))
    assert load_manifests(dump_yaml(request)) == [request]


PATHS = [
    ("spec", "goal"),
    ("spec", "task", "clients"),
    ("spec", "task", "data", "source"),
    ("spec", "task", "training"),
    ("spec", "search"),
    ("spec", "constraints"),
    ("spec", "abort"),
    ("spec", "privacy"),
]
JUNK = st.recursive(
    st.one_of(st.booleans(), st.integers(-3, 3000), st.floats(-2, 2), st.text(max_size=5), st.just({"epsilon": 1})),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["rounds", "trials"]), inner),
    max_leaves=4,
)


@few
@given(path=st.sampled_from(PATHS), junk=JUNK)
def test_what_a_model_takes_the_schema_takes(path: tuple[str, ...], junk: Any) -> None:
    document = deepcopy(GOOD)
    part = document
    for name in path[:-1]:
        part = part.setdefault(name, {})
    part[path[-1]] = junk
    if accepted(KINDS["FLStrategyRequest"], document):
        REQUEST.validate(document)


def accepted(model: type[BaseModel], document: Any) -> bool:
    try:
        model.model_validate_json(json.dumps(document), by_alias=True, by_name=False)
    except ValidationError:
        return False
    return True
