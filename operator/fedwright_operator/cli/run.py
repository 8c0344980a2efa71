"""`fedwright run`: drive a request until there is an answer or a person is needed."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedwright_boxes import sandbox_available
from fedwright_crds.candidate import Candidate
from fedwright_crds.deployment import Deployment
from fedwright_crds.documents import Plan
from fedwright_crds.federation import Federation
from fedwright_crds.request import FLStrategyRequest, RequestPhase
from fedwright_operator.cli import manifest
from fedwright_operator.cli.ending import BAD_INPUT, FAILED, INTERRUPTED, Refusal, exit_status
from fedwright_operator.cli.export import export
from fedwright_operator.cli.interrupt import Interrupts, interrupts
from fedwright_operator.cli.lessons import keep_lessons
from fedwright_operator.cli.lookup import request_named, store_of
from fedwright_operator.cli.options import DEFAULT_HOME, HomeFolder, Namespace, given_options, home_at
from fedwright_operator.cli.plain import plain
from fedwright_operator.cli.screen import Screen, screen_for
from fedwright_operator.cli.snapshot import Activity, Snapshot
from fedwright_operator.cli.words import asked, plan_in_words
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.home import Home
from fedwright_operator.local.loop import Loop
from fedwright_operator.local.store import Store
from fedwright_operator.local.usage import Usage
from fedwright_operator.shell.kinds import AnyResource


def run(
    wish: Annotated[
        str,
        typer.Argument(metavar="FILE|REQUEST", help="A manifest (- reads standard input), or a request to go on with."),
    ],
    home: HomeFolder = DEFAULT_HOME,
    namespace: Namespace = "default",
    unsafe_no_sandbox: Annotated[
        bool, typer.Option("--unsafe-no-sandbox", help="Run generated code without a sandbox. It can do what you can.")
    ] = False,
) -> int:
    """Apply a request and drive it until there is an answer or a person is needed; run again, it goes on.

    Ends with 0 for an answer, 1 if it failed, 2 for bad input, 3 if it waits for a person.

    Examples: fedwright run examples/digits-noniid.yaml --home demo; fedwright run digits-noniid --home demo
    """
    where = home_at(home)
    resources = _resources(where, wish, namespace)
    request = _only_request(resources, wish)
    need_a_sandbox(unsafe_no_sandbox)
    _need_the_federation(where, resources, request)
    with interrupts() as heard, where.driven():
        manifest.apply_all(where, resources)
        end = drive(where, request, heard, Console(), unsafe=unsafe_no_sandbox)
        if end and end.status.phase.terminal and not heard.requested:
            export(where, end)
            keep_lessons(where, end)
    if heard.requested:
        print("Interrupted; run the same command again to go on.", file=sys.stderr)
        return INTERRUPTED
    status = exit_status(end)
    words = _last_words(where, end, given_options(home, request.metadata.namespace))
    print(plain(words), file=sys.stderr if status in {FAILED, BAD_INPUT} else sys.stdout)
    return status


def _resources(home: Home, wish: str, namespace: str) -> Sequence[AnyResource]:
    """From the file, or the request of that name as it is."""
    if wish == "-" or Path(wish).is_file() or Path(wish).suffix in {".yaml", ".yml", ".json"} or "/" in wish:
        return manifest.read(home, Path(wish), namespace)
    return [request_named(store_of(home), wish, namespace)]


def _only_request(resources: Sequence[AnyResource], wish: str) -> FLStrategyRequest:
    requests = [one for one in resources if isinstance(one, FLStrategyRequest)]
    if len(requests) != 1:
        raise Refusal(
            f"{wish}: kind: run needs exactly one FLStrategyRequest and found {len(requests)}; use apply for others"
        )
    return requests[0]


def need_a_sandbox(unsafe: bool) -> None:
    """Refusal where generated code cannot be locked in and nobody said that it need not be."""
    if not unsafe and (problem := sandbox_available()):
        raise Refusal(
            f"no sandbox for generated code: {problem}; mend that, or accept the risk with --unsafe-no-sandbox"
        )


def _need_the_federation(home: Home, resources: Sequence[AnyResource], request: FLStrategyRequest) -> None:
    """Refuse to search for a winner that could not be rolled out."""
    meta, template = request.metadata, request.spec.deployment
    if not template.enabled or template.federation is None or request.status.phase.terminal:
        return
    beside = {(one.metadata.namespace, one.metadata.name) for one in resources if isinstance(one, Federation)}
    present = Store(home.resources).get(Federation, template.federation, meta.namespace)
    if present is None and (meta.namespace, template.federation) not in beside:
        raise Refusal(
            f"spec.deployment.federation is {template.federation!r}, and there is no such Federation in namespace "
            f"{meta.namespace}; apply it first, or remove the field and a fleet is made"
        )


def drive(
    home: Home, request: FLStrategyRequest, heard: Interrupts, console: Console, *, unsafe: bool
) -> FLStrategyRequest | None:
    """Until it is terminal, waits, is gone, or we are asked to end; how it then is. Needs the home's lock."""
    # The sandbox and the fleets are not loaded for verbs that only read or write a file.
    from fedwright_operator.local.machine import machine

    meta = request.metadata
    store = Store(home.resources)
    uid = request_named(store, meta.name, meta.namespace).metadata.uid
    with (
        Usage(home.usage / f"{uid}.json") as usage,
        screen_for(console) as screen,
        machine(home, unsafe_no_sandbox=unsafe) as loop,
    ):
        heard.heard_by(loop)
        loop.run(
            lambda: _settled(loop.store.get(FLStrategyRequest, meta.name, meta.namespace)),
            lambda: _tick(loop, request, usage, screen),
        )
        _show(loop, request, usage, screen)
    return store.get(FLStrategyRequest, meta.name, meta.namespace)


def _settled(request: FLStrategyRequest | None) -> bool:
    return request is None or request.status.phase.terminal or request.status.phase.waiting


def _tick(loop: Loop, request: FLStrategyRequest, usage: Usage, screen: Screen) -> None:
    usage.tick()
    if screen.due():
        _show(loop, request, usage, screen)


def _show(loop: Loop, request: FLStrategyRequest, usage: Usage, screen: Screen) -> None:
    meta = request.metadata
    present = loop.store.get(FLStrategyRequest, meta.name, meta.namespace)
    if present is None:
        return
    candidates = [one for one in loop.store.list(Candidate) if one.spec.request == meta.name]
    running = [
        Activity(
            one.work.kind,
            one.work.labels.get("name", ""),
            time.monotonic() - one.since,
            "".join(f" {name} {value:g}" for name, value in one.progress.items()),
        )
        for one in loop.scheduler.running()
    ]
    deployment = loop.store.get(Deployment, meta.name, meta.namespace)
    screen.show(Snapshot(present, candidates, deployment, running, usage.seconds))


def _last_words(home: Home, end: FLStrategyRequest | None, options: str) -> str:
    """The answer in words, or what is asked and the commands that go on."""
    if end is None:
        return "fedwright: the request was deleted while it ran"
    artifacts = Artifacts(home.artifacts)
    if end.status.phase is RequestPhase.AWAITING_APPROVAL and end.status.plan:
        plan = Plan.model_validate_json(artifacts.read(end.status.plan))
        return "\n".join([*plan_in_words(plan), "", *asked(end, options)])
    if end.status.phase.waiting:
        return "\n".join(asked(end, options))
    verdict = str(json.loads((home.root / "result.json").read_text())["verdict"])
    failed = end.status.phase is RequestPhase.FAILED
    return f"fedwright: {verdict}; see `fedwright logs {end.metadata.name}{options}`" if failed else verdict
