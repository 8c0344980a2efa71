"""Deployment: an artifact on a federation."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from fedwright_crds.base import Digest, Line, Name, Strict
from fedwright_crds.cluster import cluster_rules, unchanging
from fedwright_crds.meta import Conditions, Resource


class DeploymentSpec(Strict):
    federation: Name
    package: Digest
    """The winner as a Flower app."""
    rounds: Annotated[int, Field(ge=1, le=2000)] = 10
    abort: bool = False
    retry_token: Line = ""


class DeploymentPhase(StrEnum):
    PENDING = "Pending"
    SUBMITTING = "Submitting"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def terminal(self) -> bool:
        return self in {DeploymentPhase.SUCCEEDED, DeploymentPhase.FAILED}


class DeploymentStatus(Strict):
    phase: DeploymentPhase = DeploymentPhase.PENDING
    observed_generation: Annotated[int, Field(ge=0)] = 0
    conditions: Conditions = ()
    run: Line = ""
    round: Annotated[int, Field(ge=0)] = 0
    accuracy: float | None = None
    model: Digest | None = None
    metrics: Digest | None = None
    restarts: Annotated[int, Field(ge=0)] = 0
    retries: Annotated[int, Field(ge=0)] = 0
    retry_token: Line = ""


class Deployment(Resource):
    """A strategy's artifact by digest, submitted to a federation, followed, its model and metrics collected."""

    model_config = cluster_rules(*unchanging(DeploymentSpec, but=("abort", "retryToken")))

    kind: Literal["Deployment"] = "Deployment"
    spec: DeploymentSpec
    status: DeploymentStatus = DeploymentStatus()
