"""What the roles of a request cost: told as the gateway charged it, in the report, in the result and by `transcript`."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from world import World, wish

from fedwright_crds.allowance import Role
from fedwright_crds.base import canonical
from fedwright_crds.documents import ReportInput
from fedwright_crds.meta import Spent
from fedwright_crds.transcript import Charge, Transcript, call_digest
from fedwright_operator.cli.transcript import _conversation
from fedwright_operator.costs import with_roles
from fedwright_operator.local.home import Home
from fedwright_operator.local.transcripts import TranscriptError, charged, charged_in, transcripts
from fedwright_operator.reconcile import request

ASKED = MappingProxyType({"model": "fast", "messages": []})
CHARGE = Charge(tokens=300, nano_usd=2_000_000, calls=2, milliseconds=1500)


def call(number: int, role: Role, charge: Charge = CHARGE) -> Transcript:
    return Transcript(
        number=number,
        digest=call_digest(role, "fast", dict(ASKED)),
        request_uid="uid-wish",
        namespace="default",
        name="wish",
        role=role,
        work_id="w",
        profile="fast",
        date="2026-01-01T00:00:00Z",
        asked=dict(ASKED),
        attempts=(),
        charged=charge,
        cost_usd=charge.nano_usd / 1e9,
        latency_seconds=0.7,
    )


def kept(root: Path, *calls: Transcript) -> Home:
    home = Home(root)
    folder = home.models / "transcripts" / "uid-wish"
    folder.mkdir(parents=True)
    for one in calls:
        (folder / f"{one.number:06d}-{one.role}.json").write_bytes(canonical(one.to_wire()))
    return home


def test_charges_add_up_by_role_in_the_order_of_the_roles(tmp_path: Path) -> None:
    home = kept(tmp_path, call(1, Role.REVIEW), call(2, Role.PLAN), call(3, Role.REVIEW))
    sums = charged(transcripts(home, "uid-wish"))
    assert list(sums) == [Role.PLAN, Role.REVIEW]
    assert sums[Role.REVIEW] == CHARGE + CHARGE


def test_a_request_that_asked_no_model_costs_no_role_anything(tmp_path: Path) -> None:
    assert charged_in(Home(tmp_path), "uid-wish") == {}
    assert charged_in(Home(tmp_path), "") == {}
    assert with_roles(Spent(works=3), {}) == {**Spent(works=3).to_wire(), "roles": []}


def test_a_transcript_that_was_edited_is_told_and_costs_no_answer(tmp_path: Path) -> None:
    home = kept(tmp_path, call(1, Role.PLAN))
    (home.models / "transcripts" / "uid-wish" / "000002-code.json").write_text("{}")
    with pytest.raises(TranscriptError, match=r"000002-code.json is no transcript"):
        list(transcripts(home, "uid-wish"))
    assert charged_in(home, "uid-wish") == {}


def test_the_gateways_sums_stand_where_minds_that_failed_told_none() -> None:
    told = with_roles(Spent(tokens=10), {Role.PLAN: CHARGE, Role.CODE: CHARGE})
    assert (told["tokens"], told["calls"], told["moneyUsd"]) == (600, 4, 0.004)
    assert told["roles"][0] == {"role": "plan", "calls": 2, "tokens": 300, "moneyUsd": 0.002, "seconds": 1.5}


def test_the_report_is_given_who_stood_behind_the_roles_and_what_they_cost() -> None:
    world = World(wish(minds={"planner": "fast"}, budgets={"tokens": 5000}))
    seen = world.observe
    world.observe = lambda resource: _charged(seen(resource))  # type: ignore[method-assign]
    world.run()
    assert world.request.status.phase == "Succeeded"
    (document,) = (given for given in map(_as_report, world.artifacts.values()) if given)
    assert document.spec.minds.planner == "fast" and document.spec.budgets.tokens == 5000
    assert document.spent["roles"] == [{"role": "plan", "calls": 2, "tokens": 300, "moneyUsd": 0.002, "seconds": 1.5}]
    assert request.plan(world.observe(world.request)).works == ()


def _charged(observed):  # type: ignore[no-untyped-def]
    return replace(observed, charged=lambda: {Role.PLAN: CHARGE})


def _as_report(data: bytes) -> ReportInput | None:
    try:
        return ReportInput.model_validate_json(data)
    except ValueError:
        return None


def test_a_search_is_told_with_its_question_and_what_it_found() -> None:
    found = {"title": "Survey", "url": "https://example.org/a", "snippet": "Newer."}
    searched = call(3, Role.PLAN).model_copy(
        update={"profile": "web", "asked": {"query": "what is newer"}, "answer": {"results": [found]}}
    )
    _, *told = _conversation(searched, full=False)
    assert [line.strip() for line in told] == [
        "searches  | what is newer",
        "found     | Survey",
        "| https://example.org/a",
        "| Newer.",
    ]
