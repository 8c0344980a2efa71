"""What the administrator says of boxes: images, limits, deadlines, where they may run, what they may reach.

Read from the chart's configuration. Every manifest of a work follows from this, the work, and whose it is.
"""

from enum import StrEnum
from math import ceil
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from fedwright_crds.base import Digest, Line, Name, Strict, digest_of
from fedwright_crds.meta import Key, Labels, LabelValue
from fedwright_crds.work import MIB, BoxKind

Repository = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9._:/]*[a-z0-9])?$", max_length=255)]
Tag = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?$", max_length=128)]
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}(m|Ki|Mi|Gi)?$", max_length=16)]
"""As the API reads amounts, as far as an administrator needs them here."""
Target = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.\-\[\]:]+:[0-9]{1,5}$", max_length=255)]
"""HOST:PORT."""
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[int, Field(ge=1, le=30 * 86400)]

STEPS_USERS = 16
"""User ids that one work takes: one for each of its containers, and the last for their common group."""
_USERS_OF_A_POD = (10_000, 50_000)
"""First and count where each pod has user ids of its own on its node."""
_UNITS = {"": 1 / MIB, "m": 1 / MIB / 1000, "Ki": 1 / 1024, "Mi": 1, "Gi": 1024}


class ImageError(LookupError):
    """A work is pinned to an image that cannot be had any more."""


class ReferBy(StrEnum):
    """How pods name an image whose digest is known."""

    DIGEST = "Digest"
    TAG = "Tag"
    """For images that were loaded onto the nodes: there, only the tag is known."""


class Image(Strict):
    """One image; with a digest it is always the same."""

    repository: Repository
    tag: Tag = ""
    digest: Digest | None = None

    @property
    def name(self) -> str:
        return f"{self.repository}:{self.tag}" if self.tag else self.repository

    @property
    def pin(self) -> Digest:
        """What works are pinned to: the image's digest, or where none is given that of its name."""
        return self.digest or digest_of(self.name.encode())


class Requests(Strict):
    """What a container asks of the scheduler."""

    cpu: Quantity = "100m"
    memory: Quantity = "256Mi"
    """At the least, see `memory_share`."""


class UserIds(Strict):
    """A range that no one else on the nodes uses: the kernel counts some limits over all processes of a user."""

    first: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1_000_000_000
    count: Annotated[int, Field(ge=STEPS_USERS, le=2**31 - 1)] = 1_000_000_000

    @model_validator(mode="after")
    def _exist(self) -> Self:
        if self.first + self.count > 2**31:
            raise ValueError(f"userIds end above {2**31 - 1}, the greatest that there is; lower first or count")
        return self


class Toleration(Strict):
    """As in a pod."""

    key: Key | None = None
    operator: Line | None = None
    value: LabelValue | None = None
    effect: Line | None = None
    toleration_seconds: int | None = None


class Peer(Strict):
    """Pods by the labels of their namespace and their own."""

    namespace_labels: Labels = Field(default_factory=dict)
    """Empty: the policy's own namespace."""
    pod_labels: Labels


class Gateway(Peer):
    """The model gateway, as minds reach it."""

    port: Port


class Networks(Strict):
    """What boxes with a network may reach."""

    dns: Peer = Peer(
        namespace_labels={"kubernetes.io/metadata.name": "kube-system"}, pod_labels={"k8s-app": "kube-dns"}
    )
    dns_cidrs: tuple[Line, ...] = ()
    """Addresses of a DNS cache on the nodes, which is no pod."""
    gateway: Gateway | None = None
    """Absent: no model stands behind any role."""


class BoxSettings(Strict):
    """Of all boxes."""

    images: dict[BoxKind, Image]
    refer_by: ReferBy = ReferBy.DIGEST
    pull_policy: Line = "IfNotPresent"
    image_pull_secrets: tuple[Name, ...] = ()
    runtime_class_name: Line = ""
    """'' is the nodes' default."""
    priority_class_name: Line = ""
    service_account_name: Name = "default"
    """No pod is given its token."""
    requests: Requests = Requests()
    memory_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Of its memory limit, what a container asks the scheduler for: limits are worst cases that few steps come near."""
    cpu_limit: Quantity = "1"
    deadline_slack_seconds: Seconds = 600
    """Time of a pod beside its steps' own: pulling images, starting containers. It is a backstop; launchers hold the steps' time."""
    waiting_seconds: Seconds = 86400
    """How long a Job may wait for room before it is made anew."""
    patience_seconds: Seconds = 300
    """How long an image may fail to be pulled, or a volume to be mounted, before the work counts as failed by the platform."""
    ttl_seconds: Seconds = 14400
    """How long a finished Job and its pod stay, for people to look at and for an operator that was away."""
    node_selector: Labels = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    host_users: bool = True
    """False: each pod has a user namespace. On a runtime without them pods never start."""
    user_ids: UserIds = UserIds()
    probes: Annotated[tuple[Target, ...], Field(max_length=16)] = ()
    """What a closed box must not reach; a step that reaches one of them is not run."""
    networks: Networks = Networks()

    @property
    def pins(self) -> dict[BoxKind, Digest]:
        """Digests of the images at hand."""
        return {kind: image.pin for kind, image in self.images.items()}

    def image(self, kind: BoxKind, pinned: Digest) -> str:
        """The reference of the very image that a work is pinned to. Raises ImageError where it cannot be had."""
        image = self.images.get(kind)
        if image is None:
            raise ImageError(f"no image is configured for {kind} boxes; set images in the chart's values")
        if self.refer_by is ReferBy.DIGEST and image.digest:
            return f"{image.repository}@{pinned}"
        if pinned != image.pin:
            raise ImageError(
                f"the work is pinned to another image of {kind} boxes than {image.name}, which is known by its tag alone;"
                " make the request anew, or give images by digest"
            )
        return image.name

    def users(self, work_id: str) -> range:
        """The user ids of a work's containers, in order; the last is their group. The same for each of its pods."""
        first, count = (self.user_ids.first, self.user_ids.count) if self.host_users else _USERS_OF_A_POD
        block = int(work_id[:15], 16) % (count // STEPS_USERS)
        return range(first + block * STEPS_USERS, first + (block + 1) * STEPS_USERS)

    def asked_mib(self, limit_mib: int) -> int:
        """The memory request of a container with this limit."""
        return min(limit_mib, max(mebibytes(self.requests.memory), ceil(self.memory_share * limit_mib)))


def mebibytes(quantity: str) -> int:
    """Of memory, rounded up."""
    number = quantity.rstrip("mKMGi")
    return ceil(int(number) * _UNITS[quantity[len(number) :]])
