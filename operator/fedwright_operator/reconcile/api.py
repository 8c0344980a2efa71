"""What a reconciler sees and what it answers.

A reconciler is a pure function `plan(observed) -> Plan`: no I/O, no clock of its own, no memory. It derives from the spec and
from finished work all the work that is wanted now, so it may be run again at any moment, and a crash costs nothing but the
step in flight. A shell (files and processes on one machine, kopf on Kubernetes) observes, calls it and applies the plan.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from fedwright_crds.allowance import Role
from fedwright_crds.base import Strict, canonical, digest_of
from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.federation import Federation, FederationSpec
from fedwright_crds.meta import Resource
from fedwright_crds.request import FLStrategyRequest
from fedwright_crds.transcript import Charge
from fedwright_crds.work import BoxKind, Work, WorkResult

R = TypeVar("R", FLStrategyRequest, Candidate, Federation, Deployment)
D = TypeVar("D", bound=Strict)


@dataclass(frozen=True)
class ReleaseStatus:
    """What is seen of a federation's processes (one machine) or Helm release (Kubernetes)."""

    ready: bool
    nodes_connected: int
    address: str
    certificate_expires_at: str
    message: str = ""


@dataclass(frozen=True)
class Release:
    """A federation that should be up."""

    name: str
    spec: FederationSpec


@dataclass(frozen=True)
class Waits:
    """Why a work that is wanted does not run: a quota, no room on any node. No failure, and no reason to decide otherwise."""

    reason: str
    """CamelCase."""
    message: str


@dataclass(frozen=True)
class Observed(Generic[R]):
    """Everything a plan may depend on."""

    resource: R
    now: datetime
    images: Mapping[BoxKind, str]
    """Digests of the images at hand; a request pins them at its first reconcile."""
    results: Mapping[str, WorkResult]
    """Finished work by id."""
    read: Callable[[str], bytes]
    """An artifact by digest. Content-addressed, so reading is as pure as looking up a constant. KeyError if it is gone."""
    candidates: tuple[Candidate, ...] = ()
    request: FLStrategyRequest | None = None
    """The owner, where the resource has one."""
    federation: Federation | None = None
    deployment: Deployment | None = None
    release: ReleaseStatus | None = None
    progress: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Last progress that running work reported, by work id; for display in status only, never for decisions."""
    waiting: tuple[Waits, ...] = ()
    """Of works that cannot start; for display in status only."""
    charged: Callable[[], Mapping[Role, Charge] | None] = dict
    """What the gateway charged the request's roles so far; None: it is to be asked again. For the report only, never for
    decisions."""
    lessons: Callable[[], bytes] = bytes
    """What earlier requests have taught, a lesson a line. Asked once, before anything of the request is wanted."""

    def document(self, kind: type[D], digest: str) -> D:
        return kind.model_validate_json(self.read(digest))


@dataclass(frozen=True)
class Event:
    """A change worth telling a person."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True)
class Plan(Generic[R]):
    """What should be true next. The shell compares it with what is and does the difference."""

    resource: R
    """The resource with its status computed whole; the shell writes the status once, if it changed."""
    works: tuple[Work, ...] = ()
    """All work wanted now, most urgent first. Running work that nothing wants any more is stopped."""
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    """Documents to store before the work that names them starts."""
    orders: Mapping[str, bytes] = field(default_factory=dict)
    """Documents that are read by the work that is given them and by nobody else, so a shell may keep them with it."""
    apply: tuple[Resource, ...] = ()
    """Children as they should be; the shell creates them or writes their spec."""
    delete: tuple[Resource, ...] = ()
    release: Release | None = None
    teaches: str | None = None
    """The lessons of a request that ends with this plan: a shell that keeps them adds them before it writes the status."""
    parallel: int | None = None
    """How many works of this request may run at one time."""
    events: tuple[Event, ...] = ()
    requeue_seconds: float | None = None


def artifact(document: Strict) -> tuple[str, bytes]:
    """A document as an artifact: its digest and its canonical bytes."""
    data = canonical(document.to_wire())
    return digest_of(data), data
