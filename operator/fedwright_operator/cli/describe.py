"""`fedwright describe`: one resource for a person to read."""

from collections.abc import Iterator
from typing import Annotated

import typer

from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.documents import Decision, Plan
from fedwright_crds.federation import Federation
from fedwright_crds.meta import Condition
from fedwright_crds.request import FLStrategyRequest
from fedwright_operator.cli.columns import figure, row
from fedwright_operator.cli.get import table
from fedwright_operator.cli.lookup import existing, one_named, store_of
from fedwright_operator.cli.options import DEFAULT_HOME, HomeFolder, Namespace, given_options, home_at
from fedwright_operator.cli.plain import plain
from fedwright_operator.cli.words import asked, plan_in_words
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.events import Events
from fedwright_operator.local.home import Home
from fedwright_operator.local.store import Store
from fedwright_operator.shell.clock import now
from fedwright_operator.shell.kinds import AnyResource
from fedwright_operator.verdict import last_line

EVENTS = 12


def describe(
    words: Annotated[list[str], typer.Argument(metavar="[KIND] NAME", help="What to describe.")],
    home: HomeFolder = DEFAULT_HOME,
    namespace: Namespace = "default",
) -> None:
    """Conditions, plan, candidates, figures, and what is asked of you.

    Examples: fedwright describe digits-noniid --home demo; fedwright describe flcand digits-noniid-p1
    """
    where = home_at(home)
    store = store_of(where)
    kind, name = one_named(words)
    resource = existing(store, kind.model, name, namespace)
    lines = [f"{resource.kind} {namespace}/{name}: {resource.status.phase}"]
    lines += _body(where, store, resource, given_options(home, namespace))
    lines += _section("Conditions", map(_condition, resource.status.conditions))
    events = [one for one in Events(where.events) if one.uid == resource.metadata.uid][-EVENTS:]
    lines += _section("Events", (f"{one.at}  {one.reason}: {one.message}" for one in events))
    print(plain("\n".join(lines)))


def _body(home: Home, store: Store, resource: AnyResource, options: str) -> list[str]:
    match resource:
        case FLStrategyRequest():
            return _request(home, store, resource, options)
        case Candidate():
            return _candidate(resource)
        case Deployment() | Federation():
            return ["", table([row(resource, now(), wide=True)], heading=True)]


def _request(home: Home, store: Store, request: FLStrategyRequest, options: str) -> list[str]:
    artifacts, status = Artifacts(home.artifacts), request.status
    candidates = [one for one in store.owned_by(request) if isinstance(one, Candidate)]
    lines = [request.spec.goal]
    if status.plan:
        plan = Plan.model_validate_json(artifacts.read(status.plan))
        lines += _section("Plan", plan_in_words(plan))
    if candidates:
        lines += ["", "Candidates", table([row(one, now(), wide=True) for one in candidates], heading=True)]
    if status.decision:
        decision = Decision.model_validate_json(artifacts.read(status.decision))
        lines += _section("Answer", [last_line(request, decision, candidates)])
    return lines + _section("Asked", asked(request, options))


def _candidate(candidate: Candidate) -> list[str]:
    spec, status = candidate.spec, candidate.status
    lines = [spec.title, spec.hypothesis]
    lines += _section("Written otherwise", [status.deviation] if status.deviation else [])
    lines += _section("Parts", (f"{one.slot}: {one.name}  {one.reason}" for one in spec.parts))
    lines += _section("Best hyperparameters", (f"{name} = {figure(value)}" for name, value in status.best.items()))
    lines += _section("Measures", (f"{name} = {figure(value)}" for name, value in sorted(status.measures.items())))
    attempts = (f"{one.number}: {one.code[:19]} {_passed(one.passed)} {one.failure}" for one in status.attempts)
    return lines + _section("Attempts", attempts)


def _passed(passed: bool | None) -> str:
    return "is being tested" if passed is None else "passed" if passed else "failed"


def _condition(one: Condition) -> str:
    message = f": {one.message}" if one.message else ""
    return f"{one.type}={one.status}  {one.reason}{message}"


def _section(heading: str, lines: "Iterator[str] | list[str]") -> list[str]:
    indented = [f"  {line}" for text in lines for line in text.splitlines()]
    return ["", heading, *indented] if indented else []
