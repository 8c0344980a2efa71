"""Large outputs lie at the URL behind a record; small ones, and what pods mount, in ConfigMaps."""

import base64
import os
from pathlib import Path
from typing import Any

import fsspec
import pytest
from api_in_memory import ApiInMemory

from fedwright_crds.base import digest_of
from fedwright_operator.cluster.api import CONFIG_MAP, ApiError, Json
from fedwright_operator.cluster.artifacts import CHUNK_BYTES, LARGEST, LARGEST_STORED, ClusterArtifacts
from fedwright_operator.cluster.folders import Folder
from fedwright_operator.cluster.labels import STORED
from fedwright_operator.cluster.stored import REFUSED, Store, StoreError

DATA = os.urandom(2 * CHUNK_BYTES + 1)
DIGEST = digest_of(DATA)


@pytest.fixture
def api() -> ApiInMemory:
    return ApiInMemory()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Folder(fsspec.filesystem("file"), str(tmp_path)))


def artifacts(api: Any, store: Store | None) -> ClusterArtifacts:
    return ClusterArtifacts(api, store)


def owner(api: ApiInMemory, name: str, namespace: str = "default") -> Json:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": name,
        "uid": api.create(CONFIG_MAP, body)["metadata"]["uid"],
    }


def maps(api: ApiInMemory, digest: str = DIGEST) -> list[str]:
    return sorted(name[67:] for _, _, name in api.bodies if name.startswith(f"a-{digest[7:]}"))


def record(api: ApiInMemory) -> Json:
    return api.bodies["ConfigMap", "default", f"a-{DIGEST[7:]}-0"]


def test_a_large_output_leaves_a_small_record_and_is_read_by_another_life(api: ApiInMemory, store: Store) -> None:
    artifacts(api, store).write("default", DATA, owner(api, "one"), output=True)
    assert maps(api) == ["0"]
    assert len(str(record(api))) < 1000 and record(api)["metadata"]["labels"][STORED] == "true"
    assert artifacts(api, store).read("default", DIGEST) == DATA


@pytest.mark.parametrize(
    ("data", "output"), [(b"x" * CHUNK_BYTES, True), (b"", True), (DATA, False)], ids=["small", "empty", "for pods"]
)
def test_the_rest_lies_in_config_maps(api: ApiInMemory, store: Store, data: bytes, output: bool) -> None:
    digest = artifacts(api, store).write("default", data, owner(api, "one"), output=output)
    assert not list(store.names())
    assert artifacts(api, None).read("default", digest) == data


def test_without_a_url_large_outputs_lie_in_config_maps_too(api: ApiInMemory) -> None:
    artifacts(api, None).write("default", DATA, owner(api, "one"), output=True)
    assert maps(api) == ["0", "1", "2"]


def test_what_is_in_one_place_stays_there_whoever_writes_it_again(api: ApiInMemory, store: Store) -> None:
    artifacts(api, None).write("default", DATA, owner(api, "one"), output=True)
    artifacts(api, store).write("default", DATA, owner(api, "two"), output=True)
    assert maps(api) == ["0", "1", "2"] and not list(store.names())
    for name in list(api.bodies):
        del api.bodies[name]
    artifacts(api, store).write("default", DATA, owner(api, "one"), output=True)
    artifacts(api, store).write("default", DATA, owner(api, "two"))
    assert maps(api) == ["0"] and len(record(api)["metadata"]["ownerReferences"]) == 2


def test_the_record_goes_with_the_last_of_its_owners(api: ApiInMemory, store: Store) -> None:
    mine = artifacts(api, store)
    mine.write("default", DATA, owner(api, "one"), output=True)
    mine.adopt("default", DIGEST, owner(api, "two"))
    for name, left in (("one", ["0"]), ("two", [])):
        api.remove(api.bodies["ConfigMap", "default", name])
        assert maps(api) == left
    with pytest.raises(KeyError, match="is not in namespace default"):
        artifacts(api, store).read("default", DIGEST)


def test_who_names_anothers_digest_is_not_read_it_even_with_a_record_that_he_made_up(
    api: ApiInMemory, store: Store
) -> None:
    mine = artifacts(api, store)
    mine.write("default", DATA, owner(api, "one"), output=True)
    for life in (mine, artifacts(api, store)):
        with pytest.raises(KeyError, match="is not in namespace other"):
            life.read("other", DIGEST)
    forged = {**record(api), "metadata": {**record(api)["metadata"], "namespace": "other"}}
    api.create(CONFIG_MAP, forged)
    for life in (mine, artifacts(api, store)):
        with pytest.raises(KeyError, match=r"the object other/.* is not below artifacts.url"):
            life.read("other", DIGEST)


