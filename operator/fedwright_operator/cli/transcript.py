"""`fedwright transcript`: what was said between the roles of a request and their models, as a person would read it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from fedwright_crds.transcript import Charge, Transcript
from fedwright_operator.cli.ending import Refusal
from fedwright_operator.cli.lookup import called, request_named, store_of
from fedwright_operator.cli.options import DEFAULT_HOME, HomeFolder, Namespace, RequestName, home_at
from fedwright_operator.cli.plain import plain

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
    """A request's conversation with its models, call by call, and what each role cost.

    Examples: fedwright transcript digits-llm --home demo; fedwright transcript digits-llm --role code --full
    """
    where = home_at(home)
    request = request_named(store_of(where), name, namespace)
    folder = where.models / "transcripts" / (request.metadata.uid or "")
    found = [one for one in _read(folder) if role in {"", str(one.role)}]
    if not found:
        raise Refusal(f"{called(request)} has no transcripts{f' of role {role}' if role else ''}: no model was asked")
    if output is not Form.TEXT:
        wire = [one.to_wire() for one in found]
        print(json.dumps(wire, indent=1) if output is Form.JSON else yaml.safe_dump(wire, sort_keys=False), end="")
        return
    for one in found:
        print("\n".join(map(plain, _conversation(one, full))), end="\n\n")
    Console().print(_costs(found))


def _read(folder: Path) -> Iterator[Transcript]:
    for file in sorted(folder.glob("*-*.json")):
        try:
            yield Transcript.model_validate_json(file.read_bytes())
        except ValidationError as problem:
            raise Refusal(f"{file} is no transcript: {problem.errors()[0]['msg']}; was it edited?") from None


def _conversation(one: Transcript, full: bool) -> Iterator[str]:
    whose = f" for {one.candidate}" if one.candidate else ""
    by = f"{one.profile}{f' ({one.model})' if one.model else ''}"
    yield (
        f"#{one.number} {one.role}{whose} by {by}: {one.charged.tokens:,} tokens, {one.cost_usd:.4f} USD, "
        f"{one.latency_seconds:.1f} s, {one.digest[7:19]}"
    )
    for message in one.asked.get("messages", ()):
        yield from _message(message, full)
    if one.problem:
        yield f"  ! {one.problem.code}: {one.problem.message}"
    for choice in (one.answer or {}).get("choices", ()):
        yield from _message(choice.get("message", {}), True)


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
    table = Table("role", "calls", "tokens", "USD", "seconds", title="What the roles cost")
    for role in dict.fromkeys(one.role for one in found):
        table.add_row(str(role), *_sums(one for one in found if one.role is role))
    table.add_row("all", *_sums(found), style="bold")
    return table


def _sums(found: Iterable[Transcript]) -> tuple[str, ...]:
    """Attempts that failed count as they were charged."""
    calls = list(found)
    charged = sum((one.charged for one in calls), Charge())
    seconds = sum(one.latency_seconds for one in calls)
    return f"{len(calls)}", f"{charged.tokens:,}", f"{charged.nano_usd / 1e9:.4f}", f"{seconds:.1f}"
