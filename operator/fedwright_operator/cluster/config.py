"""The operator's configuration, as the chart writes it into one file."""

import json
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, JsonValue, ValidationError

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
    """Any that fsspec reads; '': ConfigMaps beside the request."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """What fsspec takes beside the URL."""


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
    threads: Annotated[int, Field(ge=1, le=64)] = 8
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