def test_what_a_pod_mounts_is_staged_behind_the_record_and_goes_with_its_root(api: ApiInMemory, store: Store) -> None:
    mine, two = artifacts(api, store), owner(api, "two")
    mine.write("default", DATA, owner(api, "one"), output=True)
    names = mine.mounted("default", DIGEST, two)
    assert [name[67:] for name in names] == ["1", "2", "3"]
    pieces = [api.bodies["ConfigMap", "default", name]["binaryData"]["data"] for name in names]
    assert b"".join(map(base64.b64decode, pieces)) == DATA
    asked = len(api.calls)
    assert mine.mounted("default", DIGEST, two) == names and len(api.calls) == asked, "once for each root"
    api.remove(api.bodies["ConfigMap", "default", "one"])
    assert maps(api) == ["0", "1", "2", "3"], "the record is the second root's too"
    api.remove(api.bodies["ConfigMap", "default", "two"])
    assert not maps(api)


def test_when_a_root_is_gone_what_it_had_staged_is_staged_again_for_another(api: ApiInMemory, store: Store) -> None:
    mine, one, two = artifacts(api, store), owner(api, "one"), owner(api, "two")
    mine.write("default", DATA, one, output=True)
    mine.mounted("default", DIGEST, one)
    mine.adopt("default", DIGEST, two)
    api.remove(api.bodies["ConfigMap", "default", "one"])
    mine.forget(one["uid"])
    assert maps(api) == ["0"]
    mine.mounted("default", DIGEST, two)
    assert maps(api) == ["0", "1", "2", "3"]


def test_a_wrong_object_is_never_mounted(api: ApiInMemory, store: Store, tmp_path: Path) -> None:
    mine = artifacts(api, store)
    mine.write("default", DATA, owner(api, "one"), output=True)
    (tmp_path / next(store.names())).write_bytes(b"z" * len(DATA))
    with pytest.raises(KeyError, match=r"below artifacts.url is not what its name says; delete it"):
        mine.mounted("default", DIGEST, owner(api, "two"))


def test_the_object_is_there_before_its_record_and_a_next_try_goes_on(api: ApiInMemory, store: Store) -> None:
    one = owner(api, "one")

    def refuse(verb: str, kind: str, name: str) -> None:
        assert list(store.names()) == [f"default/{DIGEST[7:]}"]
        raise ApiError(403, "Forbidden", "exceeded quota")

    api.before = refuse
    with pytest.raises(ApiError):
        artifacts(api, store).write("default", DATA, one, output=True)
    api.before = lambda *_: None
    artifacts(api, store).write("default", DATA, one, output=True)
    assert artifacts(api, store).read("default", DIGEST) == DATA


def test_with_the_url_taken_away_what_lies_there_is_waited_for_and_not_given_up(api: ApiInMemory, store: Store) -> None:
    artifacts(api, store).write("default", DATA, owner(api, "one"), output=True)
    with pytest.raises(StoreError, match=r"artifacts.url is not set; set it as it was") as told:
        artifacts(api, None).read("default", DIGEST)
    assert told.value.reason == REFUSED


@pytest.mark.parametrize(
    "said", ["", "[]", "{}", '{"bytes": "9"}', '{"bytes": -1}', '{"bytes": true}', f'{{"bytes": {LARGEST_STORED + 1}}}']
)
def test_a_hostile_record_is_no_record(api: ApiInMemory, store: Store, said: str) -> None:
    artifacts(api, store).write("default", DATA, owner(api, "one"), output=True)
    record(api)["data"]["stored.json"] = said
    with pytest.raises(KeyError, match=r"says in stored.json no number of bytes; delete it"):
        artifacts(api, store).read("default", DIGEST)


def test_what_is_too_large_for_memory_is_kept_and_not_read_whole(api: ApiInMemory, store: Store) -> None:
    data = bytes(LARGEST + 1)
    digest = artifacts(api, store).write("default", data, owner(api, "one"), output=True)
    with pytest.raises(KeyError, match=f"has {LARGEST + 1} bytes, and what is read or mounted has at most {LARGEST}"):
        artifacts(api, store).read("default", digest)
