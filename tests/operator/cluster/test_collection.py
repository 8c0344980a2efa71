"""What nothing names any more goes from the URL after the grace, and nothing else does."""

from pathlib import Path
from typing import Any

import fsspec
import pytest
from api_in_memory import ApiInMemory

from fedwright_operator.cluster.api import CONFIG_MAP, Json
from fedwright_operator.cluster.artifacts import CHUNK_BYTES, ClusterArtifacts
from fedwright_operator.cluster.collection import GRACE_SECONDS, Collector, overdue, unrecorded
from fedwright_operator.cluster.folders import Folder
from fedwright_operator.cluster.labels import STORED
from fedwright_operator.cluster.lease import NotLeaderError
from fedwright_operator.cluster.stored import OWNER, Store

DATA = b"a" * (CHUNK_BYTES + 1)


class Place:
    """An API, a folder, and one life of an operator over both."""

    def __init__(self, root: Path) -> None:
        self.api, self.root = ApiInMemory(), root
        self.store = Store(Folder(fsspec.filesystem("file"), str(root)))
        self.now = 0.0
        api: Any = self.api
        self.artifacts = ClusterArtifacts(api, self.store)
        self.collector = self.another("this one")

    def another(self, installation: str) -> Collector:
        api: Any = self.api
        return Collector(api, self.store, lambda: installation, lambda: self.now)

    def owner(self, name: str, namespace: str = "default") -> Json:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}
        made = self.api.create(CONFIG_MAP, body)
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": made["metadata"]["uid"]}

    def keep(self, name: str, namespace: str = "default", data: bytes = DATA) -> str:
        return self.artifacts.write(namespace, data, self.owner(name, namespace), output=True)

    def go(self, name: str, namespace: str = "default") -> None:
        """The cluster's own collector takes along what it owned."""
        self.api.remove(self.api.bodies["ConfigMap", namespace, name])

    def look(self, *scopes: str, after: float = 0.0) -> None:
        self.now += after
        self.collector.look(scopes or ("",))

    @property
    def lying(self) -> set[str]:
        return {name.partition("/")[0] for name in self.store.names() if name != OWNER}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_it_stays_as_long_as_its_record_and_goes_a_grace_after_it(place: Place) -> None:
    place.keep("one")
    place.look(after=GRACE_SECONDS)
    place.go("one")
    place.look(after=GRACE_SECONDS)
    place.look(after=GRACE_SECONDS - 1)
    assert place.lying == {"default"}
    place.look(after=1)
    assert not place.lying


def test_with_a_namespace_its_objects_go_and_nothing_waits_for_it(place: Place) -> None:
    place.keep("one", "clinic")
    place.keep("two")
    place.go("one", "clinic")
    assert not [key for key in place.api.bodies if key[1] == "clinic"], "no finalizer keeps anything"
    place.look()
    place.look(after=GRACE_SECONDS)
    assert place.lying == {"default"}


def test_who_needs_it_again_within_the_grace_has_it_for_another(place: Place) -> None:
    place.keep("one")
    place.go("one")
    place.look()
    digest = place.keep("two")
    place.look(after=GRACE_SECONDS)
    place.go("two")
    place.look(after=GRACE_SECONDS)
    place.look(after=GRACE_SECONDS - 1)
    assert place.lying == {"default"}
    assert digest


def test_a_record_that_is_written_between_the_list_and_the_removal_saves_it(place: Place) -> None:
    place.keep("one")
    place.go("one")
    place.look()
    listed = place.api.metadata

    def late(*asked: Any) -> Any:
        found = listed(*asked)
        place.artifacts.forget("nobody")
        place.keep("two")
        return found

    place.api.metadata = late  # type: ignore[method-assign]
    place.look(after=GRACE_SECONDS)
    place.api.metadata = listed  # type: ignore[method-assign]
    assert place.lying == {"default"}


def test_a_record_whose_label_somebody_took_away_still_counts(place: Place) -> None:
    digest = place.keep("one")
    del place.api.bodies["ConfigMap", "default", f"a-{digest[7:]}-0"]["metadata"]["labels"][STORED]
    place.look()
    place.look(after=GRACE_SECONDS)
    assert place.lying == {"default"}


def test_what_a_killed_writer_left_goes_and_what_others_put_there_stays(place: Place) -> None:
    folder = place.root / "default"
    folder.mkdir()
    (folder / f".{'0' * 64}.{'1' * 32}").write_bytes(b"half")
    others = [place.root / "readme.txt", folder / "notes", folder / ("0" * 63)]
    for path in others:
        path.write_text("mine")
    place.look()
    place.look(after=GRACE_SECONDS)
    assert sorted(one for one in place.root.rglob("*") if one.is_file()) == sorted([*others, place.root / OWNER])


def test_namespaces_that_are_not_served_are_left_alone(place: Place) -> None:
    for namespace in ("mine", "others"):
        place.keep("one", namespace)
        place.go("one", namespace)
    for _ in range(2):
        place.look("mine", after=GRACE_SECONDS)
    assert place.lying == {"others"}


def test_another_installation_with_the_same_url_removes_nothing(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Its cluster has none of the records."""
    place.keep("one")
    place.look()
    place.go("one")
    place.collector = place.another("another one")
    for _ in range(2):
        place.look(after=GRACE_SECONDS)
    assert place.lying == {"default"}
    assert "belongs to the installation 'this one'" in caplog.text
    (place.root / OWNER).unlink()
    for _ in range(2):
        place.look(after=GRACE_SECONDS)
    assert not place.lying


def test_who_may_not_write_any_more_removes_nothing(place: Place) -> None:
    place.keep("one")
    place.go("one")
    place.look()

    def fence() -> None:
        raise NotLeaderError

    place.api.fence = fence  # type: ignore[method-assign]
    with pytest.raises(NotLeaderError):
        place.look(after=GRACE_SECONDS)
    assert place.lying == {"default"}


def test_whoever_has_a_record_again_begins_anew() -> None:
    since = unrecorded({"a", "b", "c"}, {"c"}, {"a": 1.0, "c": 1.0}, 5.0)
    assert since == {"a": 1.0, "b": 5.0}
    assert overdue(since, 1.0 + GRACE_SECONDS) == ["a"]
