"""The operator's core over an API in memory: cache, artifacts, works and passes, with small plans.

A core is one life of the operator. Its watch may be broken; a kill is a core that is not used any more.
"""

import base64
import json
from typing import Any

import small_plans
from api_in_memory import WATCHED, ApiInMemory, is_watched
from small_plans import IMAGES

from fedwright_crds.work import Work
from fedwright_operator.cluster import sweeps, watches
from fedwright_operator.cluster.api import CONFIG_MAP, JOB, Json
from fedwright_operator.cluster.artifacts import ClusterArtifacts
from fedwright_operator.cluster.cache import Cache
from fedwright_operator.cluster.intake import Intake
from fedwright_operator.cluster.ours import OURS
from fedwright_operator.cluster.passes import AT_ONCE, Passes
from fedwright_operator.cluster.settings import BoxSettings, Image
from fedwright_operator.cluster.stored import Store
from fedwright_operator.cluster.works import Works
from fedwright_operator.reconcile.api import ReleaseStatus
from fedwright_operator.shell.planning import Planners

SETTINGS = BoxSettings(images={kind: Image(repository="box", digest=digest) for kind, digest in IMAGES.items()})
REQUEST = OURS["FLStrategyRequest"]


class NoReleases:
    """Federations are no part of these stories."""

    def ensure(self, fleet: object) -> None:
        """It is up."""

    def status(self, fleet: object) -> ReleaseStatus:
        return ReleaseStatus(True, 0, "", "")


class Core:
    """One life of an operator."""

    def __init__(
        self,
        api: ApiInMemory,
        planners: Planners = small_plans.PLANNERS,
        settings: BoxSettings = SETTINGS,
        store: Store | None = None,
    ) -> None:
        given: Any = api
        releases: Any = NoReleases()
        self.api, self.cache, self.artifacts = api, Cache(), ClusterArtifacts(given, store)
        self.works = Works(given, self.cache, self.artifacts, settings)
        self.passes = Passes(given, self.cache, self.artifacts, self.works, releases, planners, IMAGES)
        self.asked: set[str] = set()
        self.intake = Intake(self.cache, self.asked.add, lambda _: None)
        self.blind = False
        """Whether the watches bring nothing."""
        self.take_stock()
        api.watches.append(self._see)

    def die(self) -> None:
        self.api.watches.remove(self._see)

    def _see(self, event: str, body: Json) -> None:
        kind = next((one for one in WATCHED if one.kind == body["kind"]), None)
        if self.blind or kind is None:
            return
        if event == "DELETED" or not is_watched(kind, body):
            self.intake.deleted(body)
        else:
            self.intake.present(body)

    def take_stock(self) -> None:
        """As at the start, and whenever a watch broke for long."""
        api: Any = self.api
        for kind in WATCHED:
            watches.take_stock(api, kind, "", self.intake)

    def sweep(self) -> None:
        api: Any = self.api
        sweeps.sweep(api, self.intake, [""])

    def run(self, *roots: str) -> None:
        """Passes over these roots, or over all that are asked for, or ask for another at once, until none is."""
        for root in roots:
            self.passes.run(root)
        for _ in range(0 if roots else 50):
            if not self.asked:
                return
            for root in sorted(self.asked):
                self.asked.discard(root)
                if self.passes.run(root) == AT_ONCE:
                    self.asked.add(root)


def wish(api: ApiInMemory, name: str = "wish", namespace: str = "default", **fields: Any) -> str:
    """A person applies a request; its uid."""
    made = small_plans.request(name, **fields)
    spec = made.spec.to_wire()
    body = {
        "apiVersion": made.api_version,
        "kind": made.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    return str(api.create(REQUEST, body)["metadata"]["uid"])


def open_works(api: ApiInMemory, namespace: str = "default") -> list[Work]:
    """Of the Jobs that run, as their pods are told."""
    found = []
    for job in api.list(JOB, namespace):
        if not job.get("status"):
            told = api.get(CONFIG_MAP, namespace, job["metadata"]["name"])
            found.append(Work.model_validate_json(told["data"]["work.json"]))
    return found


def compute(api: ApiInMemory, work: Work, namespace: str = "default", size: int = 0) -> None:
    """What the box does: the sum of its order and what came before, filled up to this size."""
    job = api.get(JOB, namespace, f"w-{work.id}")
    order = json.loads(mounted(api, job, 0))
    before = int(mounted(api, job, 1)) if len(work.inputs) > 1 else 0
    total = before + (order["number"] * 7 + order["step"] * 3) % 11
    api.finish(work, {"sum": str(total).encode().ljust(size)}, namespace)


def mounted(api: ApiInMemory, job: Json, place: int) -> bytes:
    """An input as the kubelet would put it together."""
    volumes = {one["name"]: one for one in job["spec"]["template"]["spec"]["volumes"]}
    content = b""
    for source in volumes[f"in-{place}"]["projected"]["sources"]:
        (item,) = source["configMap"]["items"]
        held = api.get(CONFIG_MAP, job["metadata"]["namespace"], source["configMap"]["name"])
        content += base64.b64decode(held["binaryData"][item["key"]])
    return content


def drive(core: Core, turns: int = 60, size: int = 0) -> None:
    """Passes and boxes by turns until nothing runs; time alone asks for every root now and then. `size`: of outputs."""
    for _ in range(turns):
        core.asked |= {one["metadata"]["uid"] for one in core.api.list(REQUEST, "")}
        core.run()
        running = open_works(core.api)
        if not running:
            return
        for one in running:
            compute(core.api, one, size=size)


def status_of(api: ApiInMemory, name: str = "wish", namespace: str = "default") -> Json:
    return dict(api.get(REQUEST, namespace, name).get("status", {}))


def answer(api: ApiInMemory, name: str = "wish") -> tuple[str, float]:
    status = status_of(api, name)
    return status.get("winner", ""), status.get("bestScore", 0.0)
