"""What a mind behind a model is given on a cluster: an allowance of its own work, for a profile that the gateway has."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from api_in_memory import ApiInMemory
from operator_core import REQUEST as REQUESTS
from operator_core import SETTINGS, Core, status_of
from small_plans import IMAGES
from world import wish

from fedwright_crds.allowance import Role, verify
from fedwright_crds.base import digest_of
from fedwright_crds.work import Input
from fedwright_operator.cluster.api import CONFIG_MAP, JOB
from fedwright_operator.cluster.config import ModelSettings, OperatorConfig
from fedwright_operator.cluster.lessons import NAME, Lessons
from fedwright_operator.cluster.models import NoGatewayError, planners, secrets_for
from fedwright_operator.reconcile.works import mind_work

SECRET = b"a-secret-of-the-tests-0123456789"
REQUEST = wish(minds={"planner": "fast"}, budgets={"tokens": 1000})


@pytest.fixture
def config(tmp_path: Path) -> OperatorConfig:
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "profiles.yaml").write_text("profiles: [{name: fast, model: openai/m}, {name: slow, model: openai/n}]")
    models = ModelSettings(
        url="http://gw.system.svc:8000", profiles=tmp_path / "profiles.yaml", secret=tmp_path / "secret"
    )
    return OperatorConfig(boxes=SETTINGS, models=models)


def plan_by(profile: str):  # type: ignore[no-untyped-def]
    return mind_work("plan", profile, Input(name="plan-input.json", digest="sha256:" + "0" * 64), IMAGES)


def test_an_allowance_names_the_work_and_the_gateway(config: OperatorConfig) -> None:
    work = plan_by("fast")
    given = json.loads(secrets_for(config)(work, REQUEST)["gateway.json"])
    assert given["url"] == "http://gw.system.svc:8000"
    holder = verify(given["token"], SECRET, time.time())
    assert (holder.role, holder.profile, holder.work_id) == (Role.PLAN, "fast", work.id)
    assert holder.request_limits.tokens == 1000
    waits = config.boxes.waiting_seconds + config.boxes.deadline_slack_seconds
    assert holder.expires_at >= time.time() + waits + work.steps[0].wall_seconds, "its pod may wait for room"


def test_the_catalogue_is_given_nothing(config: OperatorConfig) -> None:
    assert secrets_for(config)(plan_by("catalogue"), REQUEST) == {}


def test_a_profile_that_the_gateway_has_not_is_refused_by_name_before_a_pod_starts(config: OperatorConfig) -> None:
    with pytest.raises(NoGatewayError, match="model profile ghost, and the gateway has fast, slow; name one of these"):
        secrets_for(config)(plan_by("ghost"), REQUEST)


@pytest.mark.parametrize("written", [None, "profiles: []", "nonsense"])
def test_profiles_that_are_none_are_said_to_be(config: OperatorConfig, written: str | None) -> None:
    assert config.models is not None
    file = config.models.profiles
    file.write_text(written) if written else file.unlink()
    with pytest.raises(NoGatewayError, match=r"profiles cannot be read: .*mend models\.profiles"):
        secrets_for(config)(plan_by("fast"), REQUEST)


def test_without_a_gateway_the_mend_is_named(config: OperatorConfig) -> None:
    with pytest.raises(NoGatewayError, match=r"no gateway is installed; set models\.enabled"):
        secrets_for(config.model_copy(update={"models": None}))(plan_by("fast"), REQUEST)


# -- what its planner may search ------------------------------------------------------------------
class Killed(BaseException):
    """The process is gone from here on."""


def learned(api: ApiInMemory, *methods: str) -> bytes:
    given: Any = api
    Lessons(given).add("default", json.dumps([{"method": one} for one in methods]).encode())
    return Lessons(given).of("default")


def core_over(api: ApiInMemory) -> Core:
    """With the real reconcilers."""
    given: Any = api
    return Core(api, planners(Lessons(given), None))


def apply(api: ApiInMemory, namespace: str = "default") -> str:
    body = REQUEST.to_wire()
    made = {**body, "metadata": {"name": "wish", "namespace": namespace}, "status": {}}
    return str(api.create(REQUESTS, made)["metadata"]["uid"])


def test_lessons_of_the_namespace_are_pinned_before_the_first_work_starts_and_stay(tmp_path: Path) -> None:
    api = ApiInMemory()
    known = learned(api, "scaffold")
    core, uid = core_over(api), apply(api)
    elsewhere = apply(api, "his")
    core.run(uid, elsewhere)
    assert status_of(api)["lessons"] == digest_of(known) and api.list(JOB, "default")
    assert core.artifacts.read("default", digest_of(known)) == known
    assert "lessons" not in status_of(api, namespace="his"), "another namespace's are nobody else's"
    learned(api, "fedbn")
    core.die()
    core_over(api).run(uid)
    assert status_of(api)["lessons"] == digest_of(known)


@pytest.mark.parametrize("at", ["ConfigMap", "FLStrategyRequest", "Job"])
def test_whenever_the_operator_is_killed_no_work_has_started_before_its_lessons_are_pinned(at: str) -> None:
    api = ApiInMemory()
    learned(api, "scaffold")
    first, uid = core_over(api), apply(api)

    def kill(verb: str, kind: str, name: str) -> None:
        if kind == at and name != NAME:
            raise Killed

    api.before = kill
    with pytest.raises(Killed):
        first.run(uid)
    first.die()
    pinned = status_of(api).get("lessons")
    assert pinned or not api.list(JOB, "default")
    api.before = lambda *_: None
    more = learned(api, "fedbn")
    core_over(api).run(uid)
    assert status_of(api)["lessons"] == (pinned or digest_of(more))
    owned = [one for one in api.list(CONFIG_MAP, "default") if one["metadata"]["name"].startswith("a-")]
    assert all(one["metadata"]["ownerReferences"][0]["uid"] == uid for one in owned), "a copy goes with its request"
