"""Our own kinds as the API serves them."""

from fedwright_crds.meta import OwnerReference
from fedwright_operator.cluster.api import Json, Type
from fedwright_operator.shell.kinds import KINDS, AnyResource

GROUP, VERSION = "fedwright.dev", "v1alpha1"

OURS = {kind.name: Type(f"{GROUP}/{VERSION}", kind.name, kind.plural) for kind in KINDS}


def type_of(resource: AnyResource) -> Type:
    return OURS[resource.kind]


def owner(resource: AnyResource) -> Json:
    """A reference by which what is made for a resource goes with it. It blocks no deletion."""
    meta = resource.metadata
    return OwnerReference(
        api_version=resource.api_version,
        kind=resource.kind,
        name=meta.name,
        uid=meta.uid or "",
        controller=False,
        block_owner_deletion=False,
    ).to_wire()
