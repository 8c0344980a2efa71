"""What stays a person's to change once planning has begun."""

import pytest
import yaml
from wrong_requests import GOOD, with_field

from fedwright_crds.intent import changed_fields, frozen_digest, frozen_part
from fedwright_crds.manifests import load_manifests
from fedwright_crds.request import FLStrategyRequest, RequestSpec


def spec(path: str | None = None, value: object = None) -> RequestSpec:
    document = with_field(GOOD, f"spec.{path}", value) if path else GOOD
    (request,) = load_manifests(yaml.safe_dump(document))
    assert isinstance(request, FLStrategyRequest)
    return request.spec


INTENT = {
    "answers": [{"question": "priority", "answer": "bytes"}],
    "approvals": [{"stage": "Plan", "digest": "sha256:" + "a" * 64, "approved": True}],
    "abort": True,
    "retryToken": "again",
    "budgets": {"wallSeconds": 7200},
}


@pytest.mark.parametrize(("path", "value"), INTENT.items())
def test_intent_and_larger_budgets_change_nothing_that_is_frozen(path: str, value: object) -> None:
    assert frozen_digest(spec(path, value)) == frozen_digest(spec())
    assert changed_fields(spec(), spec(path, value)) == []


def test_every_other_field_is_frozen() -> None:
    assert set(frozen_part(spec())) | set(INTENT) >= {
        "goal", "task", "objective", "constraints", "search", "judging", "review", "minds", "interaction", "deployment"
    }  # fmt: skip
    assert not set(frozen_part(spec())) & set(INTENT)


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        ("goal", "Another.", ["spec.goal"]),
        ("task", {"data": {"source": "Mnist5k"}, "clients": 30}, ["spec.task.clients", "spec.task.data.source"]),
        ("privacy", {"epsilon": 1, "delta": 1e-5}, ["spec.privacy"]),
        ("constraints", [{"metric": "Loss", "margin": 1}], ["spec.constraints"]),
        ("budgets", {"wallSeconds": 60, "tokens": 5}, ["spec.budgets.wallSeconds"]),
    ],
)
def test_a_change_is_named_by_its_path(path: str, value: object, changed: list[str]) -> None:
    assert changed_fields(spec(), spec(path, value)) == changed
    assert (frozen_digest(spec()) == frozen_digest(spec(path, value))) == (path == "budgets")


def test_a_default_that_is_written_out_is_no_change() -> None:
    assert changed_fields(spec(), spec("search", {"trials": 6})) == []
