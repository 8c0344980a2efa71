"""The whole core with large outputs in a real bucket: to the same answer, through a store that is away, wrong or refuses."""

import json
from collections.abc import Iterator
from uuid import uuid4

import object_store
import pytest
import small_plans
from api_in_memory import ApiInMemory
from operator_core import Core, answer, compute, drive, open_works, wish

from fedwright_operator.cluster.api import CONFIG_MAP, EVENT, AwayError, Json
from fedwright_operator.cluster.artifacts import CHUNK_BYTES, is_record
from fedwright_operator.cluster.config import ArtifactSettings
from fedwright_operator.cluster.stored import Store
from fedwright_operator.cluster.stores import opened

SIZE = CHUNK_BYTES + 1000
EXPECTED = small_plans.answer_of(small_plans.request())


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with object_store.server() as found:
        yield found


@pytest.fixture
def line(endpoint: str) -> Iterator[object_store.Line]:
    found = object_store.Line(endpoint)
    yield found
    found.close()


@pytest.fixture
def store(line: object_store.Line, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    for name, value in object_store.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid4().hex[:12]}"
    object_store.make_bucket(endpoint, bucket)
    found = opened(ArtifactSettings(url=f"s3://{bucket}/artifacts", options=object_store.options(line.endpoint)))
    assert found
    monkeypatch.setattr("fedwright_operator.cluster.stored.PAUSE_SECONDS", 0.0)
    return found


@pytest.fixture
def api() -> ApiInMemory:
    return ApiInMemory()


def records(api: ApiInMemory) -> list[Json]:
    return [one for one in api.list(CONFIG_MAP, "default") if is_record(one)]


def told(api: ApiInMemory) -> str:
    return json.dumps([one["message"] for one in api.list(EVENT, "default")])


def ready_to_be_brought_home(api: ApiInMemory, core: Core, name: str = "wish", size: int = SIZE) -> str:
    """A request whose first work has ended, with an output of that size; its uid."""
    uid = wish(api, name, goal=name)
    core.run(uid)
    (work,) = [one for one in open_works(api) if json.loads(_order(api, one.inputs[0].digest))["goal"] == name]
    compute(api, work, size=size)
    return uid


def _order(api: ApiInMemory, digest: str) -> bytes:
    core = Core(api)
    core.die()
    return core.artifacts.read("default", digest)


def test_large_outputs_lead_to_the_same_answer_and_are_mounted_by_what_follows(api: ApiInMemory, store: Store) -> None:
    core = Core(api, store=store)
    wish(api)
    drive(core, size=SIZE)
    assert answer(api) == EXPECTED
    assert len(records(api)) == len(list(store.names())) > 3
    assert set(api.started.values()) == {1}


def test_another_life_goes_on_with_what_lies_there(api: ApiInMemory, store: Store) -> None:
    first = Core(api, store=store)
    wish(api)
    drive(first, turns=3, size=SIZE)
    first.die()
    drive(Core(api, store=store), size=SIZE)
    assert answer(api) == EXPECTED
    assert set(api.started.values()) == {1}


def test_while_the_store_is_away_a_work_waits_others_go_on_and_nothing_is_lost(
    api: ApiInMemory, store: Store, line: object_store.Line
) -> None:
    core = Core(api, store=store)
    waits = ready_to_be_brought_home(api, core, "large")
    goes = ready_to_be_brought_home(api, core, "small", size=0)
    line.answer = "503 Service Unavailable"
    line.cut()
    for uid in (waits, goes):
        core.run(uid)
    large, small = (core.cache.resource(core.cache.body(uid) or {}) for uid in (waits, goes))
    assert not isinstance(large, str) and not isinstance(small, str)
    (why,) = core.works.waiting(large)
    assert why.reason == "StoreAway" and "an output cannot be kept: artifacts.url" in why.message
    assert "503 Service Unavailable" in told(api)
    assert not core.works.waiting(small)
    assert len(_results(api)) == 1, "what needs no store goes on"
    logs, api.logs = api.logs, {}
    core.run(waits)
    api.logs = logs  # it is not fetched again for a store that is still away
    line.answer = ""
    core.run(waits)
    assert not core.works.waiting(large)
    drive(core, size=SIZE)
    assert answer(api, "large")[1] == answer(api, "small")[1] == EXPECTED[1]
    assert set(api.started.values()) == {1}


def _results(api: ApiInMemory) -> dict[str, str]:
    """By name."""
    found = {one["metadata"]["name"]: one for one in api.list(CONFIG_MAP, "default")}
    return {name: one["data"]["result.json"] for name, one in found.items() if name.startswith("r-")}


def test_an_input_that_cannot_be_staged_is_waited_for_and_fails_nothing(
    api: ApiInMemory, store: Store, line: object_store.Line
) -> None:
    """The store takes the output of a candidate's first work and is away when the second is to mount it."""
    core = Core(api, store=store)
    wish(api, candidates=2)
    drive(core, turns=1, size=SIZE)
    core.run()
    for one in open_works(api):
        compute(api, one, size=SIZE)

    def goes_away(verb: str, kind: str, name: str) -> None:
        if name.startswith("r-") and verb == "create" and len(_results(api)) == 3:
            line.answer = "403 Forbidden"
            line.cut()

    api.after = goes_away
    core.run()
    api.after = lambda *_: None
    assert "StoreRefuses" in told(api) and "an input cannot be staged" in told(api)
    assert not open_works(api)
    line.answer = ""
    drive(core, size=SIZE)
    assert answer(api) == small_plans.answer_of(small_plans.request(candidates=2))
    assert not any("PlatformError" in one for one in _results(api).values())


def test_a_plan_that_needs_what_cannot_be_read_is_made_later_and_says_so(
    api: ApiInMemory, store: Store, line: object_store.Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate's score is read in its plan, by a life that has not seen it before."""
    first = Core(api, store=store)
    uid = wish(api)

    def killed(*_: str) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(first.artifacts, "read", killed)
    with pytest.raises(KeyboardInterrupt):
        drive(first, size=SIZE)
    first.die()
    second = Core(api, store=store)
    line.answer = "503 Service Unavailable"
    line.cut()
    with pytest.raises(AwayError, match="503"):
        second.run(uid)
    assert "StoreAway" in told(api)
    line.answer = ""
    drive(second, size=SIZE)
    assert answer(api) == EXPECTED


def test_a_wrong_object_holds_the_work_up_until_somebody_deletes_it(
    api: ApiInMemory, store: Store, endpoint: str
) -> None:
    core = Core(api, store=store)
    uid = ready_to_be_brought_home(api, core)
    kept = store.keep

    def late(namespace: str, digest: str, data: bytes) -> None:
        store._backend.put_new(f"{namespace}/{digest[7:]}", b"wrong")
        kept(namespace, digest, data)

    store.keep = late  # type: ignore[method-assign]
    core.run(uid)
    assert "StoredWrong" in told(api) and "is not what its name says; delete it" in told(api)
    assert not records(api)
    store.keep = kept  # type: ignore[method-assign]
    (name,) = store.names()
    store.remove(name)
    drive(core, size=SIZE)
    assert answer(api)[1] == EXPECTED[1]
