"""`fedwright logs`: what happened, draft by draft and work by work."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from fedwright_crds.candidate import Candidate
from fedwright_crds.work import Outcome, WorkResult
from fedwright_operator.cli.lookup import called, existing, one_named, store_of
from fedwright_operator.cli.options import DEFAULT_HOME, HomeFolder, Namespace, home_at
from fedwright_operator.cli.plain import plain
from fedwright_operator.local.events import Events
from fedwright_operator.local.works import Works
from fedwright_operator.shell.kinds import AnyResource


def logs(
    words: Annotated[list[str], typer.Argument(metavar="[KIND] NAME", help="Whose log.")],
    home: HomeFolder = DEFAULT_HOME,
    namespace: Namespace = "default",
    every: Annotated[bool, typer.Option("--all", help="All works, not only those that failed.")] = False,
) -> None:
    """Events, drafts of candidates, and what works printed.

    Examples: fedwright logs digits-noniid --home demo; fedwright logs flcand/digits-noniid-p1 --all
    """
    where = home_at(home)
    store, works = store_of(where), Works(where.works)
    kind, name = one_named(words)
    resource = existing(store, kind.model, name, namespace)
    about = (resource, *store.owned_by(resource))
    for line in (*_events(Events(where.events), about), *_attempts(about), *_works(works, about, every)):
        print(plain(line))


def _events(events: Events, about: Iterable[AnyResource]) -> Iterator[str]:
    uids = {one.metadata.uid for one in about}
    for told in events:
        if told.uid in uids:
            mark = "!" if told.warning else " "
            yield f"{told.at} {mark} {told.name} {told.reason}: {told.message}"


def _attempts(about: Iterable[AnyResource]) -> Iterator[str]:
    for one in about:
        if isinstance(one, Candidate):
            for attempt in one.status.attempts:
                verdict = "passed" if attempt.passed else attempt.failure or "is being tested"
                yield f"{called(one)} draft {attempt.number} ({attempt.code[:19]}): {verdict}"


def _works(works: Works, about: Iterable[AnyResource], every: bool) -> Iterator[str]:
    whose = {(one.kind, one.metadata.namespace, one.metadata.name) for one in about}
    for result in sorted(works.values(), key=lambda one: (one.finished_at, one.id)):
        work = works.definition(result.id)
        labels = work.labels if work else {}
        if (labels.get("kind"), labels.get("namespace"), labels.get("name")) in whose and (
            every or result.outcome is not Outcome.SUCCEEDED
        ):
            yield from _work(result, labels.get("name", ""))


def _work(result: WorkResult, name: str) -> Iterator[str]:
    message = f": {result.message}" if result.message else ""
    yield f"{result.finished_at}   {name} {result.kind} {result.id[:12]} {result.outcome}{message}"
    for verdict in result.verdicts:
        yield f"    {verdict.step}: {verdict.reason}, {verdict.wall_seconds:.1f} s"
        yield from (f"      | {line}" for line in verdict.text.splitlines())
