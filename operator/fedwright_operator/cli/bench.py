"""`fedwright bench`: the same tasks by the minds that are asked for, each answer beside tuned baselines on the same fresh seeds."""

import json
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated

import typer
import yaml
from rich.console import Console

from fedwright_crds.manifests import ManifestError
from fedwright_crds.request import FLStrategyRequest
from fedwright_operator.bench.compare import JudgeError, against
from fedwright_operator.bench.entries import Entry, entries
from fedwright_operator.bench.findings import Run, ended
from fedwright_operator.bench.minds import Mind, MindError, mixed, of_profile
from fedwright_operator.bench.standing import CAPTION, HEAD, Standing
from fedwright_operator.bench.tasks import Task, TaskError, shipped, tasks_called
from fedwright_operator.cli import manifest
from fedwright_operator.cli.ending import ANSWER, FAILED, INTERRUPTED, Refusal
from fedwright_operator.cli.interrupt import Interrupts, interrupts
from fedwright_operator.cli.options import DEFAULT_HOME, HomeFolder, home_at
from fedwright_operator.cli.run import drive, need_a_sandbox
from fedwright_operator.local.home import Home

MOST_SEEDS = 100


class Form(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def bench(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TASK]...", help=f"{', '.join(shipped())}, or a request's file; all if left out."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", "-s", help="Runs of each task, with judging seeds from 0.")] = 3,
    profile: Annotated[
        list[str] | None, typer.Option("--profile", help="A profile behind all roles; may be repeated.")
    ] = None,
    minds: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=PROFILE", help="A profile behind one role, the catalogue behind others; repeated."),
    ] = None,
    home: HomeFolder = DEFAULT_HOME,
    unsafe_no_sandbox: Annotated[
        bool, typer.Option("--unsafe-no-sandbox", help="Run generated code without a sandbox. It can do what you can.")
    ] = False,
    output: Annotated[Form, typer.Option("--output", "-o", help="Form of the output.")] = Form.TABLE,
) -> int:
    """Let minds solve the same tasks, beside FedAvg, FedProx and the task's specialist, all tuned alike.

    Tasks: quantity-skew, feature-skew, pathological-labels; or the file of a request that names its specialist in the annotation
    fedwright.dev/specialist. All three where none is given.

    A run counts as answered if it did not fail: it has a judged winner, or says that nothing is better than tuned FedAvg. Its score is the
    winner's on fresh seeds, else FedAvg's; differences have 95% intervals over runs, or over the fresh seeds of a single run.
    Run again, it goes on; a run that has ended is not repeated. Use a home of its own: work that is done there already takes no time.

    Ends with 0 if all runs gave an answer, 1 if one failed, 2 for bad input.

    Examples: fedwright bench --home bench; fedwright bench quantity-skew --seeds 5 --profile catalogue --profile fast -o json;
    fedwright bench --minds planner=fast --minds coder=fast
    """
    where = home_at(home)
    solved, by = _tasks(tasks or (), seeds), _minds(where, profile or (), minds or ())
    need_a_sandbox(unsafe_no_sandbox)
    wanted = [one for task in solved for one in entries(task, by, seeds)]
    with interrupts() as heard, where.driven():
        runs = list(_runs(where, wanted, heard, unsafe_no_sandbox))
    _show(_standings(solved, by, seeds, runs), output)
    if heard.requested:
        print("Interrupted; run the same command again to go on.", file=sys.stderr)
        return INTERRUPTED
    return ANSWER if all(one.answered for one in runs) else FAILED


# -- what is asked ----------------------------------------------------------------------------------------------------
def _tasks(words: Sequence[str], seeds: int) -> tuple[Task, ...]:
    if not 1 <= seeds <= MOST_SEEDS:
        raise Refusal(f"--seeds: {seeds} is not from 1 to {MOST_SEEDS}; give how often each task is run")
    try:
        return tasks_called(words)
    except TaskError as problem:
        raise Refusal(str(problem)) from None


def _minds(home: Home, profiles: Sequence[str], pairs: Sequence[str]) -> tuple[Mind, ...]:
    """The catalogue where nobody is named."""
    try:
        found = [of_profile(one) for one in profiles] + ([mixed(pairs)] if pairs else [])
        found = list({one.slug: one for one in found or [of_profile("catalogue")]}.values())
        missing = [problem for one in found for problem in manifest.missing_profiles(home, one.minds)]
    except (MindError, ManifestError) as problem:
        raise Refusal(f"--profile, --minds: {problem}") from None
    if missing:
        raise Refusal(f"--profile, --minds: {missing[0]}")
    return tuple(found)


# -- running ----------------------------------------------------------------------------------------------------------
def _runs(home: Home, wanted: Sequence[Entry], heard: Interrupts, unsafe: bool) -> Iterator[Run]:
    """Each run once it has ended, those of earlier commands too; until all have, or we are asked to end."""
    screen = Console(stderr=True)
    requests = _requests(wanted)
    for number, (entry, request) in enumerate(zip(wanted, requests, strict=True), start=1):
        if heard.requested:
            return
        manifest.apply_all(home, [request], learned=False)
        run = ended(home, entry)
        if run is None:
            screen.print(f"{entry.name} ({number} of {len(wanted)})", style="bold", highlight=False)
            drive(home, request, heard, screen, unsafe=unsafe)
            run = ended(home, entry)
        if run:
            yield run


def _requests(wanted: Sequence[Entry]) -> list[FLStrategyRequest]:
    """All of them before the first is run, so that bad input is told at once."""
    try:
        return [one.request for one in wanted]
    except TaskError as problem:
        raise Refusal(str(problem)) from None


# -- showing ----------------------------------------------------------------------------------------------------------
def _standings(tasks: Sequence[Task], minds: Sequence[Mind], seeds: int, runs: Sequence[Run]) -> list[Standing]:
    return [
        _standing(task, mind, seeds, [one for one in runs if one.entry.task is task])
        for task in tasks
        for mind in minds
    ]


def _standing(task: Task, mind: Mind, seeds: int, runs: Sequence[Run]) -> Standing:
    own = [one for one in runs if one.entry.who == mind]
    paired = [(one, {"fedavg": one} | _baselines(runs, one.entry.seed)) for one in own]
    try:
        found = against(paired, ("fedavg", *task.baselines))
    except JudgeError as problem:
        print(f"fedwright: {task.name} by {mind.label} cannot be compared: {problem}", file=sys.stderr)
        found = {}
    return Standing(task, mind.label, seeds, own, found)


def _baselines(runs: Sequence[Run], seed: int) -> dict[str, Run]:
    return {one.entry.who: one for one in runs if isinstance(one.entry.who, str) and one.entry.seed == seed}


def _show(standings: Sequence[Standing], form: Form) -> None:
    documents = [one.document() for one in standings]
    match form:
        case Form.JSON:
            print(json.dumps(documents, indent=2))
        case Form.YAML:
            print(yaml.safe_dump(documents, sort_keys=False), end="")
        case _:
            print(_table(standings))


def _table(standings: Sequence[Standing]) -> str:
    """Rows that a narrow terminal wraps rather than cuts: every figure counts."""
    rows = [HEAD, *(row for one in standings for row in one.rows())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join([*lines, CAPTION])
