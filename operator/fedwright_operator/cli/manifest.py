"""Manifests into a home: all are checked before anything is written; words of a person that are there already are kept."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fedwright_crds.base import canonical
from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.intent import changed_fields
from fedwright_crds.manifests import ManifestError, load_manifests
from fedwright_crds.meta import Resource
from fedwright_crds.profiles import load_profiles
from fedwright_crds.request import CATALOGUE, FLStrategyRequest, Minds, RequestSpec
from fedwright_operator.cli.ending import Refusal
from fedwright_operator.cli.lessons import with_lessons
from fedwright_operator.cli.lookup import called
from fedwright_operator.local.home import Home
from fedwright_operator.local.models import profiles_file
from fedwright_operator.local.store import Store
from fedwright_operator.reconcile.learning import ANNOTATION
from fedwright_operator.shell.kinds import AnyResource, R


def read(home: Home, file: Path, namespace: str) -> list[AnyResource]:
    """The resources of a file, or of standard input for `-`; Refusal with one clear message."""
    try:
        resources = load_manifests(Path("/dev/stdin") if file == Path("-") else file)
    except ManifestError as problem:
        raise Refusal(str(problem)) from None
    return [_appliable(home, one, namespace, file) for one in resources]


def check(store: Store, resources: Sequence[AnyResource]) -> None:
    """Refuse, before anything is written, what the home will not take."""
    for one in resources:
        present = store.get(type(one), one.metadata.name, one.metadata.namespace)
        if present is not None and present.metadata.deletion_timestamp:
            raise Refusal(f"{called(one)} is being deleted; wait until it is gone, or choose another name")
        if present is not None and (changed := _frozen_changes(present, one)):
            raise Refusal(_frozen(present, changed))


def apply_all(home: Home, resources: Sequence[AnyResource], *, learned: bool = True) -> list[tuple[AnyResource, str]]:
    """Write the specs; each resource with what was done: created, configured or unchanged.

    `learned`: new requests may search what the home has learned so far.
    """
    store = Store(home.resources)
    check(store, resources)
    return [_apply(store, one, home if learned else None) for one in resources]


def _apply(store: Store, wanted: AnyResource, learned: Home | None) -> tuple[AnyResource, str]:
    meta = wanted.metadata
    before = store.get(type(wanted), meta.name, meta.namespace)
    if before is None:
        if learned and isinstance(wanted, FLStrategyRequest):
            return store.create(with_lessons(learned, wanted)), "created"
        return store.create(wanted), "created"
    after = store.edit_spec(type(wanted), meta.name, meta.namespace, lambda present: _with_spec(present, wanted))
    same = after.metadata.resource_version == before.metadata.resource_version
    return after, "unchanged" if same else "configured"


def _with_spec(present: R, wanted: R) -> R:
    if changed := _frozen_changes(present, wanted):  # someone was quicker since it was checked
        raise Refusal(_frozen(present, changed))
    spec = wanted.spec
    if isinstance(present, FLStrategyRequest) and isinstance(wanted, FLStrategyRequest):
        spec = wanted.spec.model_copy(update=_kept_intent(present.spec, wanted.spec))
    metadata = present.metadata.model_copy(
        update={"labels": wanted.metadata.labels, "annotations": _annotations(present, wanted)}
    )
    return revalidated(present, metadata=metadata, spec=spec)


def _annotations(present: AnyResource, wanted: AnyResource) -> dict[str, str]:
    """As wanted, save that what a planner may search stays as it was."""
    before, after = present.metadata.annotations, wanted.metadata.annotations
    return {**after, ANNOTATION: before[ANNOTATION]} if ANNOTATION in before else dict(after)


def _frozen_changes(present: AnyResource, wanted: AnyResource) -> list[str]:
    """Fields that may not change any more, and would."""
    if isinstance(present, FLStrategyRequest) and isinstance(wanted, FLStrategyRequest):
        return changed_fields(present.spec, wanted.spec) if present.status.frozen_spec else []
    if isinstance(present, Deployment) and isinstance(wanted, Deployment):
        before, after = present.spec.to_wire(), wanted.spec.to_wire()
        return [f"spec.{name}" for name in ("federation", "package", "rounds") if before[name] != after[name]]
    return []


def _frozen(present: AnyResource, changed: Sequence[str]) -> str:
    begun = "planning" if isinstance(present, FLStrategyRequest) else "deployment"
    return (
        f"{', '.join(changed)}: {begun} of {called(present)} has begun, so this cannot change; "
        "put it back, or apply it under another name"
    )


def _kept_intent(present: RequestSpec, wanted: RequestSpec) -> dict[str, Any]:
    """Answers and approvals add up; other words are kept where the manifest is silent."""
    answered = {one.question for one in wanted.answers}
    approved = {(one.stage, one.digest) for one in wanted.approvals}
    kept: dict[str, Any] = {
        "answers": (*(one for one in present.answers if one.question not in answered), *wanted.answers),
        "approvals": (
            *(one for one in present.approvals if (one.stage, one.digest) not in approved),
            *wanted.approvals,
        ),
    }
    for name in ("abort", "retry_token"):
        if name not in wanted.model_fields_set:
            kept[name] = getattr(present, name)
    return kept


def revalidated(resource: R, **changes: object) -> R:
    """A changed copy that is checked like any manifest: a copy alone would not be."""
    changed = resource.model_copy(update=changes)
    try:
        checked = type(resource).model_validate_json(canonical(changed.to_wire()))
    except ValidationError as problem:
        first = problem.errors()[0]
        raise Refusal(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    assert isinstance(checked, type(resource))
    return checked


def missing_profiles(home: Home, minds: Minds) -> list[str]:
    """Roles whose model, and a search that, is none of the administrator's. ManifestError for a file of profiles that is none."""
    wanted, file = minds.models, profiles_file(home)
    if not wanted:
        return []
    profiles = load_profiles(file) if file.exists() else None
    known = profiles.by_name if profiles else {}
    have = f"{file} does not have" if profiles else f"belongs into {file}, which is not there"
    missing = [
        f"spec.minds.{field} is {name!r}, a profile that {have}; give {' or '.join([CATALOGUE, *known])}, or add it there"
        for field, name in wanted.items()
        if name not in known
    ]
    return missing + _missing_search(minds.search, profiles.search_by_name if profiles else {}, have)


def _missing_search(wanted: str | None, known: Container[str], have: str) -> list[str]:
    if wanted is None or wanted in known:
        return []
    return [
        f"spec.minds.search is {wanted!r}, a search profile that {have};"
        " name one of its list `search`, add it there, or remove spec.minds.search"
    ]


def _appliable(home: Home, resource: Resource, namespace: str, file: Path) -> AnyResource:
    if isinstance(resource, Candidate):
        raise Refusal(f"{file}: kind: a Candidate is written by its request; name candidates in spec.search.candidates")
    if isinstance(resource, FLStrategyRequest):
        try:
            missing = missing_profiles(home, resource.spec.minds)
        except ManifestError as problem:
            raise Refusal(f"{file}: spec.minds names models, and their profiles cannot be read: {problem}") from None
        if missing:
            raise Refusal("\n".join(f"{file}: {one}" for one in missing))
    assert isinstance(resource, AnyResource)
    if "namespace" in resource.metadata.model_fields_set:
        return resource
    return resource.model_copy(update={"metadata": resource.metadata.model_copy(update={"namespace": namespace})})
