"""A federation as its pods show it, and what is done about it: with a real helm's place taken by one that notes what it is asked.

The real ones are in tests/cluster/test_federation.py; here are the cases that a cluster does not show at will.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from fedwright_crds.federation import FederationSpec
from fedwright_operator.cluster.api import Api, ApiError, Type
from fedwright_operator.cluster.federation_values import FederationSettings, Images
from fedwright_operator.cluster.helm import Helm, HelmError, Revision
from fedwright_operator.cluster.releases import Fleet, Releases
from fedwright_operator.reconcile.api import Release

Json = dict[str, Any]

READY: Json = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "readyReplicas": 1}}
NOT_READY: Json = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "readyReplicas": 0}}


class Objects(Api):
    """The API's objects by kind and name, in memory."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Json] = {}
        self.words: bytes | None = None
        self.writes = 0
        self.records: dict[str, list[Json]] = {}
        """Helm's own, and their owners."""
        self.fence = lambda: None

    def find(self, kind: Type, namespace: str, name: str) -> Json | None:
        return self.objects.get((kind.kind, name))

    def list(self, kind: Type, namespace: str, labels: str = "", fields: str = "") -> list[Json]:
        return [one for (found, _), one in self.objects.items() if found == kind.kind]

    def apply(self, kind: Type, body: Json, sub: str = "") -> Json:
        self.writes += 1
        self.objects[kind.kind, body["metadata"]["name"]] = json.loads(json.dumps(body))
        return body

    def delete(self, kind: Type, namespace: str, name: str, uid: str | None = None) -> bool:
        return self.objects.pop((kind.kind, name), None) is not None

    def merge(self, kind: Type, namespace: str, name: str, patch: Json) -> Json:
        self.records[name] = patch["metadata"]["ownerReferences"]
        return patch

    def metadata(self, kind: Type, namespace: str, labels: str = "") -> Iterator[Json]:
        assert labels == "owner=helm,name=fed-trial"
        yield from [{"name": name, "ownerReferences": owners} for name, owners in self.records.items()]

    def last_line(self, namespace: str, pod: str, container: str, seconds: int) -> bytes:
        if self.words is None:
            raise ApiError(400, "BadRequest", "container registrar is waiting to start")
        return self.words

    def up(self, **said: Any) -> None:
        for part in ("superlink", "serverapp"):
            self.objects["StatefulSet", f"fed-trial-{part}"] = READY
        self.words = json.dumps({"wanted": 2, "connected": 2, "complete": True, "message": "", **said}).encode()


@dataclass
class Notes(Helm):
    """What was asked of Helm."""

    asked: list[Json] = field(default_factory=list)
    refuses: str = ""
    records: dict[str, list[Json]] = field(default_factory=dict)

    def ensure(self, release: str, namespace: str, values: Any) -> Revision:
        if self.refuses:
            raise HelmError(self.refuses)
        self.asked.append(dict(values))
        for number in (len(self.asked) - 1, len(self.asked)):  # the one before is written anew, as superseded
            if number:
                self.records[f"sh.helm.release.v1.{release}.v{number}"] = []
        return Revision(len(self.asked), "deployed")


@pytest.fixture
def api() -> Objects:
    return Objects()


@pytest.fixture
def releases(api: Objects) -> Releases:
    return Releases(api, Notes(records=api.records), Images("flower:1", "IfNotPresent"), FederationSettings())


def fleet(*groups: tuple[str, int], **more: Any) -> Fleet:
    listed = [{"name": name, "nodes": nodes, "data": {"entryPoint": "clinic:load"}, **more} for name, nodes in groups]
    spec = FederationSpec.model_validate_json(json.dumps({"groups": listed}))
    return Fleet(
        Release("trial", spec),
        "hospital",
        {"apiVersion": "fedwright.dev/v1alpha1", "kind": "Federation", "name": "trial", "uid": "u"},
    )


WARD = fleet(("ward", 2))


def helm(releases: Releases) -> Notes:
    assert isinstance(releases.helm, Notes)
    return releases.helm


def test_it_is_made_once_and_then_left_alone(api: Objects, releases: Releases) -> None:
    releases.ensure(WARD)
    writes = api.writes
    releases.ensure(WARD)
    assert len(helm(releases).asked) == 1 and api.writes == writes


def test_another_operator_finds_the_same_keys(api: Objects, releases: Releases) -> None:
    releases.ensure(WARD)
    before = {name: one for name, one in api.objects.items() if name[0] == "Secret"}
    Releases(api, Notes(), releases.images, releases.settings).ensure(WARD)
    assert {name: one for name, one in api.objects.items() if name[0] == "Secret"} == before


def test_a_group_that_goes_takes_its_keys_along_after_its_pods_were_told(api: Objects, releases: Releases) -> None:
    releases.ensure(fleet(("ward", 1), ("lab", 1)))
    assert ("Secret", "fed-trial-keys-lab") in api.objects
    releases.ensure(fleet(("ward", 1)))
    assert ("Secret", "fed-trial-keys-lab") not in api.objects
    assert api.objects["ConfigMap", "fed-trial-nodes"]["data"].keys() == {"ward.0"}


