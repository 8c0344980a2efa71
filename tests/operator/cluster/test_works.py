"""Works as Jobs where things are not as they should be: nodes, names, namespaces and labels that lie."""

from datetime import timedelta
from typing import Any

import pytest
from api_in_memory import ApiInMemory, delivery, pod_of
from operator_core import REQUEST, SETTINGS, Core, compute, open_works, wish

from fedwright_crds.work import Work
from fedwright_operator.cluster import works as module
from fedwright_operator.cluster.api import CONFIG_MAP, JOB, NETWORK_POLICY, POD, SECRET, AwayError, Json, Type
from fedwright_operator.cluster.labels import ROOT, WORK, managed
from fedwright_operator.cluster.names import DELIVER, NETWORK
from fedwright_operator.shell.clock import now


@pytest.fixture
def api() -> ApiInMemory:
    return ApiInMemory()


def started(core: Core, name: str = "wish", namespace: str = "default") -> tuple[str, Work]:
    """A request with its first work's Job."""
    uid = wish(core.api, name, namespace)
    core.run()
    (work,) = open_works(core.api, namespace)
    return uid, work


def result(api: ApiInMemory, work: Work) -> str:
    found = api.find(CONFIG_MAP, "default", f"r-{work.id}")
    return str(found["data"]["result.json"]) if found else ""


def body(kind: Type, name: str, labels: dict[str, str], namespace: str = "default", **fields: Any) -> Json:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **fields}


def test_a_log_that_its_node_does_not_give_is_waited_for_and_the_other_works_go_on(
    api: ApiInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = Core(api)
    uid, work = started(core)
    compute(api, work)
    api.log_error = AwayError("the API server is in trouble (502): dial tcp: connection refused", 502)
    pause = core.passes.run(uid)
    assert pause is not None and not result(api, work)
    (waits,) = core.works._waiting[uid].values()
    assert waits.reason == "NodeAway"
    _later(monkeypatch, SETTINGS.patience_seconds + 5)
    core.run(uid)
    assert '"PlatformError"' in result(api, work), "in the end it is tried again"


def test_a_log_that_comes_late_is_taken(api: ApiInMemory) -> None:
    core = Core(api)
    uid, work = started(core)
    compute(api, work)
    api.log_error = AwayError("in trouble", 500)
    core.run(uid)
    api.log_error = None
    core.run(uid)
    assert '"Succeeded"' in result(api, work)


def test_an_api_that_does_not_answer_spoils_no_result(api: ApiInMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    core = Core(api)
    uid, work = started(core)
    compute(api, work)
    _later(monkeypatch, 3600)
    api.log_error = AwayError("the API server does not answer")
    with pytest.raises(AwayError):
        core.passes.run(uid)
    assert not result(api, work)


def test_a_pod_that_only_says_that_it_is_the_jobs_decides_nothing(api: ApiInMemory) -> None:
    core = Core(api)
    uid, work = started(core)
    job = api.get(JOB, "default", f"w-{work.id}")
    for namespace in ("default", "his"):
        pod = pod_of(job, work, {"sum": b"999"})
        metadata = {**pod["metadata"], "namespace": namespace, "name": "forged", "ownerReferences": []}
        api.create(POD, {**pod, "metadata": metadata})
        api.logs[namespace, "forged", DELIVER] = delivery({"sum": b"999"})
    core.run(uid)
    assert not result(api, work)
    compute(api, work)
    core.run(uid)
    assert '"Succeeded"' in result(api, work)


def test_a_job_that_only_says_that_it_is_ours_takes_nothing_of_its_name_with_it(api: ApiInMemory) -> None:
    """Whoever may make Jobs is not thereby given the operator's right to delete Secrets."""
    core = Core(api)
    uid, _ = started(core)
    api.create(SECRET, body(SECRET, "payroll", {}))
    for name, labels in (
        ("payroll", {WORK: "0" * 40, NETWORK: "model"}),
        ("w-x", {WORK: "x", NETWORK: "model"}),
        ("bare", {}),
    ):
        api.create(JOB, body(JOB, name, managed(**labels, **{ROOT: uid}), spec={}))
    core.run(uid)
    assert api.find(SECRET, "default", "payroll")
    assert {one["metadata"]["name"] for one in api.list(JOB, "default")} >= {"payroll", "w-x", "bare"}


def test_a_namespace_that_is_made_anew_is_closed_anew(api: ApiInMemory) -> None:
    core = Core(api)
    uid, _ = started(core)
    assert api.list(NETWORK_POLICY, "default")
    for one in [*api.list(NETWORK_POLICY, "default"), api.get(REQUEST, "default", "wish")]:
        api.remove(api.bodies[one["kind"], "default", one["metadata"]["name"]])
    core.run(uid)
    started(core)
    assert api.list(NETWORK_POLICY, "default")


def test_what_a_pod_is_told_does_not_go_with_who_wanted_it_before(api: ApiInMemory) -> None:
    """The collector deletes the first request's Job before the document that its pod was told, which the next Job needs."""
    core = Core(api)
    _, work = started(core, "one")
    del api.bodies["Job", "default", f"w-{work.id}"]
    core = Core(api)
    two = wish(api, "two")
    core.run(two)
    api.remove(api.bodies["FLStrategyRequest", "default", "one"])
    assert api.find(CONFIG_MAP, "default", f"w-{work.id}")


def test_what_somebody_put_where_a_pod_is_told_its_work_is_replaced(api: ApiInMemory) -> None:
    core = Core(api)
    _, work = started(core)
    job = api.bodies["Job", "default", f"w-{work.id}"]
    other = api.get(CONFIG_MAP, "default", f"w-{work.id}")
    api.edit(CONFIG_MAP, "default", f"w-{work.id}", lambda one: {**one, "data": {"work.json": "{}"}})
    api.remove(job)
    core.run()
    assert api.get(CONFIG_MAP, "default", f"w-{work.id}")["data"] == other["data"]


def _later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(module, "now", lambda: now() + timedelta(seconds=seconds))
