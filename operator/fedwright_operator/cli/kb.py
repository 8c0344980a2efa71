"""`fedwright kb`: the knowledge base of the agents, whose own program does the work, since the control plane imports none of them."""

import subprocess
import sys
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from fedwright_operator.cli.ending import Refusal
from fedwright_operator.cli.options import DEFAULT_HOME, HomeFolder, home_at

PROGRAM = "fedwright_agents.knowledge"
kb = typer.Typer(
    name="kb",
    help="The knowledge base: methods, parts, problem families, templates, rules, lessons.",
    no_args_is_help=True,
)

EmbedModel = Annotated[
    str | None,
    typer.Option("--embed-model", help="An embedding model that litellm reaches; the one in the package if left out."),
]
ApiBase = Annotated[str | None, typer.Option("--api-base", help="Address of that model's server.")]


class Form(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@kb.command()
def build(home: HomeFolder = DEFAULT_HOME, embed_model: EmbedModel = None, api_base: ApiBase = None) -> int:
    """Write the home's snapshot: what ships with the package and the lessons so far, so that a search need not embed them.

    Example: fedwright kb build --home demo
    """
    output = ["--output", str(_snapshot(home)), "--lessons", str(_lessons(home))]
    return _run("build", *output, *_model(embed_model, api_base))


@kb.command()
def search(
    query: Annotated[list[str], typer.Argument(help="What you look for, in your words.")],
    home: HomeFolder = DEFAULT_HOME,
    limit: Annotated[int, typer.Option("--limit", "-k", help="How many.")] = 5,
    kind: Annotated[
        list[str] | None, typer.Option(help="Method, Part, Family, Template, Lesson, Rule; may be repeated.")
    ] = None,
    family: Annotated[list[str] | None, typer.Option(help="Problem family, as heterogeneous; may be repeated.")] = None,
    slot: Annotated[
        list[str] | None, typer.Option(help="Slot of the algorithm interface, as upload; may be repeated.")
    ] = None,
    need: Annotated[
        list[str] | None, typer.Option(help="What the model must have, as batch_norm; may be repeated.")
    ] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="Circumstance, as LabelSkew; may be repeated.")] = None,
    mode: Annotated[str, typer.Option(help="hybrid, dense or keyword.")] = "hybrid",
    output: Annotated[Form, typer.Option("--output", "-o", help="Form of the output.")] = Form.TABLE,
    qdrant_url: Annotated[str | None, typer.Option(help="A Qdrant server; in memory if left out.")] = None,
    embed_model: EmbedModel = None,
    api_base: ApiBase = None,
) -> int:
    """Find entries in the home's snapshot, or in the one that ships with the package, and in all lessons of the home.

    Examples: fedwright kb search "clients hold two classes each" --kind Method; fedwright kb search write a codec -o json
    """
    facets = {"--kind": kind, "--family": family, "--slot": slot, "--need": need, "--purpose": purpose}
    named = [word for option, values in facets.items() for value in values or () for word in (option, value)]
    own = ["--snapshot", str(_snapshot(home))] if _snapshot(home).exists() else []
    own += ["--lessons", str(_lessons(home))] if _lessons(home).exists() else []
    server = ["--qdrant-url", qdrant_url] if qdrant_url else []
    shape = ["--limit", str(limit), "--mode", mode, "-o", str(output)]
    return _run("search", *named, *own, *server, *shape, *_model(embed_model, api_base), "--", *query)


@kb.command()
def add(
    file: Annotated[Path, typer.Argument(help="A lesson or a list of them, YAML or JSON.")],
    home: HomeFolder = DEFAULT_HOME,
) -> int:
    """Add lessons to the home, beside those that each finished request leaves there by itself.

    Example: fedwright kb add lessons.yaml --home demo
    """
    return _run("add", str(file), "--lessons", str(_lessons(home)))


def _snapshot(home: Path) -> Path:
    return home_at(home).root / "knowledge" / "snapshot"


def _lessons(home: Path) -> Path:
    return home_at(home).lessons


def _model(name: str | None, api_base: str | None) -> list[str]:
    given = {"--embed-model": name, "--api-base": api_base}
    return [word for option, value in given.items() if value for word in (option, value)]


def _run(*arguments: str) -> int:
    """The program's exit status; its words are ours."""
    if find_spec("fedwright_agents") is None:
        raise Refusal("kb needs the agents; pip install 'fedwright[agents]'")
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", PROGRAM, *arguments], check=False).returncode
