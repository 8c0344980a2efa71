"""What of a request a person may still change once planning has begun, and a digest of all else.

The same rules are in the CRD, so that the API server refuses what these functions find.
"""

from collections.abc import Iterator
from typing import Any

from fedwright_crds.base import Digest, canonical, digest_of
from fedwright_crds.request import INTENT, Budgets, RequestSpec


def frozen_part(spec: RequestSpec) -> dict[str, Any]:
    """The spec, as it is written, without what a person may change."""
    return {name: value for name, value in spec.to_wire().items() if name not in INTENT}


def frozen_digest(spec: RequestSpec) -> Digest:
    """Digest of the frozen part; equal for equal specs, however they were spelled."""
    return digest_of(canonical(frozen_part(spec)))


def changed_fields(old: RequestSpec, new: RequestSpec) -> list[str]:
    """Paths, such as `spec.task.clients`, at which `new` changes what is frozen, budgets that shrink included."""
    return [*_differences(frozen_part(old), frozen_part(new), "spec"), *_shrunk(old.budgets, new.budgets)]


def _differences(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(name), new.get(name), f"{path}.{name}")
    elif old != new:
        yield path


def _shrunk(old: Budgets, new: Budgets) -> list[str]:
    before, after = old.to_wire(), new.to_wire()
    return [f"spec.budgets.{name}" for name in before if after[name] < before[name]]
