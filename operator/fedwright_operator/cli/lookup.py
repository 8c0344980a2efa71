"""From words on the command line to resources of a home. A miss is a refusal that says what there is."""

from collections.abc import Sequence

from fedwright_crds.request import FLStrategyRequest
from fedwright_operator.cli.ending import Refusal
from fedwright_operator.local.home import Home
from fedwright_operator.local.store import Store
from fedwright_operator.shell.kinds import KINDS, AnyResource, Kind, R, kind_called, kind_of

REQUESTS = kind_of(FLStrategyRequest)


def store_of(home: Home) -> Store:
    """The store of a home that exists."""
    if not home.resources.is_dir():
        raise Refusal(f"--home: {home.root} holds no resources; give the folder of an earlier run or apply")
    return Store(home.resources)


def target(words: Sequence[str]) -> tuple[Kind, str | None]:
    """`KIND`, `KIND NAME`, `KIND/NAME`, or `NAME` of a request."""
    parts = [part for word in words for part in word.split("/", 1)]
    if len(parts) > 2 or not all(parts):
        raise Refusal(f"{' '.join(words)!r} is not KIND, KIND NAME, KIND/NAME or the NAME of a request")
    if len(parts) == 2:
        return kind(parts[0]), parts[1]
    known = kind_called(parts[0])
    return (known, None) if known else (REQUESTS, parts[0])


def kind(word: str) -> Kind:
    found = kind_called(word)
    if found is None:
        known = ", ".join(f"{one.plural} ({one.short})" for one in KINDS)
        raise Refusal(f"{word!r} is no kind; use one of {known}")
    return found


def one_named(words: Sequence[str]) -> tuple[Kind, str]:
    found, name = target(words)
    if name is None:
        raise Refusal(f"{' '.join(words)!r} names no single resource; give its NAME too")
    return found, name


def existing(store: Store, model: type[R], name: str, namespace: str) -> R:
    found = store.get(model, name, namespace)
    if found is None:
        kind = kind_of(model)
        names = ", ".join(one.metadata.name for one in store.list(model) if one.metadata.namespace == namespace)
        have = f"there are {names}" if names else "there are none"
        raise Refusal(f"no {kind.plural.removesuffix('s')} {name!r} in namespace {namespace}; {have}")
    return found


def request_named(store: Store, name: str, namespace: str) -> FLStrategyRequest:
    return existing(store, FLStrategyRequest, name, namespace)


def called(resource: AnyResource) -> str:
    """As `-o name` prints it."""
    return f"{kind_of(type(resource)).plural.removesuffix('s')}/{resource.metadata.name}"