def test_a_release_that_somebody_took_away_is_made_again(api: Objects, releases: Releases) -> None:
    releases.ensure(WARD)
    releases.status(WARD)
    releases.ensure(WARD)
    assert len(helm(releases).asked) == 2


def test_what_helm_says_is_told_and_tried_again_later(
    api: Objects, releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    helm(releases).refuses = "no such class"
    releases.ensure(WARD)
    api.up()
    assert "no such class" in releases.status(WARD).message
    helm(releases).refuses = ""
    releases.ensure(WARD)
    assert helm(releases).asked == []
    monkeypatch.setattr("fedwright_operator.cluster.releases.time.monotonic", lambda: 1e9)
    releases.ensure(WARD)
    assert len(helm(releases).asked) == 1 and releases.status(WARD).message == ""


def test_a_spec_that_cannot_be_is_told_with_its_mend(api: Objects, releases: Releases) -> None:
    wrong = fleet(("ward", 2), data={"path": "/etc/shadow"})
    releases.ensure(wrong)
    assert "lies below no folder" in releases.status(wrong).message and api.objects == {}


def test_a_spoiled_secret_is_named_and_not_replaced(api: Objects, releases: Releases) -> None:
    releases.ensure(WARD)
    api.objects["Secret", "fed-trial-authority"]["data"]["ca.crt"] = "c3BvaWxlZA=="
    again = Releases(api, Notes(), releases.images, releases.settings)
    again.ensure(WARD)
    assert "a Secret of fed-trial cannot be read" in again.status(WARD).message and helm(again).asked == []


# -- what is seen ---------------------------------------------------------------------------------
def test_all_connected_is_ready(api: Objects, releases: Releases) -> None:
    releases.ensure(WARD)
    api.up()
    status = releases.status(WARD)
    assert (status.ready, status.nodes_connected, status.message) == (True, 2, "")
    assert status.certificate_expires_at.endswith("Z") and status.address == "fed-trial-superlink.hospital.svc:8000"


def test_a_node_that_was_lost_later_leaves_it_ready(api: Objects, releases: Releases) -> None:
    """The reconciler calls it degraded."""
    releases.ensure(WARD)
    api.up(connected=1)
    status = releases.status(WARD)
    assert status.ready and status.nodes_connected == 1


def test_before_all_were_there_once_it_is_not_ready(api: Objects, releases: Releases) -> None:
    releases.ensure(WARD)
    api.up(connected=1, complete=False)
    assert not releases.status(WARD).ready


def test_the_word_of_before_a_change_of_size_does_not_count(api: Objects, releases: Releases) -> None:
    three = fleet(("ward", 3))
    releases.ensure(three)
    api.up()
    status = releases.status(three)
    assert not status.ready and "the SuperLink is told of 2 of 3 nodes" in status.message


@pytest.mark.parametrize(
    "words", [None, b"", b"nonsense", b'{"wanted": 2}', b'{"wanted": -1, "connected": 2, "complete": true}']
)
def test_a_registrar_that_says_nothing_of_use_is_not_ready(
    api: Objects, releases: Releases, words: bytes | None
) -> None:
    releases.ensure(WARD)
    api.up()
    api.words = words
    status = releases.status(WARD)
    assert not status.ready and status.nodes_connected == 0 and "the registrar says nothing" in status.message


def test_parts_that_are_not_ready_are_named_with_the_reason_of_a_pod(api: Objects, releases: Releases) -> None:
    releases.ensure(WARD)
    api.up()
    api.objects["StatefulSet", "fed-trial-serverapp"] = NOT_READY
    waiting = {"reason": "ImagePullBackOff", "message": "not found"}
    state = {"name": "superexec", "state": {"waiting": waiting}}
    api.objects["Pod", "p"] = {"metadata": {"name": "fed-trial-serverapp-0"}, "status": {"containerStatuses": [state]}}
    status = releases.status(WARD)
    assert not status.ready
    assert "serverapp is not ready; fed-trial-serverapp-0: superexec: ImagePullBackOff: not found" in status.message


def test_a_node_for_which_there_is_no_place_is_told(api: Objects, releases: Releases) -> None:
    releases.ensure(WARD)
    api.up(connected=1)
    condition = {"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available"}
    api.objects["Pod", "p"] = {"metadata": {"name": "fed-trial-node-ward-1"}, "status": {"conditions": [condition]}}
    assert releases.status(WARD).message == "fed-trial-node-ward-1: 0/2 nodes are available"


def test_all_of_it_goes_with_its_federation(api: Objects, releases: Releases) -> None:
    """By owner references, Helm's own records included: a deletion needs no operator, so no namespace waits for one."""
    releases.ensure(WARD)
    assert helm(releases).asked[0]["owner"] == dict(WARD.owner)
    for count in (3, 4):
        releases.ensure(fleet(("ward", count)))
    assert api.records == {f"sh.helm.release.v1.fed-trial.v{number}": [WARD.owner] for number in (1, 2, 3)}
    beside = [one for (kind, _), one in api.objects.items() if kind in {"Secret", "ConfigMap"}]
    assert beside and all(one["metadata"]["ownerReferences"] == [WARD.owner] for one in beside)
