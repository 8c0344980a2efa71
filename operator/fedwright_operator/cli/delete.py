"""`fedwright delete`: ask for an end, and wait until it has come."""

import time
from typing import Annotated

import typer

from fedwright_operator.cli.ending import FAILED
from fedwright_operator.cli.lookup import called, existing, one_named, store_of
from fedwright_operator.cli.options import DEFAULT_HOME, HomeFolder, Namespace, home_at
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.collect import collect_garbage, remove_stray_federations
from fedwright_operator.local.home import Home, HomeIsDriven
from fedwright_operator.local.store import Store
from fedwright_operator.local.works import Works
from fedwright_operator.shell.kinds import AnyResource

POLL_SECONDS = 0.1


def delete(
    words: Annotated[list[str], typer.Argument(metavar="[KIND] NAME", help="What is to go.")],
    home: HomeFolder = DEFAULT_HOME,
    namespace: Namespace = "default",
    timeout: Annotated[float, typer.Option(help="Seconds to wait until it is gone.")] = 60.0,
) -> int:
    """Delete a resource and what it owns: a request with its candidates, their works and artifacts.

    A deployment that was promoted, and federations, stay; delete them by name.

    Examples: fedwright delete digits-noniid --home demo; fedwright delete flfed/edge
    """
    where = home_at(home)
    store = store_of(where)
    kind, name = one_named(words)
    resource = store.mark_deleted(kind.model, existing(store, kind.model, name, namespace).metadata.name, namespace)
    deadline = time.monotonic() + timeout
    while _is_there(store, resource) and not _removed_here(where, store, resource):
        if time.monotonic() > deadline:
            print(f"{called(resource)} is marked, but whoever drives {where.root} has not removed it yet")
            return FAILED
        time.sleep(POLL_SECONDS)
    print(f"{called(resource)} deleted")
    return 0


def _is_there(store: Store, resource: AnyResource) -> bool:
    present = store.get(type(resource), resource.metadata.name, resource.metadata.namespace)
    return present is not None and present.metadata.uid == resource.metadata.uid


def _removed_here(home: Home, store: Store, resource: AnyResource) -> bool:
    """Remove it ourselves if no one drives the home, who would first have to end its work."""
    try:
        with home.driven():
            store.remove(resource)
            remove_stray_federations(home, store)
            collect_garbage(store, Artifacts(home.artifacts), Works(home.works))
    except HomeIsDriven:
        return False
    return True
