"""Garbage: results that no one is left to want, artifacts that nothing names. Needs the home's lock."""

import re
import shutil
from collections.abc import Iterable

from fedwright_crds.federation import Federation
from fedwright_crds.work import MIB
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.home import Home
from fedwright_operator.local.store import Store
from fedwright_operator.local.works import Works

DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")
LARGEST_DOCUMENT = 4 * MIB
"""Larger artifacts are data, not documents, and are not searched for names."""


def collect_garbage(store: Store, artifacts: Artifacts, works: Works) -> tuple[int, int]:
    """Remove what is unreachable; how many results and how many artifacts.

    Whatever looks like a digest in a resource, in a kept work or in a kept document counts as a name, so too
    much may stay but nothing needed can go.
    """
    resources = store.all()
    uids = {one.metadata.uid for one in resources}
    for root in works.roots() - {uid for uid in uids if uid}:
        works.forget(root)
    wanted = frozenset[str]().union(*(works.wanted(root) for root in works.roots()))
    lost = [work_id for work_id in works if work_id not in wanted]
    for work_id in lost:
        works.remove(work_id)
    named = _reachable(artifacts, _names_in_resources(store) | _names_in_works(works))
    unnamed = artifacts.digests() - named
    for digest in unnamed:
        artifacts.remove(digest)
    return len(lost), len(unnamed)


def remove_stray_federations(home: Home, store: Store) -> None:
    """Remove the folders, keys included, of federations that are no more. Their processes must have ended."""
    present = {home.federation(one.metadata.namespace, one.metadata.name) for one in store.list(Federation)}
    for folder in home.federations.glob("*/*"):
        if folder not in present:
            shutil.rmtree(folder, ignore_errors=True)


def _names_in_resources(store: Store) -> set[str]:
    return _names(one.model_dump_json().encode() for one in store.all())


def _names_in_works(works: Works) -> set[str]:
    definitions = (works.definition(work_id) for work_id in works)
    return _names(one.model_dump_json().encode() for one in definitions if one) | _names(
        result.model_dump_json().encode() for result in works.values()
    )


def _names(texts: Iterable[bytes]) -> set[str]:
    return {name.decode() for text in texts for name in DIGEST.findall(text)}


def _reachable(artifacts: Artifacts, names: set[str]) -> set[str]:
    present = artifacts.digests()
    reached: set[str] = set()
    frontier = names & present
    while frontier:
        reached |= frontier
        documents = (artifacts.path(name).read_bytes() for name in frontier if artifacts.size(name) <= LARGEST_DOCUMENT)
        frontier = (_names(documents) & present) - reached
    return reached
