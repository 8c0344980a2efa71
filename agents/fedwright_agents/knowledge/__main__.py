"""`python -m fedwright_agents.knowledge build|search|add`: the knowledge base from a shell. 2 and one line for bad input."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pydantic import ValidationError

from fedwright_agents.knowledge.embedding import Embedder, EmbeddingError, Hosted
from fedwright_agents.knowledge.entries import Facets, Kind
from fedwright_agents.knowledge.lessons import (
    Lesson,
    LessonsError,
    add_lessons,
    lesson_from,
    read_lessons,
    usable_lessons,
)
from fedwright_agents.knowledge.snapshot import SHIPPED, Snapshot, SnapshotError, build, read

BAD_INPUT = 2
MODES = ("hybrid", "dense", "keyword")
EXAMPLES = """examples:
  python -m fedwright_agents.knowledge search "clients hold two classes each" --kind Method
  python -m fedwright_agents.knowledge search "write a codec" --kind Template -o json
  python -m fedwright_agents.knowledge add lessons.yaml --lessons home/lessons.jsonl
  python -m fedwright_agents.knowledge build --lessons home/lessons.jsonl --output home/knowledge
  python -m fedwright_agents.knowledge search "what did SCAFFOLD do on digits" --kind Lesson --snapshot home/knowledge"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}; see --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(argv)
    try:
        given.run(given)
    except (SnapshotError, LessonsError, EmbeddingError, ValueError) as error:
        return _refused(given, error)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    return 0


def _refused(given: argparse.Namespace, error: Exception) -> int:
    print(f"knowledge {given.command}: {error}", file=sys.stderr)
    return BAD_INPUT


# -- commands ---------------------------------------------------------------------------------------------------------
def _build(given: argparse.Namespace) -> None:
    from fedwright_agents.knowledge.shipped import shipped_entries

    embedder = _embedder(given)
    lessons = read_lessons(given.lessons) if given.lessons else ()
    entries = [*shipped_entries(), *(lesson.entry for lesson in lessons)]
    made = build(entries, embedder, given.output, known=_known(embedder))
    print(f"{given.output}: {len(made.entries)} entries, {len(lessons)} of them lessons, {made.digest}")


def _known(embedder: Embedder) -> Snapshot | None:
    """The shipped vectors, where they are this embedder's and of this version."""
    try:
        return read(SHIPPED, embedder.identity)
    except SnapshotError:
        return None


def _search(given: argparse.Namespace) -> None:
    from fedwright_agents.knowledge.search import Mode, open_knowledge

    facets = _facets(given)
    lessons = usable_lessons(given.lessons) if given.lessons else ()
    base = open_knowledge(
        given.snapshot or SHIPPED, _embedder(given), given.qdrant_url, [lesson.entry for lesson in lessons]
    )
    found = base.search(
        " ".join(given.query), given.limit, [Kind(kind) for kind in given.kind], facets, Mode(given.mode)
    )
    _show([result.to_wire() for result in found], given.output)


def _facets(given: argparse.Namespace) -> Facets:
    try:
        return Facets(
            families=tuple(given.family),
            slots=tuple(given.slot),
            needs=tuple(given.need),
            purposes=tuple(given.purpose),
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{first['loc'][0]}: {first['input']!r} is no name; see the facets of entries") from error


def _add(given: argparse.Namespace) -> None:
    lessons = _lessons(given.file)
    added = add_lessons(given.lessons, lessons)
    print(f"{given.lessons}: {added} added, {len(lessons) - added} there already")


def _lessons(path: Path) -> list[Lesson]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise LessonsError(f"{path} cannot be read ({reason}); give a lesson or a list as YAML or JSON") from error
    many = found if isinstance(found, list) else [found]
    return [
        lesson_from(json.dumps(one, default=str), f"{path}: lesson {place}") for place, one in enumerate(many, start=1)
    ]


def _embedder(given: argparse.Namespace) -> Embedder:
    if given.embed_model:
        return Hosted(given.embed_model, given.api_base)
    from fedwright_agents.knowledge.minilm import MiniLM

    return MiniLM()


# -- showing ----------------------------------------------------------------------------------------------------------
def _show(found: list[dict[str, Any]], output: str) -> None:
    if output == "json":
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif output == "yaml":
        print(yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120), end="")
    else:
        print(_table(found))


def _table(found: list[dict[str, Any]]) -> str:
    if not found:
        return "Nothing found."
    rows = [
        ("ID", "KIND", "SCORE", "TITLE"),
        *((one["id"], one["kind"], f"{one['score']:.4f}", one["title"]) for one in found),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("   ".join([*(row[k].ljust(widths[k]) for k in range(3)), row[3]]) for row in rows)


# -- arguments --------------------------------------------------------------------------------------------------------
def _parser() -> argparse.ArgumentParser:
    shape = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="knowledge", description=__doc__, epilog=EXAMPLES, formatter_class=shape)
    commands = parser.add_subparsers(dest="command", required=True, metavar="build|search|add")
    model = _Parser(add_help=False)
    model.add_argument(
        "--embed-model", metavar="NAME", help="a model that litellm reaches; the one in the package if left out"
    )
    model.add_argument("--api-base", metavar="URL", help="address of that model's server")

    one = commands.add_parser("build", parents=[model], help="write a snapshot", epilog=EXAMPLES, formatter_class=shape)
    one.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where the snapshot goes; an earlier one is replaced",
    )
    one.add_argument("--lessons", type=Path, metavar="FILE", help="lessons to take in")
    one.set_defaults(run=_build)

    one = commands.add_parser("search", parents=[model], help="find entries", epilog=EXAMPLES, formatter_class=shape)
    one.add_argument("query", nargs="+", help="what you look for, in your words")
    one.add_argument("--snapshot", type=Path, metavar="FOLDER", help="the one that ships with the package if left out")
    one.add_argument("--lessons", type=Path, metavar="FILE", help="lessons to search beside it")
    one.add_argument("--limit", "-k", type=int, default=5, help="how many, 5 if left out")
    one.add_argument(
        "--kind", action="append", default=[], choices=[str(kind) for kind in Kind], help="may be repeated"
    )
    for facet in ("family", "slot", "need", "purpose"):
        one.add_argument(f"--{facet}", action="append", default=[], metavar="NAME", help="may be repeated")
    one.add_argument("--mode", default="hybrid", choices=MODES)
    one.add_argument("--qdrant-url", metavar="URL", help="a Qdrant server; in memory if left out")
    one.add_argument("--output", "-o", default="table", choices=("table", "json", "yaml"))
    one.set_defaults(run=_search)

    one = commands.add_parser("add", help="add lessons to a file", epilog=EXAMPLES, formatter_class=shape)
    one.add_argument("file", type=Path, help="a lesson or a list of them, YAML or JSON")
    one.add_argument("--lessons", type=Path, required=True, metavar="FILE", help="where they are kept, for build")
    one.set_defaults(run=_add)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
