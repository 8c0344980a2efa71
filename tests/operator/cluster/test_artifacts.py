"""Documents by digest: whole or not there, owned by all who need them, and never what somebody else put under their name."""

from typing import Any

import pytest
from api_in_memory import ApiInMemory

from fedwright_crds.base import digest_of
from fedwright_operator.cluster.api import CONFIG_MAP, Json
from fedwright_operator.cluster.artifacts import CHUNK_BYTES, LARGEST, ClusterArtifacts
from fedwright_operator.cluster.labels import CHUNKS

DATA = b"a" * (CHUNK_BYTES + 1)


@pytest.fixture
def api() -> ApiInMemory:
    return ApiInMemory()


def store(api: Any) -> ClusterArtifacts:
    return ClusterArtifacts(api)


def owner(api: ApiInMemory, name: str) -> Json:
    """A reference to something that is there."""
    body = {"apiVersion": "v1", "kind": "Lease", "metadata": {"name": name, "namespace": "default"}}
    made = api.create(CONFIG_MAP, {**body, "kind": "ConfigMap"})
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": made["metadata"]["uid"]}


def go(api: ApiInMemory, name: str) -> None:
    api.remove(api.bodies["ConfigMap", "default", name])


def first(digest: str) -> tuple[str, str, str]:
    return "ConfigMap", "default", f"a-{digest.removeprefix('sha256:')}-0"


def test_what_was_written_is_read_by_another_life_and_not_in_another_namespace(api: ApiInMemory) -> None:
    digest = store(api).write("default", DATA, owner(api, "one"))
    assert store(api).read("default", digest) == DATA
    with pytest.raises(KeyError, match="is not in namespace other"):
        store(api).read("other", digest)


def test_it_stays_as_long_as_the_last_of_its_owners(api: ApiInMemory) -> None:
    mine = store(api)
    digest = mine.write("default", DATA, owner(api, "one"))
    mine.adopt("default", digest, owner(api, "two"))
    go(api, "one")
    assert store(api).read("default", digest) == DATA
    go(api, "two")
    with pytest.raises(KeyError):
        store(api).read("default", digest)


def test_to_adopt_what_went_meanwhile_says_so_however_well_it_is_remembered(api: ApiInMemory) -> None:
    mine = store(api)
    digest = mine.write("default", DATA, owner(api, "one"))
    go(api, "one")
    for _ in range(2):
        with pytest.raises(KeyError, match="is not in namespace default"):
            mine.adopt(
                "default", digest, owner(api, "two") if not api.find(CONFIG_MAP, "default", "two") else {"uid": "x"}
            )


def test_when_one_of_its_owners_is_gone_the_others_look_again(api: ApiInMemory) -> None:
    """The collector may have been faster than who adopted."""
    mine = store(api)
    one, two = owner(api, "one"), owner(api, "two")
    digest = mine.write("default", DATA, one)
    mine.write("default", DATA, two)
    for number in range(2):
        del api.bodies["ConfigMap", "default", f"a-{digest.removeprefix('sha256:')}-{number}"]
    mine.forget(one["uid"])
    mine.write("default", DATA, two)
    assert store(api).read("default", digest) == DATA


@pytest.mark.parametrize("said", ["99999999999", "0", "-1", "two", "", "1.0", "٣"])
def test_a_hostile_number_of_pieces_is_no_number(api: ApiInMemory, said: str) -> None:
    digest = store(api).write("default", b"x", owner(api, "one"))
    api.bodies[first(digest)]["metadata"]["labels"][CHUNKS] = said
    with pytest.raises(KeyError, match="no number of pieces; delete it"):
        store(api).read("default", digest)


def test_the_largest_that_may_be_written_can_be_read(api: ApiInMemory) -> None:
    data = b"a" * LARGEST
    digest = store(api).write("default", data, owner(api, "one"))
    assert store(api).read("default", digest) == data


def test_what_somebody_put_under_a_digest_is_replaced_by_what_deserves_it(api: ApiInMemory) -> None:
    digest = digest_of(b"x")
    name = first(digest)[2]
    forged = {"name": name, "namespace": "default", "labels": {CHUNKS: "7"}}
    api.create(
        CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": forged, "binaryData": {"data": "Zm9v"}}
    )
    assert store(api).write("default", b"x", owner(api, "one")) == digest
    assert store(api).read("default", digest) == b"x"
