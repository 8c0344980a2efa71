"""The operator's configuration, as the chart writes it into one file."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, JsonValue, ValidationError, field_validator

from fedwright_crds.base import Line, Name, Namespace, Strict
from fedwright_operator.cluster.federation_values import FederationSettings
from fedwright_operator.cluster.settings import BoxSettings

Port = Annotated[int, Field(ge=0, le=65535)]


class LogSettings(Strict):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class Ports(Strict):
    health: Port = 8080
    metrics: Port = 9090


class ArtifactSettings(Strict):
    """Where artifacts are kept."""

    url: Line = ""
    """Any that obstore or fsspec can write to; '': ConfigMaps beside the request."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """What they take beside the URL; nothing secret, since a ConfigMap holds it."""

    @field_validator("url")
    @classmethod
    def _can_be_written_to(cls, url: str) -> str:
        scheme, found, rest = url.partition("://")
        if url and (not found or not rest or "::" in url):
            raise ValueError("is no URL; write s3://BUCKET/FOLDER, gs://, az:// or file:///FOLDER")
        if any(sign in rest for sign in "@?#"):
            raise ValueError("may name a user or a key; give credentials by artifacts.credentialsSecret")
        if scheme in _UNFIT:
            raise ValueError(f"{scheme}:// {_UNFIT[scheme]}; take s3://, gs://, az:// or file:///FOLDER")
        return url

    @field_validator("options")
    @classmethod
    def _hold_no_secret(cls, options: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name in _keys(options):
            if _SECRET.search(name.lower()):
                raise ValueError(f"{name} is a secret, and a ConfigMap is none; give it by artifacts.credentialsSecret")
        return options


_UNFIT = {
    "http": "cannot be written to",
    "https": "cannot be written to",
    "memory": "is gone with the process",
}
_SECRET = re.compile(r"secret|passw|token|access_key|account_key|service_account_key|sas|credential|authorization")


def _keys(options: Mapping[str, JsonValue]) -> Iterator[str]:
    for name, value in options.items():
        yield name
        if isinstance(value, dict):
            yield from _keys(value)


class ModelSettings(Strict):
    """The model gateway, and what allowances for it are signed with."""

    url: Line
    profiles: Path
    """Those of the gateway, by which unknown names are refused."""
    secret: Path


class OperatorConfig(Strict):
    boxes: BoxSettings
    namespaces: Annotated[tuple[Namespace, ...], Field(max_length=256)] = ()
    """Whose requests are served; none named: all."""
    lease: Name = "fedwright-operator"
    threads: Annotated[int, Field(ge=1, le=64)] = 6
    """Passes at one time."""
    log: LogSettings = LogSettings()
    ports: Ports = Ports()
    artifacts: ArtifactSettings = ArtifactSettings()
    federations: FederationSettings = FederationSettings()
    models: ModelSettings | None = None
    """Absent: no model stands behind any role."""


class ConfigError(Exception):
    """The configuration cannot be used; the message names the field and the mend."""


def load(path: Path) -> OperatorConfig:
    try:
        written = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as problem:
        raise ConfigError(f"{path} cannot be read: {problem}; mount the chart's ConfigMap there") from problem
    try:
        return OperatorConfig.model_validate_json(json.dumps(written))  # strict models take tuples from JSON alone
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(f"{path}: {field}: {first['msg']}; set it in the chart's values") from None
