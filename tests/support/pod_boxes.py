"""Works in pods of a real cluster, by kubectl: what is made of a work is applied, looked at, read and compared."""

import base64
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from kubectl import Kubectl

from fedwright_crds.base import Digest, digest_of
from fedwright_crds.work import BoxKind, Outcome, Work, WorkResult
from fedwright_operator.cluster import deliveries, names, networks
from fedwright_operator.cluster.jobs import CHUNK_KEY, Given, Whose, manifests
from fedwright_operator.cluster.settings import BoxSettings, Image, ReferBy
from fedwright_operator.cluster.sightings import Finished, Sighting, Waiting, seen

Json = dict[str, Any]

PIECE_BYTES = 700_000
POLL_SECONDS = 0.5
_IMAGES = {BoxKind.BENCH: "bench", BoxKind.JUDGE: "judge", BoxKind.MIND: "mind", BoxKind.PLATFORM: "flower"}


def settings_for(kubectl: Kubectl) -> BoxSettings:
    """Images as they were loaded; a closed box must not reach the API server."""
    address = kubectl.get("endpoints", "kubernetes", "-n", "default")["subsets"][0]
    return BoxSettings(
        images={kind: Image(repository=f"docker.io/fedwright/{name}", tag="dev") for kind, name in _IMAGES.items()},
        refer_by=ReferBy.TAG,
        probes=(f"{address['addresses'][0]['ip']}:{address['ports'][0]['port']}",),
        patience_seconds=15,
    )


class PodBoxes:
    """As `LocalBoxes`, in the namespace of a kubectl. Artifacts are in `kept` too."""

    def __init__(self, kubectl: Kubectl, settings: BoxSettings) -> None:
        self.kubectl, self.settings = kubectl, settings
        self.kept: dict[Digest, bytes] = {}
        self._owner = self._anchor()
        for policy in networks.policies(kubectl.namespace, settings.networks):
            self._apply(policy)

    def write(self, content: bytes) -> Digest:
        """Keep an artifact as ConfigMaps of the namespace."""
        digest = digest_of(content)
        for name, piece in zip(self.pieces(digest, content), _cut(content), strict=True):
            self._apply(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": name, "namespace": self.kubectl.namespace},
                    "immutable": True,
                    "binaryData": {CHUNK_KEY: base64.b64encode(piece).decode()},
                }
            )
        self.kept[digest] = content
        return digest

    @staticmethod
    def pieces(digest: Digest, content: bytes) -> list[str]:
        return [f"a-{digest[7:]}-{number}" for number in range(len(_cut(content)))]

    def start(self, work: Work, **change: Any) -> Work:
        """With the images of the cluster; `change` is applied to the settings."""
        work = work.model_copy(update={"images": {kind: self.settings.pins[kind] for kind in work.images}})
        pieces = {one.digest: self.pieces(one.digest, self.kept.get(one.digest, b"")) for one in work.inputs}
        whose = Whose(self.kubectl.namespace, "root", self._owner)
        made = manifests(work, whose, Given(pieces), self.settings.model_copy(update=change))
        self._apply(made.config_map)
        self._apply(made.job)
        return work

    def look(self, work: Work) -> Sighting:
        job = self.kubectl.get("job", names.object_name(work.id))
        events = self.kubectl.get("events")["items"]
        return seen(work, job, self._pods(work), events, datetime.now(UTC), self.settings.patience_seconds)

    def until(self, work: Work, wanted: Callable[[Sighting], bool], seconds: float = 240) -> Sighting:
        """The first sighting that is wanted; AssertionError if none comes in time."""
        deadline = time.monotonic() + seconds
        while not wanted(sighting := self.look(work)):
            assert time.monotonic() < deadline, (
                f"{sighting}: {self.kubectl('describe', 'pods', _selector(work))[-3000:]}"
            )
            time.sleep(POLL_SECONDS)
        return sighting

    def waits(self, work: Work, reason: str) -> str:
        """The message of a work that waits for this reason."""
        sighting = self.until(work, lambda one: isinstance(one, Waiting) and one.reason == reason, 60)
        assert isinstance(sighting, Waiting)
        return sighting.message

    def end(self, work: Work) -> WorkResult:
        """What became of it, outputs kept; its Job is deleted."""
        finished = self.until(work, lambda one: isinstance(one, Finished))
        assert isinstance(finished, Finished)
        outputs: Mapping[str, bytes] = {}
        if finished.delivered is not None:
            assert finished.result.outcome is Outcome.SUCCEEDED
            (pod,) = self._pods(work)
            log = self.kubectl("logs", pod["metadata"]["name"], "-c", names.DELIVER)
            outputs = deliveries.read(log.encode(), finished.delivered, work)
        self.kept |= {digest_of(content): content for content in outputs.values()}
        self.kubectl("delete", "job", names.object_name(work.id), "--wait=false")
        digests = {name: digest_of(content) for name, content in outputs.items()}
        return finished.result.model_copy(update={"outputs": digests})

    def run(self, work: Work) -> WorkResult:
        return self.end(self.start(work))

    def _pods(self, work: Work) -> list[Json]:
        found: list[Json] = self.kubectl.get("pods", _selector(work))["items"]
        return found

    def _apply(self, document: Json) -> None:
        self.kubectl("apply", "--server-side", "-f", "-", document=document)

    def _anchor(self) -> Json:
        """What owns all that is made."""
        self._apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}})
        uid = self.kubectl.get("configmap", "owner")["metadata"]["uid"]
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}


def _cut(content: bytes) -> list[bytes]:
    return [content[start : start + PIECE_BYTES] for start in range(0, len(content), PIECE_BYTES)] or [b""]


def _selector(work: Work) -> str:
    return f"-lfedwright.dev/work={work.id}"
