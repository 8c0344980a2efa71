"""The API as HTTP, the watches' handlers and the pulse: what is sent last, what pages hold, whose pulse counts."""

import asyncio
import json
from typing import Any

import kopf
import pytest
from kubernetes import client

from fedwright_operator.cluster import handlers, lease
from fedwright_operator.cluster.api import CONFIG_MAP, JOB, Api, ApiError, AwayError, Json
from fedwright_operator.cluster.cache import Cache
from fedwright_operator.cluster.health import KOPF, LONGEST_SILENCE_SECONDS, OWN, Health
from fedwright_operator.cluster.intake import Intake
from fedwright_operator.cluster.labels import PULSE, managed
from fedwright_operator.cluster.lease import NotLeaderError


class Answer:
    def __init__(self, status: int, body: Json) -> None:
        self.status, self.data = status, json.dumps(body).encode()


class Server:
    """Answers in order, and what it was asked."""

    def __init__(self, api: Api, *answers: Answer) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)
        transport: Any = api._client
        transport.rest_client.pool_manager.request = self._request

    def _request(self, verb: str, url: str, **_: Any) -> Answer:
        self.asked.append(f"{verb} {url}")
        return self._answers.pop(0)


def config_map(**data: str) -> Json:
    return {"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}, "data": data}


def test_a_leader_that_is_paused_while_it_writes_its_request_down_sends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leads = [True]

    def fence() -> None:
        if not leads[0]:
            raise NotLeaderError("not any more")

    api = Api(client.Configuration(), fence)
    server = Server(api, Answer(200, {}))
    serialize = api._client.param_serialize

    def paused(*given: Any, **more: Any) -> Any:
        leads[0] = False
        return serialize(*given, **more)

    monkeypatch.setattr(api._client, "param_serialize", paused)
    with pytest.raises(NotLeaderError):
        api.create(CONFIG_MAP, config_map())
    assert not server.asked


def test_uids_come_in_pages_from_every_namespace() -> None:
    api = Api(client.Configuration())
    pages = [
        Answer(200, {"metadata": {"continue": "next"}, "items": [{"metadata": {"uid": "a"}}]}),
        Answer(200, {"metadata": {}, "items": [{"metadata": {"uid": "b"}}]}),
    ]
    server = Server(api, *pages)
    assert api.uids(JOB, "", "x=y") == {"a", "b"}
    assert all("/apis/batch/v1/jobs?" in one and "labelSelector" in one for one in server.asked)
    assert "continue=next" in server.asked[1]


@pytest.mark.parametrize(
    ("status", "message", "traits"),
    [
        (403, "exceeded quota", {"forbidden", "refused"}),
        (403, "it is forbidden because it is being terminated", {"leaving"}),
        (404, "", {"missing"}),
        (409, "", {"conflict"}),
        (413, "", {"refused"}),
        (422, "", {"refused"}),
        (401, "", set()),
    ],
)
def test_each_refusal_is_known_for_what_it_is(status: int, message: str, traits: set[str]) -> None:
    api = Api(client.Configuration())
    Server(api, Answer(status, {"reason": "R", "message": message}))
    with pytest.raises(ApiError) as caught:
        api.get(JOB, "default", "a")
    every = ("forbidden", "refused", "leaving", "missing", "conflict")
    assert {trait for trait in every if getattr(caught.value, trait)} == traits


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_api_in_trouble_is_asked_again_later(status: int) -> None:
    api = Api(client.Configuration())
    Server(api, Answer(status, {"message": "later"}))
    with pytest.raises(AwayError) as caught:
        api.get(JOB, "default", "a")
    assert caught.value.status == status


def test_only_the_pulse_of_this_process_shows_that_its_watches_live_each_for_itself() -> None:
    time = [0.0]
    health = Health(clock=lambda: time[0])
    health.beat(KOPF, "me")
    health.lead("me")
    time[0] = LONGEST_SILENCE_SECONDS + 1
    health.beat(KOPF, "another")
    assert len(health.complaints()) == 2
    health.beat(KOPF, "me")
    assert [OWN in one for one in health.complaints()] == [True]
    health.beat(OWN, "me")
    assert not health.complaints()


def test_a_request_that_is_labelled_as_a_pulse_is_still_a_request_and_a_deletion_asks_for_its_root() -> None:
    registry, cache = kopf.OperatorRegistry(), Cache()
    asked: list[str] = []
    beats: list[str] = []
    handlers.watch(registry, Intake(cache, asked.append, beats.append))
    body = {"metadata": _metadata("u", 1)}
    _tell(registry, "watch-flstrategyrequests", "ADDED", body)
    assert cache.body("u") is not None
    _tell(registry, "watch-flstrategyrequests", "DELETED", {"metadata": _metadata("u", 2)})
    assert cache.body("u") is None
    _tell(registry, "watch-configmaps", "MODIFIED", {"metadata": _metadata("p", 1), "data": {"by": "me"}})
    assert (asked, beats) == (["u", "u"], ["me"])


def test_the_leases_clock_goes_on_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.clock_gettime", {7: 5.0}.__getitem__)  # CLOCK_BOOTTIME
    assert lease.clock() == 5.0


def _metadata(uid: str, version: int) -> Json:
    labels = managed(PULSE)
    return {"uid": uid, "name": uid, "namespace": "default", "resourceVersion": str(version), "labels": labels}


def _tell(registry: kopf.OperatorRegistry, handler: str, event: str, body: Json) -> None:
    found: Any = next(one for one in registry._watching.get_all_handlers() if one.id == handler)
    done = found.fn(event={"type": event, "object": body})
    if asyncio.iscoroutine(done):
        asyncio.run(done)
