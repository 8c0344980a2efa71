"""Results: written once; what a person put in the place of one is told as the platform's error, and its work ends in bounds."""

from typing import Any

import pytest
from api_in_memory import ApiInMemory
from operator_core import Core, answer, drive, open_works, wish
from small_plans import answer_of, request

from fedwright_crds.work import Outcome
from fedwright_operator.cluster import results
from fedwright_operator.cluster.api import CONFIG_MAP, Json
from fedwright_operator.cluster.labels import RESULT, WORK, managed
from fedwright_operator.cluster.results import Results

ID = "a" * 40
VALID = '{"id": "%s", "kind": "plan", "outcome": "Succeeded"}'


def forged(work_id: str, labels: dict[str, str], **fields: Any) -> Json:
    metadata = {"name": f"r-{work_id}", "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **fields}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"data": None},
        {"data": {"other": "x"}},
        {"data": {"result.json": "["}},
        {"data": {"result.json": '{"outcome": "Succeeded"}'}},
        {"data": {"result.json": VALID % ("b" * 40)}},
    ],
)
def test_what_is_no_result_of_its_work_is_the_platforms_error_and_says_what_to_delete(fields: dict[str, Any]) -> None:
    api = ApiInMemory()
    core = Core(api)
    api.create(CONFIG_MAP, forged(ID, managed(RESULT, **{WORK: ID}), **fields))
    found = Results(core.cache, "default")[ID]
    assert (found.id, found.outcome) == (ID, Outcome.PLATFORM_ERROR)
    assert f"default/r-{ID} holds no result" in found.message and "delete it" in found.message


def test_other_config_maps_are_not_counted() -> None:
    api = ApiInMemory()
    core = Core(api)
    api.create(CONFIG_MAP, forged(ID, managed(RESULT, **{WORK: "b" * 40})))
    api.create(CONFIG_MAP, forged("c" * 40, managed(RESULT)))
    assert not list(Results(core.cache, "default"))


def test_a_request_whose_results_are_forged_ends_and_one_that_is_mended_goes_on() -> None:
    api = ApiInMemory()
    core = Core(api)
    uid = wish(api)
    core.run()
    (work,) = open_works(api)
    api.create(CONFIG_MAP, forged(work.id, managed(RESULT, **{WORK: work.id}), data={"result.json": "{}"}))
    core.run(uid)
    assert api.started[f"w-{work.id}"] == 1
    api.remove(api.bodies["ConfigMap", "default", f"r-{work.id}"])
    drive(core)
    assert answer(api) == answer_of(request())


def test_a_result_without_its_labels_gets_them_back_and_its_work_is_not_done_again_and_again() -> None:
    api = ApiInMemory()
    core = Core(api)
    wish(api)
    drive(core)
    name = next(iter(api.kept))
    api.edit(CONFIG_MAP, "default", name, lambda body: {**body, "metadata": {**body["metadata"], "labels": {}}})
    assert core.cache.named("ConfigMap", "default", name) is None
    wish(api, "again")
    drive(core)
    assert core.cache.named("ConfigMap", "default", name) is not None
    assert api.started[name.replace("r-", "w-")] <= 2
    assert answer(api, "again")[1] == answer_of(request())[1]


def test_to_keep_what_is_kept_owns_it_and_is_no_first() -> None:
    api: Any = ApiInMemory()
    core = Core(api)
    result = Results(core.cache, "default")
    owners = [{"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": name} for name in ("one", "two")]
    made = next(iter([results._read(forged(ID, {}), ID)]))
    assert [results.keep(api, core.cache, "default", made, one) for one in owners] == [True, False]
    assert result[ID] == made
    assert all(results.is_owned(core.cache, "default", ID, one) for one in owners)
