"""What the objects of a work are called: the Job, its containers, the labels that policies and people go by."""

import re

from fedwright_crds.base import LONGEST_LABEL, digest_of
from fedwright_crds.work import Work

KIND = "fedwright.dev/kind"
"""The kind of a work, such as `judge`."""
NETWORK = "fedwright.dev/network"
"""What a pod may reach, see `Network`."""
FEDERATION = "fedwright.dev/federation"
"""The federation that a pod may reach."""
BOX = "box"
"""The role of pods that run works."""
DELIVER = "deliver"
"""The last container."""


def object_name(work_id: str) -> str:
    """Of a work's Job, ConfigMap and Secret."""
    return f"w-{work_id}"


def container_name(work: Work, index: int) -> str:
    """Of a step's container. Its number keeps apart what is the same in a name of DNS."""
    plain = re.sub(r"[^a-z0-9]+", "-", work.steps[index].name.lower())
    return f"{index}-{plain}"[:LONGEST_LABEL].strip("-")


def container_names(work: Work) -> tuple[str, ...]:
    """In the order in which they run."""
    return (*(container_name(work, index) for index in range(len(work.steps))), DELIVER)


def label_value(name: str) -> str:
    """A resource's name as a label's value; one that is too long is told by its digest."""
    return name if len(name) <= LONGEST_LABEL else f"{name[:40].rstrip('-.')}.{digest_of(name.encode())[7:23]}"
