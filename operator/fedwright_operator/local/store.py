"""Resources as files, one JSON file each: optimistic concurrency, spec and status written apart.

A writer of specs never touches a status and a writer of statuses never touches a spec, so a verb from
a second process and the loop cannot undo each other. It knows nothing of what the kinds mean.
"""

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from fedwright_crds.meta import Metadata
from fedwright_operator.local.files import locked, write_whole
from fedwright_operator.shell.clock import now, stamp
from fedwright_operator.shell.kinds import KINDS, AnyResource, Kind, R, kind_of

Stamp = tuple[int, int, int]


class StoreError(Exception):
    """The store cannot do what was asked; the message names the resource and the mend."""


class ConflictError(StoreError):
    """The resource was written since it was read."""


class MissingError(StoreError):
    """No such resource."""


class Store:
    """The resources of one home."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[Path, tuple[Stamp, AnyResource]] = {}

    # -- reading ----------------------------------------------------------------------------------
    def get(self, model: type[R], name: str, namespace: str = "default") -> R | None:
        return self._load(self._path(kind_of(model), namespace, name), model)

    def list(self, model: type[R]) -> tuple[R, ...]:
        """All of a kind, oldest first."""
        found = (self._load(path, model) for path in self._paths(kind_of(model)))
        return tuple(sorted((one for one in found if one is not None), key=_age))

    def all(self) -> tuple[AnyResource, ...]:
        return tuple(one for kind in KINDS for one in self.list(kind.model))

    def stamps(self) -> frozenset[tuple[Path, Stamp]]:
        """Changes whenever any resource does; cheap enough to ask many times a second."""
        found = []
        for kind in KINDS:
            for path in self._paths(kind):
                with contextlib.suppress(FileNotFoundError):
                    found.append((path, _stamp_of(path)))
        return frozenset(found)

    # -- writing ----------------------------------------------------------------------------------
    def create(self, resource: R) -> R:
        """Write a new resource, without a status that someone sent along."""
        with self._lock():
            path = self._path_of(resource)
            if path.exists():
                raise ConflictError(f"{_called(resource)} exists already; delete it first or choose another name")
            metadata = resource.metadata.model_copy(
                update={
                    "uid": str(uuid.uuid4()),
                    "resource_version": "1",
                    "generation": 1,
                    "creation_timestamp": stamp(now()),
                    "deletion_timestamp": None,
                }
            )
            blank = type(resource).model_fields["status"].default
            return self._write(path, _with(resource, metadata=metadata, status=blank))

    def write_spec(self, resource: R) -> R:
        """Write spec, labels and annotations. Raises ConflictError unless it names the present version."""
        with self._lock():
            current = self._current(resource)
            if resource.metadata.resource_version not in {None, current.metadata.resource_version}:
                raise ConflictError(f"{_called(resource)} was changed meanwhile; read it again and repeat")
            return self._put_spec(current, resource)

    def edit_spec(self, model: type[R], name: str, namespace: str, change: Callable[[R], R]) -> R:
        """Change a spec that is read and written under one lock, so no other writer's change is lost."""
        with self._lock():
            current = self.get(model, name, namespace)
            if current is None:
                raise MissingError(f"no {model.__name__} {namespace}/{name}")
            return self._put_spec(current, change(current))

    def write_status(self, resource: R) -> R | None:
        """Write the status alone, if it changed. None if this resource (by uid) is no more."""
        with self._lock():
            current = self.get(type(resource), resource.metadata.name, resource.metadata.namespace)
            if current is None or current.metadata.uid != resource.metadata.uid:
                return None
            if current.status == resource.status:
                return current
            metadata = _next_version(current.metadata)
            return self._write(
                self._path_of(current),
                _with(current, metadata=metadata, status=resource.status),
            )

    def mark_deleted(self, model: type[R], name: str, namespace: str) -> R:
        """Say that it should go. Whoever drives the home ends its work and then removes it."""
        with self._lock():
            current = self.get(model, name, namespace)
            if current is None:
                raise MissingError(f"no {model.__name__} {namespace}/{name}")
            if current.metadata.deletion_timestamp:
                return current
            metadata = _next_version(current.metadata).model_copy(update={"deletion_timestamp": stamp(now())})
            return self._write(self._path_of(current), _with(current, metadata=metadata))

    def remove(self, resource: AnyResource) -> None:
        """Remove it and all that it owns."""
        with self._lock():
            for one in (resource, *self.owned_by(resource)):
                path = self._path_of(one)
                path.unlink(missing_ok=True)
                self._read.pop(path, None)

    def owned_by(self, owner: AnyResource) -> tuple[AnyResource, ...]:
        return tuple(
            one
            for one in self.all()
            if any(reference.uid == owner.metadata.uid for reference in one.metadata.owner_references)
        )

    # -- files ------------------------------------------------------------------------------------
    def _put_spec(self, current: R, wanted: R) -> R:
        metadata = current.metadata.model_copy(
            update={"labels": wanted.metadata.labels, "annotations": wanted.metadata.annotations}
        )
        if current.spec == wanted.spec and current.metadata == metadata:
            return current
        if current.spec != wanted.spec:
            metadata = metadata.model_copy(update={"generation": (current.metadata.generation or 0) + 1})
        changed = _with(current, metadata=_next_version(metadata), spec=wanted.spec)
        return self._write(self._path_of(current), changed)

    def _current(self, resource: R) -> R:
        found = self.get(type(resource), resource.metadata.name, resource.metadata.namespace)
        if found is None:
            raise MissingError(f"no {_called(resource)}")
        return found

    def _write(self, path: Path, resource: R) -> R:
        write_whole(path, json.dumps(resource.to_wire(), indent=1).encode())
        self._read[path] = (_stamp_of(path), resource)
        return resource

    def _load(self, path: Path, model: type[R]) -> R | None:
        """Parsed once for each version of the file."""
        try:
            seen = _stamp_of(path)
            known = self._read.get(path)
            if known and known[0] == seen and isinstance(known[1], model):
                return known[1]
            resource = model.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as problem:
            first = problem.errors()[0]
            raise StoreError(
                f"{path} is not a {model.__name__}: {'.'.join(map(str, first['loc']))}: {first['msg']}; "
                "it was written by another version or by hand; mend it or remove it"
            ) from None
        assert isinstance(resource, model)
        self._read[path] = (seen, resource)
        return resource

    def _paths(self, kind: Kind) -> Iterator[Path]:
        return (self._root / kind.plural).glob("*/[!.]*.json")

    def _path_of(self, resource: AnyResource) -> Path:
        return self._path(kind_of(type(resource)), resource.metadata.namespace, resource.metadata.name)

    def _path(self, kind: Kind, namespace: str, name: str) -> Path:
        return self._root / kind.plural / namespace / f"{name}.json"

    def _lock(self) -> contextlib.AbstractContextManager[None]:
        return locked(self._root / ".lock")


def _with(resource: R, **changes: object) -> R:
    changed = resource.model_copy(update=changes)
    assert isinstance(changed, type(resource))
    return changed


def _next_version(metadata: Metadata) -> Metadata:
    return metadata.model_copy(update={"resource_version": str(int(metadata.resource_version or 0) + 1)})


def _stamp_of(path: Path) -> Stamp:
    seen = path.stat()
    return seen.st_ino, seen.st_mtime_ns, seen.st_size


def _age(resource: AnyResource) -> tuple[str, str, str]:
    metadata = resource.metadata
    return metadata.creation_timestamp or "", metadata.namespace, metadata.name


def _called(resource: AnyResource) -> str:
    return f"{resource.kind} {resource.metadata.namespace}/{resource.metadata.name}"
