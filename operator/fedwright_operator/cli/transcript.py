"""`fedwright transcript`: what was said between the roles of a request and their models, as a person would read it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from fedwright_crds.transcript import Charge, Transcript
from fedwright_operator.cli.ending import Refusal
from fedwright_operator.cli.lookup import called, request_named, store_of
from fedwright_operator.cli.options import DEFAULT_HOME, HomeFolder, Namespace, RequestName, home_at
from fedwright_operator.cli.plain import plain
from fedwright_operator.local.transcripts import TranscriptError, charged, transcripts

SHOWN = 1200
"""Characters of a message that are shown without --full."""


class Form(StrEnum):
    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


def transcript(
    name: RequestName,
    home: HomeFolder = DEFAULT_HOME,
    namespace: Namespace = "default",
    role: Annotated[str, typer.Option("--role", help="Only this role: plan, code, debug, reflect or review.")] = "",
    full: Annotated[bool, typer.Option("--full", help="Messages whole, and what all prompts share.")] = False,
    output: Annotated[Form, typer.Option("-o", "--output", help="As text, or everything as json or yaml.")] = Form.TEXT,
) -> None:
    """A request's conversation with its models and its searches of the web, call by call, and what each role cost.

    Examples: fedwright transcript digits-llm --home demo; fedwright transcript digits-llm --role code --full
    """
    where = home_at(home)
    request = request_named(store_of(where), name, namespace)
    try:
        found = [one for one in transcripts(where, request.metadata.uid or "") if role in {"", str(one.role)}]
    except TranscriptError as problem:
        raise Refusal(str(problem)) from None
    if not found:
        raise Refusal(f"{called(request)} has no transcripts{f' of role {role}' if role else ''}: no model was asked")
    if output is not Form.TEXT:
        wire = [one.to_wire() for one in found]
        print(json.dumps(wire, indent=1) if output is Form.JSON else yaml.safe_dump(wire, sort_keys=False), end="")
        return
    for one in found:
        print("\n".join(map(plain, _conversation(one, full))), end="\n\n")
    Console().print(_costs(found))


def _conversation(one: Transcript, full: bool) -> Iterator[str]:
    whose = f" for {one.candidate}" if one.candidate else ""
    by = f"{one.profile}{f' ({one.model})' if one.model else ''}"
    yield (
        f"#{one.number} {one.role}{whose} by {by}: {one.charged.tokens:,} tokens, {one.cost_usd:.4f} USD, "
        f"{one.latency_seconds:.1f} s, {one.digest[7:19]}"
    )
    for message in one.asked.get("messages", ()):
        yield from _message(message, full)
    if "query" in one.asked:
        yield f"  {'searches':<9} | {one.asked['query']}"
    if one.problem:
        yield f"  ! {one.problem.code}: {one.problem.message}"
    for choice in (one.answer or {}).get("choices", ()):
        yield from _message(choice.get("message", {}), True)
    for result in (one.answer or {}).get("results", ()):
        yield from _message({"role": "found", "content": "\n".join(map(str, result.values()))}, True)


def _message(message: Mapping[str, Any], full: bool) -> Iterator[str]:
    """A system message is what all prompts of a request share; it is told by its length."""
    who, text = str(message.get("role", "?")), str(message.get("content") or "")
    if who == "system" and not full:
        text = f"(what all such prompts share, {len(text):,} characters; --full shows it)"
    if not full and len(text) > SHOWN:
        text = f"{text[:SHOWN]}\n(and {len(text) - SHOWN:,} characters more; --full shows them)"
    for call in message.get("tool_calls") or ():
        function = call.get("function", {})
        text += f"\ncalls {function.get('name')}({function.get('arguments')})"
    yield from (f"  {who if n == 0 else '':<9} | {line}" for n, line in enumerate(text.strip().splitlines() or [""]))


def _costs(found: Sequence[Transcript]) -> Table:
    """As it was charged: each attempt at a provider is a call, and one that failed may cost."""
    table = Table("role", "calls", "tokens", "USD", "seconds", title="What the roles cost")
    by_role = charged(found)
    for role, sums in by_role.items():
        table.add_row(str(role), *_figures(sums))
    table.add_row("all", *_figures(sum(by_role.values(), Charge())), style="bold")
    return table


def _figures(sums: Charge) -> tuple[str, ...]:
    return f"{sums.calls:,}", f"{sums.tokens:,}", f"{sums.nano_usd / 1e9:.4f}", f"{sums.milliseconds / 1e3:.1f}"
