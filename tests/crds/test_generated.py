"""The CRDs in the repository are those of the models, and are what an API server takes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from fedwright_crds.__main__ import FOLDER, main
from fedwright_crds.base import LONGEST_NAME
from fedwright_crds.crds import NAMES, definition, generated, root_schema
from fedwright_crds.schema import structural

KINDS = [names.kind for names in NAMES]


def parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and every schema below it."""
    yield schema
    below = [*schema.get("properties", {}).values()]
    below += [schema[word] for word in ("items", "additionalProperties") if word in schema]
    for part in below:
        yield from parts(part)


def test_the_files_are_those_that_the_models_give() -> None:
    assert {file.name: file.read_text() for file in FOLDER.glob("*.yaml")} == generated()
    assert main(["--check"]) == 0


def test_a_check_shows_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(tmp_path)]) == 0
    file = tmp_path / "candidates.yaml"
    file.write_text(file.read_text().replace("flcand", "flcnd"))
    assert main(["--folder", str(tmp_path), "--check"]) == 1
    shown = capsys.readouterr().out
    assert "-    - flcnd" in shown and "+    - flcand" in shown


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_is_structural_and_has_a_greatest_size(kind: str) -> None:
    root = root_schema(kind)
    for part in parts({**root, "properties": {name: root["properties"][name] for name in ("spec", "status")}}):
        assert not part.keys() & {"const", "anyOf", "oneOf", "allOf", "$ref", "discriminator", "title", "nullable"}
        assert part["type"] in {"object", "array", "string", "integer", "number", "boolean"}
        match part:
            case {"enum": _} | {"properties": _}:
                continue
            case {"type": "string"}:
                assert "maxLength" in part
            case {"type": "array"}:
                assert "maxItems" in part
            case {"type": "object"}:
                assert "maxProperties" in part


@pytest.mark.parametrize("kind", KINDS)
def test_a_status_comes_from_the_operator_alone(kind: str) -> None:
    root = root_schema(kind)
    assert root["required"] == ["spec"]
    assert "default" not in root["properties"]["status"]


@pytest.mark.parametrize("kind", KINDS)
def test_of_the_metadata_only_a_name_is_bounded_so_that_a_file_can_hold_it(kind: str) -> None:
    name = {"type": "string", "maxLength": LONGEST_NAME}
    assert root_schema(kind)["properties"]["metadata"] == {"type": "object", "properties": {"name": name}}


def test_kubectl_get_deployments_stays_what_it_was() -> None:
    named = {names.kind: definition(names)["spec"]["names"] for names in NAMES}
    assert named["Deployment"]["plural"] == "fldeployments"
    assert named["Deployment"]["singular"] == "fldeployment"
    assert {kind: names["shortNames"] for kind, names in named.items()} == {
        "FLStrategyRequest": ["flsr"], "Candidate": ["flcand"], "Federation": ["flfed"], "Deployment": ["fldep"]
    }  # fmt: skip
    assert all(names["categories"] == ["fedwright"] for names in named.values())


class Free(BaseModel):
    words: list[Annotated[str, Field(max_length=5)]]


class Open(BaseModel):
    text: str


class Either(BaseModel):
    one: int | bool


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Free, "Free.words: no maxItems; give the model's field a greatest size"),
        (Open, "Open.text: no maxLength; give the model's field a greatest size"),
        (Either, "Either.one: a union of 2 types has no structural form"),
    ],
)
def test_a_model_that_the_server_would_refuse_is_refused_here(model: type[BaseModel], message: str) -> None:
    with pytest.raises(TypeError) as refusal:
        structural(model)
    assert str(refusal.value) == message


class Numbers(BaseModel):
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    kept: dict[Annotated[str, Field(pattern="^[a-z]+$")], Annotated[int, Field(ge=0, lt=9)]] = Field(max_length=3)


def test_bounds_null_and_maps_take_the_older_form() -> None:
    assert structural(Numbers)["properties"] == {
        "share": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1},
        "kept": {
            "type": "object",
            "maxProperties": 3,
            "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 9, "exclusiveMaximum": True},
        },
    }
